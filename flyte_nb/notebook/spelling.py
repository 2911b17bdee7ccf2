"""Spelling: field values written as the Python that makes them, with the names that a notebook or a module has."""

from __future__ import annotations

import dataclasses
import keyword
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from types import ModuleType
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Declaration, looks_secret, reading, same, set_fields
from flyte_nb.environments.image import Image
from flyte_nb.errors import UsageError
from flyte_nb.notebook.image_spelling import image_calls

__all__ = ["Spelling", "quoted", "shortest", "variable_for"]

_PACKAGE = __name__.partition(".")[0]
_PUBLIC = ("", ".app", ".app.extras", ".clustered", ".notify", ".models", ".extend", ".durable", ".io")
_MISSING = object()


class Spelling:
    """Writes values as Python; gathers the imports that this needs and what is to be noticed about it.

    Parameters
    ----------
    namespace : mapping
        The names that the code has already: those of the notebook, or of a module.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        #: statements that have to run before the code, a line each
        self.imports: list[str] = []
        #: what a person should know of the code
        self.notices: list[str] = []

    def value(self, value: Any) -> str:
        """Give the expression for a value.

        Raises
        ------
        UsageError
            For an object that is neither plain data, nor a declaration, nor bound to a variable.
        """
        if type(value) in (type(None), bool, int, bytes, complex):
            return repr(value)
        if isinstance(value, float):
            return repr(value) if value - value == 0 else f'float("{value}")'
        if type(value) is str:
            return quoted(value)
        for kind, spell in self._kinds():
            if isinstance(value, kind):
                return spell(value)
        return self._object(value)

    def _kinds(self) -> Iterator[tuple[Any, Callable[[Any], str]]]:
        yield Environment, self.environment
        yield Image, self._image
        yield Declaration, lambda value: self.call(self.named(type(value)), shortest(value))
        yield dict, self._dict
        yield (list, tuple, set, frozenset), self._items
        yield timedelta, self._timedelta
        yield (datetime, date), lambda value: f"{self._module('datetime')}.{repr(value).removeprefix('datetime.')}"
        yield PurePath, lambda value: f"{self.named(_path_class(value))}({quoted(str(value))})"
        yield Enum, lambda value: f"{self.named(type(value))}.{value.name}"

    def call(self, function: str, arguments: Mapping[str, Any]) -> str:
        """Give a call with keyword arguments."""
        return f"{function}({', '.join(f'{name}={self.value(value)}' for name, value in arguments.items())})"

    def environment(self, env: Environment) -> str:
        """Give the variable of an environment, else the call that finds it in the registry."""
        variable = self.variable(env)
        return variable or f"{self.package()}.current_registry().find({quoted(env.name)})"

    def variable(self, value: Any) -> str | None:
        """Give the shortest name that stands for this very object."""
        named = [name for name, held in list(self._namespace.items()) if held is value and is_plain_name(name)]
        return min(named, key=lambda name: (len(name), name), default=None)

    def package(self) -> str:
        """Give the name of this package, imported as ``flyte`` where it has none."""
        package = sys.modules[_PACKAGE]
        named = [n for n, held in list(self._namespace.items()) if held is package and not n.startswith("_")]
        if named:
            return "flyte" if "flyte" in named else min(named)
        name = "flyte" if self._namespace.get("flyte", _MISSING) is _MISSING else "_flyte"
        self._import(f"import {_PACKAGE} as {name}")
        return name

    def named(self, kind: Any) -> str:
        """Give the expression for a class or a function.

        Raises
        ------
        UsageError
            For one that is defined within a function.
        """
        name = getattr(kind, "__name__", "")
        if self._namespace.get(name, _MISSING) is kind:
            return str(name)
        if kind.__module__.startswith(f"{_PACKAGE}."):
            for path in _PUBLIC:
                module = sys.modules.get(_PACKAGE + path)
                outer, _, _ = kind.__qualname__.partition(".")
                if module is not None and hasattr(module, outer) and _at(module, kind.__qualname__) is kind:
                    return f"{self.package()}{path}.{kind.__qualname__}"
        if kind.__module__ == "builtins":
            return str(name)
        if "." in kind.__qualname__ or kind.__module__ == "__main__":
            raise UsageError(f"{kind.__qualname__} of {kind.__module__} has no name that a cell could write")
        if name in self._namespace:
            return f"{self._module(kind.__module__)}.{name}"
        self._import(f"from {_module_of(kind)} import {name}")
        return str(name)

    def _object(self, value: Any) -> str:
        variable = self.variable(value)
        if variable is not None:
            return variable
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
            return self.call(self.named(type(value)), fields)
        if hasattr(value, "__qualname__") and not isinstance(value, ModuleType) and "<" not in value.__qualname__:
            return self.named(value)
        raise UsageError(
            f"an object of type {type(value).__name__} cannot be written as code; "
            "accepted: plain data, declarations, or what a variable stands for: bind it to one first"
        )

    def _image(self, image: Image) -> str:
        variable = self.variable(image)
        if variable is not None:
            return variable
        text = self.named(Image)
        for method, positional, named in image_calls(image):
            words = [self.value(word) for word in positional]
            text += f".{method}({', '.join([*words, *(f'{k}={self.value(v)}' for k, v in named.items())])})"
        return text

    def _dict(self, value: dict[Any, Any]) -> str:
        items = [f"{self.value(key)}: {self.item(key, held)}" for key, held in value.items()]
        return f"{{{', '.join(items)}}}"

    def item(self, key: Any, value: Any) -> str:
        """Give the expression for an item of a dict; what looks like a secret is read from this process instead."""
        if not (isinstance(key, str) and isinstance(value, str) and value and looks_secret(key, value)):
            return self.value(value)
        self.notices.append(
            f"{key!r} looks like a secret: its value is not written; the code reads it from os.environ. "
            f"Better: secrets=[flyte.Secret({key!r})]"
        )
        return f"{self._module('os')}.environ[{quoted(key)}]"

    def _items(self, value: Any) -> str:
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        items = ", ".join(map(self.value, ordered))
        if isinstance(value, list):
            return f"[{items}]"
        if isinstance(value, tuple):
            return f"({items},)" if len(value) == 1 else f"({items})"
        text = f"{{{items}}}" if items else "set()"
        return f"frozenset({text if items else ''})" if isinstance(value, frozenset) else text

    def _timedelta(self, value: timedelta) -> str:
        if self._namespace.get("timedelta") is timedelta:
            return repr(value).removeprefix("datetime.")
        return f"{self._module('datetime')}.{repr(value).removeprefix('datetime.')}"

    def _module(self, name: str) -> str:
        """Give the name of a module, imported where it has none."""
        module = sys.modules[name]
        known = self.variable(module)
        if known is not None:
            return known
        outer = name.partition(".")[0]
        if self._namespace.get(outer, _MISSING) in (_MISSING, sys.modules.get(outer)):
            self._import(f"import {name}")
            return name
        self._import(f"import {name} as _{name.replace('.', '_')}")
        return f"_{name.replace('.', '_')}"

    def _import(self, statement: str) -> None:
        if statement not in self.imports:
            self.imports.append(statement)


def arguments_of(declared: Declaration) -> dict[str, Any]:
    """Give the constructor's arguments that make a declaration: its fields that are not at their defaults."""
    accepted = {f.name for f in dataclasses.fields(declared) if f.init}  # type: ignore[arg-type]
    return {name: value for name, value in set_fields(declared) if name in accepted}


def shortest(declared: Declaration) -> dict[str, Any]:
    """Give as few and as plain arguments as make an equal declaration: what it derives is left out."""
    given = arguments_of(declared)
    for name, value in list(given.items()):
        plainer = int(value.total_seconds()) if isinstance(value, timedelta) else _MISSING
        without = {n: v for n, v in given.items() if n != name}
        if _makes(type(declared), without, declared):
            given = without
        elif plainer is not _MISSING and _makes(type(declared), {**given, name: plainer}, declared):
            given[name] = plainer
    return given


def _makes(kind: Any, arguments: dict[str, Any], value: Any) -> bool:
    within = reading.set(True)  # what is doubtful about it has been said when it was declared
    try:
        return same(kind(**arguments), value)
    except (TypeError, ValueError):  # a required field, or one that needs the other
        return False
    finally:
        reading.reset(within)


def _path_class(value: PurePath) -> Any:
    """Give the class that people write for a path."""
    return next(kind for kind in type(value).__mro__ if kind.__name__ in ("Path", "PurePath"))


def _module_of(kind: Any) -> str:
    """Give the module that people import a class from: for one of a plugin of this package, the plugin's own."""
    name = str(kind.__module__)
    return ".".join(name.split(".")[:3]) if name.startswith(f"{_PACKAGE}.plugins.") else name


def _at(module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part, _MISSING)
    return found


def is_plain_name(name: str) -> bool:
    """Tell whether a person would write a name: none of IPython's ``_``, ``_12`` or ``In``."""
    return name.isidentifier() and not name.startswith("_") and name not in ("In", "Out", "exit", "quit")


def variable_for(name: str, namespace: Mapping[str, Any]) -> str:
    """Give a variable for an environment of a name that stands for nothing else yet."""
    wanted = re.sub(r"\W", "_", name)
    wanted = f"env_{wanted}" if not wanted.isidentifier() or keyword.iskeyword(wanted) else wanted
    while wanted in namespace and getattr(namespace[wanted], "name", None) != name:
        wanted += "_env" if not wanted.endswith("_env") else "_"
    return wanted


def quoted(text: str) -> str:
    """Write a text in double quotes where that needs no further escape."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain.startswith("'") and '"' not in text and "\\" not in plain else plain
