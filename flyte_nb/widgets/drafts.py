"""Drafts: the changes of an environment that are not applied yet, and the code that makes them."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Mapping

from flyte_nb.declared_source import Rewritten
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import HIDDEN, Change, looks_secret, mask
from flyte_nb.environments.image import Image
from flyte_nb.views import Diff, View
from flyte_nb.widgets.environments import parts
from flyte_nb.widgets.settings import told_setting

__all__ = ["View", "clone", "code", "draft", "hides", "unwritable"]

_SIGNS = {"+ ": "+", "- ": "-"}
_PAIR = re.compile(r"""(?P<name>[\w.-]+)(?P<between>["']?\s*[:=]\s*)(?P<value>"[^"]*"|'[^']*'|[^\s"',(){}\[\]]+)""")
_TEXT = re.compile(r""""[^"]*"|'[^']*'""")


def draft(env: Environment, changes: list[Change], stale: str = "") -> Diff:
    """Show what a draft would change.

    Parameters
    ----------
    env : Environment
        What is edited.
    changes : list of Change
        The fields that differ.
    stale : str, optional
        Why it cannot be applied as it stands.
    """
    lines = [("!", "this draft cannot be applied as it stands", stale)] if stale else []
    lines += [
        ("~", f"{env.name}.{c.field}", f"{_word(c.field, c.before)} → {_word(c.field, c.after)}")
        for change in changes
        for c in parts(change)
    ]
    if not changes:
        lines.append(("=", f"a draft of {env.name}", "no changes yet: draft.set('resources.memory', '8Gi')"))
    return Diff(lines)


def _word(field: str, value: object) -> str:
    return told_setting(field, value) if isinstance(value, Image) else mask(field, value)


def code(written: Rewritten) -> Diff:
    """Show the lines of a source that a draft changes."""
    lines = [("!", written.reason, "offered in its place: the code to add in a new cell")] if written.reason else []
    lines += [("!", notice, "") for notice in written.notices]
    before, after = written.before.splitlines(), written.source.splitlines()
    found = [line for line in difflib.ndiff(before, after) if line[:2] in _SIGNS]
    shown = textwrap.dedent("\n".join(line[2:] for line in found)).split("\n")
    lines += [(_SIGNS[line[:2]], _hidden(text), "") for line, text in zip(found, shown, strict=False)]
    where = f"{written.where}, rewritten" if written.before else "a new cell"
    return Diff([("=", where, ""), *lines])


def clone(name: str, env: Environment, errors: Mapping[str, str], notices: list[str]) -> Diff:
    """Show what a clone with the changes of a draft would be: they are shown beside it."""
    lines = [("+", name, f"a clone of {env.name} with these changes; not declared yet")]
    lines += [("!", field or "refused", error) for field, error in errors.items()]
    return Diff([*lines, *(("!", notice, "") for notice in notices)])


def unwritable(why: str) -> Diff:
    """Show that there is no code to show."""
    return Diff([("!", "it cannot be written as code", why)])


def hides(source: str) -> bool:
    """Tell whether a source holds what must not be shown."""
    return any(_hidden(line) != line for line in source.splitlines())


def _hidden(line: str) -> str:
    """Hide what looks like a secret in a line of source."""

    def pair(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        is_secret = looks_secret(name, value.strip("\"'")) and name != "secrets"
        return f"{name}{match['between']}{HIDDEN if is_secret else value}"

    line = _PAIR.sub(pair, line)
    return _TEXT.sub(lambda match: HIDDEN if looks_secret("", match[0][1:-1]) else match[0], line)
