"""``%flyte secret``: set a secret for this session without showing it, list what is set, forget it."""

from __future__ import annotations

from getpass import getpass
from typing import Any

from flyte_nb.commands import Command, Parser, choose
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.errors import UnknownNameError, UsageError
from flyte_nb.session import Session
from flyte_nb.views import Table, Text, View

__all__ = ["COMMANDS", "secret_command"]

_VERBS = ["set", "list", "unset"]


def secret_command(words: list[str], secrets: Secrets) -> View:
    """Carry out the words after ``%flyte secret``; the value is asked for, never part of the line.

    Parameters
    ----------
    words : list of str
        ``set KEY [--group G]``, ``unset KEY [--group G]`` or ``list``.
    secrets : Secrets
        Those of the session.

    Raises
    ------
    UsageError
        For an unknown verb or option, and for a value that is empty.
    UnknownNameError
        When what shall be forgotten is not set.
    """
    verb, rest = choose("%flyte secret", words, _VERBS, default="list")
    parser = Parser(prog=f"%flyte secret {verb}")
    if verb == "list":
        parser.parse_args(rest)
        return _listed(secrets)
    parser.add_argument("key", metavar="KEY", help="its key")
    parser.add_argument("--group", metavar="G", help="the group of the key")
    if verb == "unset":
        return _unset(parser.parse_args(rest), secrets)
    try:
        options = parser.parse_args(rest)
    except UsageError:  # its message repeats what was given, which may be the value
        options = None
    if options is None:
        raise UsageError("given something else; accepted: %flyte secret set KEY [--group G]; the value is asked for")
    return _set(options, secrets)


def _set(options: Any, secrets: Secrets) -> View:
    value = getpass(f"Value of {_named(options.key, options.group)} (hidden): ")
    secrets.set(options.key, value, options.group)
    return Text(f"{_named(options.key, options.group)} is set for this session, in memory only")


def _unset(options: Any, secrets: Secrets) -> View:
    if not secrets.unset(options.key, options.group):
        raise UnknownNameError("secret set in this session", options.key, [key for key, _ in secrets.names()])
    return Text(f"{_named(options.key, options.group)} is forgotten")


def _listed(secrets: Secrets) -> View:
    rows = [[key, group or ""] for key, group in secrets.names()]
    return Table(("secret", "group"), rows) if rows else Text("no secret is set in this session")


def _named(key: str, group: str | None) -> str:
    return f"{key} of the group {group}" if group else key


def _secret(words: list[str], session: Session) -> View:
    """Carry out the words with the secrets of the session."""
    return secret_command(words, session.secrets)


COMMANDS = (
    Command(
        "%flyte secret [set KEY | list | unset KEY] [--group G]",
        "the values of secrets in this session; asked for, never shown",
        _secret,
        ("%flyte secret set api-key", "%flyte secret list", "%flyte secret unset api-key"),
    ),
)
