"""Names: what a top-level statement binds, and which global names it reads at once, later, or in annotations only."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Names", "names_of"]

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Names:
    """The global names of one statement.

    Parameters
    ----------
    binds : frozenset of str
        What it binds (for a ``del``: unbinds) when it runs.
    reads : frozenset of str
        What it reads when it runs.
    defers : frozenset of str
        What its functions read later, when they are called.
    sets : frozenset of str
        What its functions bind later, through ``global``.
    hints : frozenset of str
        What only its annotations name, where they are not evaluated: written as strings, or postponed.
    """

    binds: frozenset[str] = _NONE
    reads: frozenset[str] = _NONE
    defers: frozenset[str] = _NONE
    sets: frozenset[str] = _NONE
    hints: frozenset[str] = _NONE


def names_of(node: ast.stmt, postponed: bool = False) -> Names:
    """Give the names of a statement.

    Parameters
    ----------
    node : ast.stmt
        The statement.
    postponed : bool
        Whether ``from __future__ import annotations`` holds for it.
    """
    walk = _Walk(postponed)
    found = walk.over(node)
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        found.binds |= _star(node)
    if isinstance(node, ast.ClassDef):
        found.reads.update(_shadowed(node))
    reads = frozenset(found.reads)
    hints = frozenset(walk.hints - walk.type_names)
    return Names(frozenset(found.binds), reads, frozenset(found.defers) - reads, frozenset(found.sets), hints - reads)


class _Scope:
    """The names that one scope binds, declares and reads, and the scopes in it."""

    __slots__ = ("bound", "children", "globals", "kind", "nonlocals", "owner", "prefix", "reads")

    def __init__(self, kind: str, within: _Scope | None = None, prefix: str = "") -> None:
        self.kind = kind  # module, class, function; or inner: a comprehension, type parameters
        self.bound, self.reads, self.globals, self.nonlocals = (set[str]() for _ in range(4))
        self.children: list[_Scope] = []
        self.owner: _Scope = self  # what a walrus binds in
        self.prefix = prefix  # what Python puts before a private name of a class
        if within is not None:
            within.children.append(self)
            self.prefix = prefix or within.prefix
            self.owner = within.owner if kind == "inner" else self

    def own(self, name: str) -> str:
        """Give a name as Python spells it in this scope."""
        is_private = self.prefix and name.startswith("__") and not name.endswith("__")
        return self.prefix + name if is_private else name

    def bind(self, *names: str) -> None:
        self.bound.update(map(self.own, names) if self.prefix else names)


class _Walk:
    """Walks over a statement, with no regard to how deep it is nested, and sorts its names into scopes."""

    def __init__(self, postponed: bool) -> None:
        self.postponed = postponed
        self.hints, self.type_names = set[str](), set[str]()
        self.waiting: list[tuple[Any, _Scope]] = []

    def over(self, node: ast.stmt) -> _Found:
        """Give the names of a statement, by what they mean for the module."""
        module = _Scope("module")
        self.waiting = [(node, module)]
        pop, visits = self.waiting.pop, _VISITS
        while self.waiting:
            part, scope = pop()
            visits.get(type(part), _Walk.children)(self, part, scope)
        return _Found(module)

    def children(self, node: Any, scope: _Scope) -> None:
        for name in _fields_of(node.__class__):
            value = getattr(node, name, None)
            if isinstance(value, list):
                self.all(value, scope)
            elif value is not None:
                self.waiting.append((value, scope))

    def all(self, nodes: Iterable[Any], scope: _Scope) -> None:
        self.waiting += [(node, scope) for node in nodes if node is not None]

    # --- expressions ---

    def _Constant(self, node: ast.Constant, scope: _Scope) -> None:  # noqa: N802 - the names of ast's classes
        pass

    _MatchSingleton = _Constant

    def _Name(self, node: ast.Name, scope: _Scope) -> None:  # noqa: N802
        (scope.reads if isinstance(node.ctx, ast.Load) else scope.bound).add(scope.own(node.id))

    def _Attribute(self, node: ast.Attribute, scope: _Scope) -> None:  # noqa: N802
        self.waiting.append((node.value, scope))

    def _NamedExpr(self, node: ast.NamedExpr, scope: _Scope) -> None:  # noqa: N802
        scope.owner.bind(node.target.id)
        self.waiting.append((node.value, scope))

    def _Lambda(self, node: ast.Lambda, scope: _Scope) -> None:  # noqa: N802
        self.waiting.append((node.body, self.function(node.args, scope, scope, scope)))

    def _comprehension(self, node: Any, scope: _Scope) -> None:
        """Take a comprehension as a scope of its own, also where Python inlines it; its first iterable is outside."""
        inner = _Scope("inner", scope)
        for number, part in enumerate(node.generators):
            self.waiting += [(part.target, inner), (part.iter, inner if number else scope)]
            self.all(part.ifs, inner)
        self.all([getattr(node, field, None) for field in ("elt", "key", "value")], inner)

    _ListComp = _SetComp = _DictComp = _GeneratorExp = _comprehension

    # --- statements ---

    def _AugAssign(self, node: ast.AugAssign, scope: _Scope) -> None:  # noqa: N802
        if isinstance(node.target, ast.Name):
            scope.reads.add(scope.own(node.target.id))
        self.children(node, scope)

    def _AnnAssign(self, node: ast.AnnAssign, scope: _Scope) -> None:  # noqa: N802
        """Note that ``x: int`` binds nothing outside functions, and is not evaluated inside them."""
        is_bound = node.value is not None or scope.owner.kind == "function"
        if is_bound or not isinstance(node.target, ast.Name):
            self.waiting.append((node.target, scope))
        if node.value is not None:
            self.waiting.append((node.value, scope))
        self.annotation(node.annotation, scope, evaluated=scope.owner.kind != "function")

    def _FunctionDef(self, node: Any, scope: _Scope) -> None:  # noqa: N802
        scope.bind(node.name)
        self.all(node.decorator_list, scope)
        generic = self.type_parameters(node, scope)
        function = self.function(node.args, generic, scope, generic)
        if node.returns is not None:
            self.annotation(node.returns, generic)
        self.all(node.body, function)

    _AsyncFunctionDef = _FunctionDef

    def _ClassDef(self, node: ast.ClassDef, scope: _Scope) -> None:  # noqa: N802
        scope.bind(node.name)
        self.all(node.decorator_list, scope)
        generic = self.type_parameters(node, scope)
        self.all(node.bases, generic)
        self.all([keyword.value for keyword in node.keywords], generic)
        self.all(node.body, _Scope("class", generic, "_" + node.name.lstrip("_") if node.name.strip("_") else ""))

    def _TypeAlias(self, node: Any, scope: _Scope) -> None:  # noqa: N802
        self.waiting += [(node.name, scope), (node.value, self.type_parameters(node, scope))]

    def _Import(self, node: ast.Import, scope: _Scope) -> None:  # noqa: N802
        scope.bind(*(alias.asname or alias.name.partition(".")[0] for alias in node.names))

    def _ImportFrom(self, node: ast.ImportFrom, scope: _Scope) -> None:  # noqa: N802
        scope.bind(*(alias.asname or alias.name for alias in node.names if alias.name != "*"))

    def _Global(self, node: ast.Global, scope: _Scope) -> None:  # noqa: N802
        scope.globals.update(map(scope.own, node.names))

    def _Nonlocal(self, node: ast.Nonlocal, scope: _Scope) -> None:  # noqa: N802
        scope.nonlocals.update(map(scope.own, node.names))

    def _named(self, node: Any, scope: _Scope) -> None:
        """Take what binds a name that is not an expression: an ``except … as e``, a part of a pattern."""
        name = getattr(node, "rest", None) if isinstance(node, ast.MatchMapping) else node.name
        if name is not None:
            scope.bind(name)
        self.children(node, scope)

    _ExceptHandler = _MatchAs = _MatchStar = _MatchMapping = _named

    # --- parts ---

    def function(self, args: ast.arguments, within: _Scope, defaults: _Scope, annotations: _Scope) -> _Scope:
        """Give the scope of a function with some arguments."""
        made = _Scope("function", within)
        given = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, [args.vararg, args.kwarg])]
        made.bind(*(arg.arg for arg in given))
        self.all([*args.defaults, *args.kw_defaults], defaults)
        for arg in given:
            if arg.annotation is not None:
                self.annotation(arg.annotation, annotations)
        return made

    def annotation(self, node: ast.expr, scope: _Scope, evaluated: bool = True) -> None:
        self.hints.update(_quoted(node))
        if evaluated and not self.postponed:
            self.waiting.append((node, scope))
        else:
            self.hints.update(_names_in(node))

    def type_parameters(self, node: Any, scope: _Scope) -> _Scope:
        """Give the scope of a definition's type parameters; the one around it, where there are none."""
        parameters = getattr(node, "type_params", None)
        if not parameters:
            return scope
        inner = _Scope("inner", scope)
        names = [parameter.name for parameter in parameters]
        inner.bind(*names)
        self.type_names.update(names)
        for parameter in parameters:
            self.all([getattr(parameter, "bound", None), getattr(parameter, "default_value", None)], inner)
        return inner


#: fields of nodes that hold no names: operators, contexts, plain texts
_PLAIN = frozenset(
    ["arg", "attr", "conversion", "ctx", "id", "kind", "kwd_attrs", "level", "name", "names", "op", "ops", "rest",
     "simple", "str", "type_comment"]
)  # fmt: skip


@functools.cache
def _fields_of(kind: Any) -> tuple[str, ...]:
    """Give the fields of a kind of node that may hold names."""
    return tuple(name for name in kind._fields if name not in _PLAIN)


_VISITS: dict[type, Any] = {
    kind: visit
    for name, kind in vars(ast).items()
    if isinstance(kind, type) and (visit := getattr(_Walk, f"_{name}", None))
}


class _Found:
    """The global names of some scopes: class bodies and comprehensions run at once, functions when called."""

    def __init__(self, module: _Scope) -> None:
        self.binds, self.reads = set(module.bound), set(module.reads)
        self.defers, self.sets = set[str](), set[str]()
        for child in module.children:
            self._inner(child, frozenset(), False)

    def _inner(self, scope: _Scope, around: frozenset[str], later: bool) -> None:
        later = later or scope.kind == "function"
        local = scope.bound - scope.globals - scope.nonlocals
        known = (around - scope.globals) | local | scope.nonlocals
        (self.defers if later else self.reads).update(scope.reads - known)
        (self.sets if later else self.binds).update(scope.bound & scope.globals)
        if scope.kind == "class":
            known = (around - scope.globals) | {"__class__"}  # its functions do not see what a class body binds
        for child in scope.children:
            self._inner(child, frozenset(known), later)


def _shadowed(node: ast.ClassDef) -> Iterator[str]:
    """Give the names that a class body reads from outside before it binds its own: ``class A: limit = limit``."""
    bound: set[str] = set()
    for statement in node.body:
        own = {part.id for part in ast.walk(statement) if isinstance(part, ast.Name) and not _is_load(part)}
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
            yield from (_read_at_once(statement.value) & own) - bound
        bound |= own


def _read_at_once(expression: ast.expr) -> set[str]:
    """Give the names that an expression reads in its own scope: of a comprehension, only the first iterable."""
    read: set[str] = set()
    waiting: list[ast.AST] = [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name) and _is_load(part):
            read.add(part.id)
        elif isinstance(part, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            waiting.append(part.generators[0].iter)
        elif isinstance(part, ast.Lambda):
            waiting += [d for d in (*part.args.defaults, *part.args.kw_defaults) if d is not None]
        else:
            waiting += ast.iter_child_nodes(part)
    return read - {part.target.id for part in ast.walk(expression) if isinstance(part, ast.NamedExpr)}


def _is_load(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _names_in(expression: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(expression) if isinstance(part, ast.Name)}


def _quoted(annotation: ast.AST) -> Iterator[str]:
    """Give the names in the strings of an annotation; those of ``Literal`` and the notes of ``Annotated`` are data."""
    waiting: list[ast.AST] = [annotation]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from _quoted_names(part.value)
        elif isinstance(part, ast.Subscript) and _ends_in(part.value, "Literal"):
            continue
        elif isinstance(part, ast.Subscript) and _ends_in(part.value, "Annotated"):
            waiting += part.slice.elts[:1] if isinstance(part.slice, ast.Tuple) else [part.slice]
        else:
            waiting += ast.iter_child_nodes(part)


def _ends_in(node: ast.expr, name: str) -> bool:
    return name == (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ""))


def _quoted_names(text: str) -> set[str]:
    try:
        return _names_in(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return set()


def _star(node: ast.ImportFrom) -> set[str]:
    module: Any = sys.modules.get(node.module or "")
    public = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    return set(public)
