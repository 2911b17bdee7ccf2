"""Call editor: the arguments of a call, edited where it is written; formatting and comments stay.

One argument is edited at a time, and the source is read again after each, so no edit has to know of another.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flyte_nb.errors import UsageError
from flyte_nb.notebook.series import Series, Source, Span
from flyte_nb.notebook.spelling import quoted

__all__ = ["MISSING", "CallEditor", "DictEditor", "Key", "cannot", "resolved"]

#: what stands for no value at all
MISSING: Any = object()


class Key(NamedTuple):
    """What tells a call from every other one, also after its arguments were edited."""

    line: int
    column: int
    function_end: tuple[int | None, int | None]

    @classmethod
    def of(cls, call: ast.Call) -> Key:
        return cls(call.lineno, call.col_offset, (call.func.end_lineno, call.func.end_col_offset))


@dataclass
class CallEditor:
    """The arguments of one call, in a source that changes with each edit.

    Parameters
    ----------
    text : str
        The source.
    call : ast.Call
        The call.
    names : mapping
        The names that the source has, to tell what its calls make.
    """

    text: str
    call: ast.Call
    names: Mapping[str, Any]

    def __post_init__(self) -> None:
        self._key = Key.of(self.call)
        self._read()

    def _read(self) -> None:
        self._source = Source(self.text)
        self.call = next(n for n in ast.walk(self._source.tree) if isinstance(n, ast.Call) and Key.of(n) == self._key)
        self._arguments: list[ast.expr | ast.keyword] = sorted(
            [*self.call.args, *self.call.keywords], key=lambda node: self._source.span(node)
        )

    def _change(self, text: str) -> None:
        self.text = text
        self._read()

    @property
    def statement(self) -> int:
        """The first line of the top-level statement that the call is in."""
        found = [n.lineno for n in self._source.tree.body if n.lineno <= self.call.lineno <= (n.end_lineno or n.lineno)]
        return found[0] if found else self.call.lineno

    def find(self, name: str, parameters: list[str]) -> int | None:
        """Give the index of the argument of a parameter; None where it is not written.

        Raises
        ------
        UsageError
            When it may be within ``*`` or ``**``.
        """
        for index, node in enumerate(self._arguments):
            if isinstance(node, ast.keyword) and node.arg == name:
                return index
        position = parameters.index(name) if name in parameters else len(self.call.args)
        for index, node in enumerate(self.call.args[: position + 1]):
            if isinstance(node, ast.Starred):
                raise cannot(f"{name} may be within {self.source_of(node)}")
            if index == position:
                return self._arguments.index(node)
        for word in self.call.keywords:
            if word.arg is None:
                self._refuse_held(name, word.value)
        return None

    def _refuse_held(self, name: str, node: ast.expr) -> None:
        held = resolved(node, self.names)
        keys = [resolved(key, self.names) for key in node.keys if key] if isinstance(node, ast.Dict) else held
        if not isinstance(keys, list | Mapping) or name in keys:
            raise cannot(f"{name} is, or may be, within **{self.source_of(node)}")

    def value(self, index: int) -> ast.expr:
        """Give the expression of an argument."""
        node = self._arguments[index]
        return node.value if isinstance(node, ast.keyword) else node

    def source_of(self, node: ast.expr) -> str:
        """Give the text of a node, shortened."""
        start, end = self._source.span(node)
        text = " ".join(self._source.text[start:end].split())
        return text if len(text) <= 60 else f"{text[:59]}…"

    def replace(self, index: int, text: str) -> None:
        """Write another expression in the place of an argument's."""
        span, node = self._series().items[index].span, self._arguments[index]
        if isinstance(node, ast.keyword):
            tokens = [t for t in self._source.tokens if span.start <= t.span.start < span.end and not t.blank]
            span = Span(tokens[2].span.start, span.end)  # after the name and the sign
        self._change(self._source.replaced(span, text))

    def remove(self, index: int) -> None:
        """Take an argument away.

        Raises
        ------
        UsageError
            For a positional one that others follow.
        """
        node = self._arguments[index]
        if not isinstance(node, ast.keyword) and node is not self.call.args[-1]:
            raise cannot("positional arguments follow the one that would be taken away")
        self._change(self._series().removed(index))

    def add(self, name: str, text: str) -> None:
        """Add an argument."""
        self._change(self._series().added(f"{name}={text}"))

    def _series(self) -> Series:
        span = self._source.span
        return Series(self._source, span(self.call), span(self.call.func).end, [span(n) for n in self._arguments])

    def within(self, node: ast.expr) -> CallEditor | None:
        """Give the editor of a call among the arguments."""
        return CallEditor(self.text, node, self.names) if isinstance(node, ast.Call) else None

    def take(self, inner: CallEditor | DictEditor) -> None:
        """Take over the source of an editor of something among the arguments."""
        self._change(inner.text)


class DictEditor:
    """The items of a dict that is written out, in a source that changes with each edit."""

    def __init__(self, text: str, node: ast.Dict) -> None:
        self.text, self._start = text, (node.lineno, node.col_offset)

    def set(self, before: Mapping[str, str], after: Mapping[str, str], spell: Callable[[str, str], str]) -> None:
        """Make the items of ``before`` those of ``after``; ``spell`` gives the expression for an item."""
        for key in [key for key in before if key not in after]:
            series, keys, _ = self._read()
            self.text = series.removed(keys.index(key))
        for key, value in after.items():
            series, keys, values = self._read()
            if key not in keys:
                self.text = series.added(f"{quoted(key)}: {spell(key, value)}")
            elif before.get(key) != value:
                source = Source(self.text)
                start = source.span(values[keys.index(key)]).start
                end = series.items[keys.index(key)].span.end
                self.text = source.replaced(Span(start, end), spell(key, value))

    def _read(self) -> tuple[Series, list[str], list[ast.expr]]:
        source = Source(self.text)
        node = next(
            n for n in ast.walk(source.tree) if isinstance(n, ast.Dict) and (n.lineno, n.col_offset) == self._start
        )
        items = [
            Span(source.span(k).start, source.span(v).end) for k, v in zip(node.keys, node.values, strict=True) if k
        ]
        span = source.span(node)
        return Series(source, span, span.start, items), [k.value for k in node.keys], node.values  # type: ignore[union-attr]


def cannot(reason: str) -> UsageError:
    """Make the error for a declaration that cannot be rewritten."""
    return UsageError(f"the declaration cannot be rewritten: {reason}")


def resolved(node: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """Give what a name, a dotted name or a constant stands for, without running anything."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id, MISSING)
    if isinstance(node, ast.Attribute):
        owner = resolved(node.value, names)
        plain = inspect.ismodule(owner) or inspect.isclass(owner)
        return getattr(owner, node.attr, MISSING) if plain else MISSING
    return MISSING
