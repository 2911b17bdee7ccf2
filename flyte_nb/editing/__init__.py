"""Editing: ``flyte.edit``, the draft of an environment in an editor that follows what is declared."""

from __future__ import annotations

from flyte_nb.editing.editor import Editor, edit

__all__ = ["Editor", "edit"]
