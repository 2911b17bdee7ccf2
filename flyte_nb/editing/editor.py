"""Editor: ``flyte.edit``, the draft of an environment with controls, or as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.drafting import Draft, draft
from flyte_nb.editing.work import Work
from flyte_nb.environments.base import Environment
from flyte_nb.errors import UsageTypeError
from flyte_nb.session import current_session
from flyte_nb.widgets.editor import EditorView

__all__ = ["Editor", "edit"]


class Editor(EditorView):
    """The editor of one environment.

    Parameters
    ----------
    draft : Draft
        What it edits.
    """

    def __init__(self, draft: Draft) -> None:
        self._work = Work(draft, current_session())
        super().__init__(self._work)
        self._ends: list[Callable[[], None]] = []

    @property
    def draft(self) -> Draft:
        """The draft that it shows; what is changed in it is seen in the editor, and the other way round."""
        return self._work.draft

    def controls(self) -> Any:
        self._ends = list(self._work.follow(self.changed, self.noticed))
        return super().controls()

    def left(self) -> None:
        for end in self._ends:
            end()
        self._ends = []
        super().left()


def edit(env: Environment) -> Editor:
    """Edit an environment: its settings as controls where there is a front end for them, as text elsewhere.

    Nothing is declared before "Apply", or ``editor.draft.apply()``.

    Parameters
    ----------
    env : Environment
        What is edited: the newest declaration of its name.

    Returns
    -------
    Editor
        With ``draft``, whose functions do what the buttons do.

    Raises
    ------
    TypeError
        For what is no environment.
    """
    if not isinstance(env, Environment):
        raise UsageTypeError(f"flyte.edit: given {env!r:.80}; accepted: an environment")
    return Editor(draft(env))
