"""Clones: what a clone would be, and several of them side by side."""

from __future__ import annotations

from collections.abc import Mapping

from flyte_nb.environments.declaration import Change, mask
from flyte_nb.environments.provenance import Setting
from flyte_nb.views import Diff, Fold, Stack, Table, View
from flyte_nb.widgets.environments import parts

__all__ = ["comparison", "preview"]

_DEFAULT = "default"


def preview(head: list[tuple[str, str, str]], settings: list[Setting], changes: list[Change]) -> View:
    """Show a clone: what it is, what is refused, what differs, and every setting with where it comes from.

    Parameters
    ----------
    head : list of (sign, what, text)
        The lines that say what it is, as those of a `Diff`.
    settings : list of Setting
        Its settings; those at their defaults are folded.
    changes : list of Change
        How they differ from those of what is cloned.
    """
    refused = [row.field for row in settings if row.error]
    lines = [*head, *([("!", f"refused: {', '.join(refused)}", "see the rows; apply() raises it")] if refused else [])]
    lines += [
        ("~", c.field, f"{mask(c.field, c.before)} → {mask(c.field, c.after)}")
        for change in changes
        for c in parts(change)
    ]
    shown = [row for row in settings if row.how != _DEFAULT or row.error]
    usual = [(row.field, mask(row.field, row.value)) for row in settings if row.how == _DEFAULT and not row.error]
    rows = [(row.field, mask(row.field, row.value), _where(row)) for row in shown]
    views: list[View] = [Diff(lines)]
    if rows:
        views.append(Table(("setting", "value", "comes from"), rows))
    if usual:
        views.append(Fold(_usual(len(usual)), Table(("setting", "value"), usual)))
    return Stack(views)


def _usual(count: int) -> str:
    return f"{count} settings at their defaults" if count != 1 else "1 setting at its default"


def _where(row: Setting) -> str:
    if row.error:
        return f"refused: {row.error}"
    if row.how == "inherited":
        return f"inherited from {row.source}"
    return {"overridden": "overridden", "reset": "reset to its default", "set": "set"}.get(row.how, _DEFAULT)


def comparison(columns: Mapping[str, list[Setting]]) -> View:
    """Show several environments side by side: the settings in which they differ, then those that are the same.

    Parameters
    ----------
    columns : mapping of str to list of Setting
        Their settings, by name.
    """
    found = {title: {row.field: row for row in rows} for title, rows in columns.items()}
    fields = list(dict.fromkeys(row.field for rows in columns.values() for row in rows))
    rows, alike, usual = [], [], 0
    for field in fields:
        cells = [by_field.get(field) for by_field in found.values()]
        texts = [_text(field, row) for row in cells]
        if len(set(texts)) == 1 and not any(row and row.error for row in cells):
            if all(row and row.how == _DEFAULT for row in cells):
                usual += 1
            else:
                alike.append(f"{field}={texts[0]}")
        else:
            noted = zip(texts, cells, strict=True)
            rows.append((field, *(f"{text}{_note(row, text != texts[0])}" for text, row in noted)))
    table = Table(("setting", *columns), rows)
    lines = [] if rows else [("=", "no difference", "")]
    if usual:
        alike.append(_usual(usual))
    lines += [("=", "the same in all", ", ".join(alike))] if alike and len(columns) > 1 else []
    return Stack([*([table] if rows else []), Diff(lines)])


def _text(field: str, row: Setting | None) -> str:
    return "—" if row is None else mask(field, row.value)


def _note(row: Setting | None, differs: bool) -> str:
    """Say that a value is refused; of one that differs from the first column's, that it is overridden or reset."""
    if row is None:
        return ""
    if row.error:
        return f" (refused: {row.error})"
    return f" ({row.how})" if differs and row.how in ("overridden", "reset") else ""
