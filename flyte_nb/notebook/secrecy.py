"""Secrecy: keeps passwords, tokens and keys out of generated modules and the values beside them."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from flyte_nb.environments.declaration import looks_secret
from flyte_nb.errors import SliceError

__all__ = ["check_value", "known_secrets", "refuse_known", "texts_in"]

#: names that hardly ever stand for anything else; a token or a key may be part of a text or of a table
_CERTAIN = re.compile(
    r"(?i)pass(word|wd|phrase)|(^|[_\-.])(secrets?|credentials?|(api|access|private|secret|auth)_?keys?"
    r"|(api|access|auth|bearer|refresh|session|secret|hf|github|gitlab|slack|bot)_?tokens?)($|[_\-.\d])"
)
#: what only a credential looks like
_VALUE = re.compile(
    r"^(sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|hf_\w{20,}|A[KS]IA[A-Z0-9]{16}$"
    r"|eyJ[\w-]+\.eyJ|-----BEGIN [A-Z ]*PRIVATE KEY)|://[^/\s:@]+:[^/\s@]+@"
)
_SHORTEST = 8  # characters: anything shorter may be in any text by chance
_ADVICE = (
    "and would be written into the task's module. Give the environment  secrets=[flyte.Secret({key!r})]  "
    "and read  os.environ[{key!r}]  in the task"
)


def check_value(name: str, value: Any, label: str, written: Collection[str] | None = None) -> str | None:
    """Refuse a value that is a secret by its name or its look.

    Parameters
    ----------
    name : str
        The variable.
    value : object
        What it stands for; dictionaries, lists and tuples are looked into.
    label : str
        The cell and line that bound it.
    written : iterable of str, optional
        The texts that would be written, where it is source that travels; None for the value itself.

    Returns
    -------
    str or None
        A notice where only the name may be that of a secret.

    Raises
    ------
    SliceError
        For what can hardly be anything but a secret.
    """
    notice = None
    for path, text in _texts(name, value, 3):
        if written is not None and not any(len(part) > 2 and part in text for part in written):
            continue
        what = f"variable {path!r} of {label}"
        key = re.sub(r"\W+", "_", path).strip("_").upper()
        if _VALUE.search(text) or _CERTAIN.search(path) or (looks_secret(path) and _is_random(text)):
            raise SliceError(f"{what} looks like a secret {_ADVICE.format(key=key)}")
        if looks_secret(path) and notice is None:
            notice = f"{what} is written into the task's module; if it is a secret, declare  flyte.Secret({key!r})"
    return notice


def _texts(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Give the texts of a value, each with the name of its place: ``config['api_key']``, not their bytes or parts."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        if value.strip():
            yield path, value
    elif isinstance(value, Mapping) and depth and type(value).__module__ in ("builtins", "collections"):
        for key, item in list(value.items())[:1000]:
            if isinstance(key, str):
                yield from _texts(key if isinstance(item, str | bytes) else path, item, depth - 1)
    elif type(value) in (list, tuple, set, frozenset) and depth:
        for item in list(value)[:1000]:
            if not isinstance(item, str | bytes) or _VALUE.search(item if isinstance(item, str) else ""):
                yield from _texts(path, item, depth - 1)


def _is_random(text: str) -> bool:
    """Tell whether a text looks like a generated one: long, letters and digits mixed, no blanks."""
    return (
        len(text) >= 16
        and not re.search(r"[\s/\\<>]", text)
        and bool(re.search(r"[A-Za-z]", text) and re.search(r"\d", text))
    )


def known_secrets(given: Iterable[str] = ()) -> frozenset[str]:
    """Give the secrets of this process: those given, and the variables of its environment with a secret's name."""
    found = {value for name, value in os.environ.items() if looks_secret(name) and _is_random(value)}
    return frozenset(found | {value for value in given if len(value) >= _SHORTEST})


def refuse_known(secrets: Iterable[str], text: str, what: str) -> None:
    """Refuse a text that holds a known secret.

    Raises
    ------
    SliceError
        Saying what it is, never the secret.
    """
    if any(secret in text for secret in secrets):
        raise SliceError(f"{what} holds the value of a secret {_ADVICE.format(key='KEY')}")


def texts_in(node: ast.Assign | ast.AnnAssign) -> set[str]:
    """Give the texts that a statement assigns, or parts of what it assigns."""
    found = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return {f if isinstance(f, str) else f.decode("latin-1") for f in found if isinstance(f, str | bytes)}
