"""The installed Flyte SDK: loaded at first use, and asked by dotted name; what a version lacks is None."""

from __future__ import annotations

import dataclasses
import inspect
from functools import lru_cache
from importlib import import_module
from typing import Any

from flyte_nb.errors import InitializationError
from flyte_nb.tracebacks import same_excepthook

__all__ = ["TESTED", "accepted", "find", "installed", "version"]

#: the versions that the tests translate every declaration for; those between them are expected to work
TESTED = ("2.3.9", "2.6.5", "2.12.1")


def installed() -> Any:
    """Give the package ``flyte``.

    Raises
    ------
    InitializationError
        When it is not installed.
    """
    try:
        with same_excepthook():
            return import_module("flyte")
    except ImportError as error:
        told = f"this needs the Flyte SDK ({error}); install it with: pip install 'flyte_nb[cluster]'"
        raise InitializationError("PackageMissing", "user", told) from None


@lru_cache(maxsize=1)
def version() -> str:
    """Give the version of the installed SDK."""
    return str(installed().version())


@lru_cache(maxsize=512)
def find(path: str) -> Any:
    """Give what the SDK has under a dotted name, such as ``"flyte.app.Scaling.Concurrency"``; None for nothing."""
    installed()
    found: Any = None
    for end in range(len(parts := path.split(".")), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for name in parts[end:]:
            found = getattr(found, name, None)
        return found
    return found


@lru_cache(maxsize=512)
def accepted(target: Any) -> frozenset[str]:
    """Give the names of what a class of the SDK can be made with."""
    parameters = inspect.signature(target).parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if any(p.kind is p.VAR_KEYWORD for p in parameters) and dataclasses.is_dataclass(target):
        names |= {field.name for field in dataclasses.fields(target) if field.init}
    return frozenset(names)
