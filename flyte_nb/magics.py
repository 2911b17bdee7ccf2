"""The magics: choose the verb of a line, let it ask the session, show the answer."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class

from flyte_nb import (
    app_commands,
    clone_commands,
    connect_commands,
    deploy_commands,
    doctor_commands,
    edit_commands,
    environment_commands,
    mapping,
    plan_commands,
    run_commands,
    secret_commands,
)
from flyte_nb.browsing import browse
from flyte_nb.cell_line import cell_parser, rewrite
from flyte_nb.clone_panels import panel_of
from flyte_nb.cloning import ClonePreview
from flyte_nb.commands import Command, HelpAsked, Parser, by_name, choose
from flyte_nb.completion.completer import Completer, add_to
from flyte_nb.errors import UsageError
from flyte_nb.notebook.shell import MAGIC
from flyte_nb.plan.preview import Plan
from flyte_nb.plan_panels import plan_panel
from flyte_nb.session import Session, current_session
from flyte_nb.showing import show_as_cards, show_changes
from flyte_nb.views import Stack, View
from flyte_nb.widgets import deployments
from flyte_nb.widgets import help as pages
from flyte_nb.widgets.interactive import Interactive, has_widgets
from flyte_nb.widgets.live import in_notebook, map_in_notebook

__all__ = ["CELL", "VERBS", "FlyteMagics", "load"]

WELCOME = "flyte_nb is ready: declare an environment with  %%flyte my-env --cpu 1   or type  %flyte help"


def _help(words: list[str], session: Session) -> View:
    """Show all verbs, or one."""
    parser = Parser(prog="%flyte help")
    parser.add_argument("verb", nargs="?", metavar="VERB", help="a verb, or cell: the first line of a %%%%flyte cell")
    verb = parser.parse_args(words).verb
    if verb is None:
        return Stack([pages.overview((CELL, *VERBS.values())), pages.options(cell_parser())])
    if verb == "cell":
        return pages.page(CELL, cell_parser())
    name, _ = choose("%flyte help", [verb], [*VERBS, "cell"])
    return answer(VERBS[name], ["--help"], session)


#: the first line of a cell; it is no verb
CELL = Command(
    "%%flyte [NAME] [options]",
    "a cell that declares; with NAME, an environment bound as env (and task = env.task)",
    cell_parser,
    ("%%flyte", "%%flyte my-env --cpu 2 --memory 4Gi", "%%flyte my-env --env MODE=fast --secret api-key --cache auto"),
)
#: every verb of %flyte, in the order of the help; a new one is a row of its module's COMMANDS
VERBS = by_name(
    (
        *environment_commands.COMMANDS,
        *edit_commands.COMMANDS,
        *clone_commands.COMMANDS,
        *plan_commands.COMMANDS,
        *deploy_commands.COMMANDS,
        *run_commands.COMMANDS,
        *app_commands.COMMANDS,
        *secret_commands.COMMANDS,
        *connect_commands.COMMANDS,
        *doctor_commands.COMMANDS,
        Command(
            "%flyte help [VERB]",
            "this page, or one verb with its options and examples",
            _help,
            ("%flyte help", "%flyte help run", "%flyte help cell"),
        ),
    )
)


def answer(command: Command, words: list[str], session: Session) -> View:
    """Carry out a verb; where its line asks for help, give its page."""
    try:
        view: View = command.function(words, session)
    except HelpAsked as asked:
        return pages.page(command, asked.parser)
    return view


@magics_class
class FlyteMagics(Magics):
    """``%flyte`` and ``%%flyte``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self._shell, self._session = shell, session

    @line_cell_magic
    def flyte(self, line: str, cell: str | None = None) -> View | None:
        """Environments, tasks and deployments: type ``%flyte help``."""
        if cell is not None:  # reached only by code that calls the magic itself; cells are rewritten before they run
            self._shell.run_cell(f"{MAGIC} {line}\n{cell}")
            return None
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"%flyte: {str(error).lower()} in {line!r}") from None
        if not words and has_widgets():
            return browse()
        try:
            verb, rest = choose("%flyte", words, list(VERBS))
        except HelpAsked:
            verb, rest = "help", []
        return answer(VERBS[verb], rest, self._session)


def load(shell: Any) -> None:
    """Add the magics to a shell and watch its cells; loading twice changes nothing."""
    session = current_session(shell)
    transformers = shell.input_transformer_manager.cleanup_transforms
    first_time = rewrite not in transformers
    if first_time:
        transformers.append(rewrite)
    session.show_changes = show_changes
    if hasattr(shell, "kernel"):  # a terminal would print the line again for each change of it
        session.show_run = in_notebook
        mapping.progress.shown = map_in_notebook
        session.show_progress = deployments.in_notebook
    shell.register_magics(FlyteMagics(shell, session))
    add_to(shell, Completer(VERBS, cell_parser, session))
    show_as_cards(shell, session)
    _show_as_panels(shell, session)
    if first_time:
        print(WELCOME)


def _show_as_panels(shell: Any, session: Session) -> None:
    """Let plans and clones appear as panels where a cell ends with one, in a front end with widgets."""
    panels: dict[type, Callable[[Any], Interactive]] = {
        Plan: lambda plan: plan_panel(session, plan),
        ClonePreview: lambda preview: panel_of(session, preview),
    }
    for kind, panel in panels.items():
        shell.display_formatter.ipython_display_formatter.for_type(kind, partial(_show_panel, panel))


def _show_panel(panel: Callable[[Any], Interactive], value: Any) -> None:
    """Show the panel of a value.

    Raises
    ------
    NotImplementedError
        Where there is no front end for it: IPython shows the value in the other ways that it knows.
    """
    if not has_widgets():
        raise NotImplementedError
    panel(value)._ipython_display_()
