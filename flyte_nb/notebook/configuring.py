"""Configuring: what a statement does to objects that other statements defined, instead of binding a name of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Configuration", "configurations"]

#: methods that build an object up, by the first word of their name; others, such as ``run``, use it
_BUILDS = re.compile(r"(add|append|bind|connect|extend|include|insert|mount|register|set|update|use)(_|$)")
_REGISTERS = re.compile(r"register(_|$)")
_SETTERS = ("setattr", "delattr")


@dataclass(frozen=True)
class Configuration:
    """One way in which a statement configures the object of a name.

    Parameters
    ----------
    name : str
        The variable, function or class.
    kind : {"call", "assign", "decorator", "argument"}
        ``name.add(…)``, ``name.attribute = …``, ``@name.get(…)``, or ``Registry.register(name)``.
    word : str
        The method or attribute.
    key : str
        The same for what replaces it: another assignment of the same attribute, a function decorated again.
    """

    name: str
    kind: str
    word: str
    key: str

    @property
    def builds(self) -> bool:
        """Whether it builds an object up that was made by a call, such as ``app = FastAPI()``."""
        return self.kind in ("assign", "decorator") or bool(_BUILDS.match(self.word))

    @property
    def registers(self) -> bool:
        """Whether it adds to what a function or a class does, wherever that was defined."""
        return self.kind in ("assign", "argument") or bool(_REGISTERS.match(self.word))


def configurations(node: ast.stmt, source: str) -> Iterator[Configuration]:
    """Give what a statement configures.

    Parameters
    ----------
    node : ast.stmt
        The statement.
    source : str
        Its text.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from _decorations(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from _calls(node.value, source)
    elif isinstance(node, ast.Assign | ast.Delete):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                text = ast.unparse(target)
                kept = f"del {text}" if isinstance(node, ast.Delete) else text
                yield Configuration(target.value.id, "assign", target.attr, kept)


def _calls(call: ast.Call, source: str) -> Iterator[Configuration]:
    match call:
        case ast.Call(func=ast.Name(id=setter), args=[ast.Name(id=name), ast.Constant(value=str(word)), *_]) if (
            setter in _SETTERS
        ):
            text = f"{name}.{word}"
            yield Configuration(name, "assign", word, f"del {text}" if setter == "delattr" else text)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=word)):
            yield Configuration(name, "call", word, source)
    word = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if _REGISTERS.match(word):
        for name in dict.fromkeys(_given(call)):
            yield Configuration(name, "argument", word, source)


def _given(call: ast.Call) -> Iterator[str]:
    """Give the names among a call's arguments, and those called in them: ``A`` of ``register(A())``."""
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        part = argument.func if isinstance(argument, ast.Call) else argument
        if isinstance(part, ast.Name):
            yield part.id


def _decorations(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[Configuration]:
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            key = f"@{ast.unparse(decorator)} {node.name} {_first_annotation(node) if node.name == '_' else ''}"
            yield Configuration(target.value.id, "decorator", target.attr, key)


def _first_annotation(node: ast.stmt) -> str:
    """Give what tells functions called ``_`` apart: the type that the first argument is registered for."""
    arguments = getattr(node, "args", None)
    first = arguments.args[:1] if arguments is not None else []
    return ast.unparse(first[0].annotation) if first and first[0].annotation is not None else ""
