"""Function bodies: a version of a function from what it does, its helpers included."""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from flyte_nb.environments.declaration import Declaration, plain, stable_repr

__all__ = ["FunctionBodyPolicy", "VersionParameters"]

_CONSTANTS = (str, bytes, int, float, complex, bool, type(None))


@dataclass
class VersionParameters:
    """What a cache policy may look at.

    Parameters
    ----------
    func : callable or None
        The task's function.
    image : str or Image, optional
        The image it runs in.
    code_bundle : CodeBundle, optional
        The code that travels with it.
    """

    func: Callable[..., Any] | None
    image: Any = None
    code_bundle: Any = None


@dataclass(frozen=True, repr=False)
class FunctionBodyPolicy(Declaration):
    """A version from what the task's function does.

    What counts: the function's syntax tree with its decorators, defaults and annotations; the values of its defaults;
    the same of every function and task of the user's own that it reads by name, and of those that these read; the
    plain constants that they read; the image as it is declared. Comments, spacing and line breaks do not count, nor
    do installed packages, nor what is reached through a module or an object.
    """

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """Give the digest of all this and the salt; empty without a function."""
        if params.func is None:
            return ""
        func = inspect.unwrap(params.func)
        parts = [_tree(func), _defaults(func), *_read_by(func)]
        if params.image is not None:
            parts.append(json.dumps(plain(params.image), sort_keys=True))
        return hashlib.sha256(json.dumps([salt, *parts]).encode()).hexdigest()


def _tree(func: Any) -> str:
    return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(func))))


def _defaults(func: Any) -> str:
    """Word the values of defaults: a name in the tree says nothing of what it stood for."""
    values = [*(getattr(func, "__defaults__", None) or ()), *(getattr(func, "__kwdefaults__", None) or {}).values()]
    return ", ".join(map(stable_repr, values))


def _read_by(func: Any) -> list[str]:
    """Word what a function and its helpers read, each helper once, whatever the order in which they read it."""
    seen, waiting, found = [func], [func], []
    while waiting:
        for name, value in _names(waiting.pop()):
            helper = _own_function(value)
            if helper is None and isinstance(value, _CONSTANTS):
                found.append(f"{name} = {value!r}")
            if helper is not None and not any(helper is other for other in seen):
                seen.append(helper)
                waiting.append(helper)
                found.append(f"{_helper(helper)} {_defaults(helper)}")
    return sorted(found)


def _names(func: Any) -> Iterator[tuple[str, Any]]:
    """Give the globals and the outer variables that a function reads, by name, with the values they have now."""
    code = getattr(func, "__code__", None)
    if code is None:
        return
    for name in sorted(_global_names(code)):
        if name in func.__globals__:
            yield name, func.__globals__[name]
    for name, cell in zip(code.co_freevars, func.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # an outer variable that is not bound yet
            continue


def _global_names(code: CodeType) -> set[str]:
    """Give the names that a function's code, and the code inside it, looks up among the globals."""
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    own = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return own.union(*(_global_names(part) for part in inner))


def _own_function(value: Any) -> Any:
    """Give the function behind a function or a task of the user's own; None for anything else."""
    value = getattr(value, "func", value) if isinstance(value, Declaration) else value
    value = inspect.unwrap(value) if callable(value) else value
    return value if isinstance(value, FunctionType) and _is_users(value) else None


def _is_users(func: FunctionType) -> bool:
    """Tell code that people change as they work from code that is installed."""
    file = func.__code__.co_filename.replace("\\", "/")
    return not any(part in file for part in ("/site-packages/", "/dist-packages/", "/lib/python", "<frozen "))


def _helper(func: FunctionType) -> str:
    try:
        return _tree(func)
    except (OSError, SyntaxError, TypeError):  # no source, or one that does not stand alone, such as a lambda's
        return f"{func.__code__.co_code.hex()} {stable_repr(func.__code__.co_consts)}"
