"""Words: the values of an environment's settings as the editor shows them, with what looks like a secret hidden."""

from __future__ import annotations

from collections.abc import Iterator

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import HIDDEN, looks_secret, mask
from flyte_nb.environments.secrets import Secret
from flyte_nb.form.fields import FormField
from flyte_nb.registry import process_registry
from flyte_nb.views import shown
from flyte_nb.widgets.editor import Item
from flyte_nb.widgets.settings import told_setting

__all__ = ["LONGEST", "as_secret", "declared_at", "differs", "named", "seen", "variables", "worded"]

LONGEST = 10_000  # characters that a control takes


def seen(field: FormField, env: Environment) -> tuple[str, str]:
    """Give the text of a field, or where it cannot be shown as one, its value in words."""
    if not field.is_editable(env):
        value = field.value(env)
        is_empty = value is None or (type(value) in (list, tuple) and not value)
        return "", "not set" if is_empty else told_setting(field.path, value)
    text = field.text(env)
    if len(text) > LONGEST:
        return "", shown(text)
    return ("", HIDDEN) if looks_secret(field.label, text) and text and field.shape.kind != "flag" else (text, "")


def differs(field: FormField, declared: Environment, proposed: Environment) -> bool:
    """Tell whether a draft says of a field what is not declared."""
    if field.is_editable(declared) != field.is_editable(proposed):
        return True
    if field.is_editable(proposed):
        return field.text(declared) != field.text(proposed)
    return bool(field.value(declared) is not field.value(proposed))


def worded(path: str, value: object) -> str:
    """Word a value; what looks like a secret stays hidden."""
    name = path.rpartition(".")[2]
    if value is None:
        return "not set"
    return HIDDEN if looks_secret(name, value) else mask(name, value)


def variables(env: Environment, before: Environment) -> Iterator[Item]:
    """Give the variables, those that look like secrets without their values."""
    old = before.env_vars or {}
    for name, value in (env.env_vars or {}).items():
        is_hidden = looks_secret(name, value)
        kind = "" if old.get(name) == value else "changed"
        was = worded(name, old[name]) if name in old else ""
        note = "" if not kind else f"was {was}" if was else "added"
        hidden = f"hidden, as it looks like a secret{f'; {note}' if note else ''}"
        is_long = len(value) > LONGEST
        told = hidden if is_hidden else f"{len(value):,} characters" if is_long else note
        yield Item(name, None if is_hidden or is_long else value, told, kind, is_hidden)


def as_secret(item: str | Secret) -> Secret:
    """Give an item of ``secrets`` as what it stands for."""
    return item if isinstance(item, Secret) else Secret(item)


def named(key: str, group: str | None) -> str:
    """Give the name by which the editor knows a secret."""
    return f"{group}/{key}" if group else key


def declared_at(env: Environment) -> str:
    """Word where a dependency is declared."""
    newest = process_registry.get(env.name)
    return f"declared at {newest.place}" if newest is not None else "not declared any more"
