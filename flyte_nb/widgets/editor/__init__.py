"""The editor of an environment: its settings as controls, beside them what changes and the code that says so."""

from __future__ import annotations

from flyte_nb.widgets.editor.state import Choice, Edited, Editing, FieldState, Item
from flyte_nb.widgets.editor.view import EditorView

__all__ = ["Choice", "Edited", "Editing", "EditorView", "FieldState", "Item"]
