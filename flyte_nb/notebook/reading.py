"""Reading: the names that a module binds, each with a digest of the statements that bind it, and what these read."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flyte_nb.notebook.cells import Cell, Statement, statements
from flyte_nb.notebook.definitions import decorator_roots
from flyte_nb.notebook.module import Module, locate
from flyte_nb.notebook.tidy import captured_name, rewritten

__all__ = ["ENVIRONMENT", "Defined", "definitions", "imported", "reads_of"]

ENVIRONMENT = "environment "  # before the name of one, among the names of variables
_MARK_LINE = re.compile(r"^(?=# In \[\d+\](?: .+)?, line \d+$)", re.MULTILINE)
_MOST_READS = 200
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Defined:
    """What one name of a module stands for.

    Parameters
    ----------
    name : str
        The name as a person knows it.
    digest : str
        Of the statements, or of the captured value, that bind it.
    where : str
        The cell and line; empty for an import and outside a notebook.
    reads : frozenset of str
        The keys of what its statements read, at once or when they are called.
    owners : frozenset of str
        The keys of the environments whose decorators it has.
    imports : frozenset of str
        The dotted names of the modules that it imports.
    """

    name: str
    digest: str
    where: str = ""
    reads: frozenset[str] = _NONE
    owners: frozenset[str] = _NONE
    imports: frozenset[str] = _NONE


@dataclass(frozen=True)
class _Part:
    """One statement of a module, as far as its text tells."""

    source: str
    binds: frozenset[str]
    reads: frozenset[str]
    roots: frozenset[str]
    captured: str | None
    environment: tuple[str, str] | None
    short: tuple[str, str] | None
    spellable: frozenset[str]
    imports: frozenset[str]


class _Names:
    """What the variables of a module stand for: environments go by their own names, wherever they are bound."""

    def __init__(self) -> None:
        self.spelled: dict[str, str] = {}
        self.keys: dict[str, str] = {}

    def take(self, part: _Part) -> bool:
        """Take in what a part binds to an environment; tell whether it is no more than a short for its ``task``."""
        if part.environment is not None and part.environment[0]:
            variable, name = part.environment
            self.spelled[variable], self.keys[variable] = name, ENVIRONMENT + name
        elif part.short is not None and part.short[1] in self.keys:
            variable, owner = part.short
            self.spelled[variable], self.keys[variable] = f"{self.spelled[owner]}.task", self.keys[owner]
            return True
        return False

    def source(self, part: _Part) -> str:
        """Give the text of a part, environments written by name where the slice may have renamed their variables."""
        told = tuple(sorted((name, self.spelled[name]) for name in part.spellable & self.spelled.keys()))
        return _spelled(part.source, told) if told else part.source

    def key(self, variable: str, part: _Part) -> str:
        """Give the key of what a part binds; a task's holds its environment's name, for two may have the same one."""
        if variable in self.keys:
            return self.keys[variable]
        owner = next((self.keys[root] for root in sorted(part.roots) if root in self.keys), None)
        return variable if owner is None else f"{owner.removeprefix(ENVIRONMENT)}.{variable}"


def definitions(module: Module) -> Mapping[str, Defined]:
    """Give what a module binds, by key: a variable's name, ``environment NAME``, or ``ENVIRONMENT.TASK``.

    What works on a name, such as ``env.add_dependency(…)``, counts as its definition, too.
    """
    values = tuple((value.name, _digest(value.data), value.label) for value in module.captured)
    return _definitions(module.source, values)


@functools.lru_cache(maxsize=8)
def _definitions(source: str, values: tuple[tuple[str, str, str], ...]) -> Mapping[str, Defined]:
    captured = {name: (digest, label) for name, digest, label in values}
    names, found, latest = _Names(), dict[str, Defined](), dict[str, str]()
    reads: dict[str, frozenset[str]] = {}
    for part, place in _parts_of(source):
        if names.take(part):
            continue
        concerned = _concerned(part, names, latest)
        digest, where = captured.get(part.captured or "", (_digest(names.source(part).encode()), place))
        owners = frozenset(names.keys[root] for root in part.roots if root in names.keys)
        for key, variable in concerned.items():
            if part.binds:
                latest[variable] = key
            one = Defined(names.spelled.get(variable, variable), digest, where, _NONE, owners, part.imports)
            found[key] = _merged(found.get(key), one)
            reads[key] = reads.get(key, _NONE) | part.reads
    latest |= {variable: key for variable, key in names.keys.items() if key in found}
    return MappingProxyType({key: _with_reads(key, one, reads[key], latest) for key, one in found.items()})


def _with_reads(key: str, one: Defined, reads: Iterable[str], latest: Mapping[str, str]) -> Defined:
    keys = frozenset(latest[name] for name in reads if name in latest) - {key}
    return Defined(one.name, one.digest, one.where, keys, one.owners, one.imports)


def _merged(known: Defined | None, one: Defined) -> Defined:
    """Join two statements that make one name what it is."""
    if known is None:
        return one
    digest = _digest((known.digest + one.digest).encode())
    return Defined(one.name, digest, one.where, _NONE, known.owners | one.owners, known.imports | one.imports)


def _concerned(part: _Part, names: _Names, latest: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that a statement binds, by key; of one that binds none, those that it works on."""
    if part.binds:
        return {names.key(variable, part): variable for variable in sorted(part.binds)}
    if part.environment is not None:  # declared, and kept by nobody
        return {ENVIRONMENT + part.environment[1]: part.environment[1]}
    return {latest[name]: name for name in sorted(part.reads) if name in latest}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def reads_of(found: Mapping[str, Defined], roots: Iterable[str], without: frozenset[str] = _NONE) -> dict[str, str]:
    """Give the digests of all that some names read, themselves included, by key.

    Parameters
    ----------
    found : mapping of str to Defined
        The definitions of the module.
    roots : iterable of str
        Keys to start from.
    without : frozenset of str
        Keys that are left out, with what only they read.

    Returns
    -------
    dict of str to str
        The nearest 200 names; the others are joined in one digest under ``"…"``.
    """
    keys = _closure(found, roots, without)
    told = {key: found[key].digest for key in keys[:_MOST_READS]}
    if rest := keys[_MOST_READS:]:
        told["…"] = _digest("".join(f"{key}\0{found[key].digest}\n" for key in sorted(rest)).encode())
    return dict(sorted(told.items()))


def imported(found: Mapping[str, Defined], roots: Iterable[str]) -> frozenset[str]:
    """Give the dotted names of the modules that some names import, and that what they read imports."""
    return frozenset(name for key in _closure(found, roots, _NONE) for name in found[key].imports)


def _closure(found: Mapping[str, Defined], roots: Iterable[str], without: frozenset[str]) -> list[str]:
    met = dict.fromkeys(root for root in roots if root in found and root not in without)
    waiting = list(met)
    for key in waiting:
        new = [read for read in sorted(found[key].reads) if read not in met and read not in without]
        met.update(dict.fromkeys(new))
        waiting += new
    return waiting


# --- the statements ---


def _parts_of(source: str) -> list[tuple[_Part, str]]:
    """Give the statements of a module, each with the cell and line that the mark above it tells."""
    try:
        return [part for chunk in _MARK_LINE.split(source) for part in _of_chunk(chunk)]
    except SyntaxError:  # no Python, or what looks like a mark is part of a text
        return [(part, "") for part in (_parsed(source) if _is_python(source) else ())]


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _of_chunk(chunk: str) -> Iterator[tuple[_Part, str]]:
    """Give the statements of a part of a module that begins with a mark; the mark tells of the first one only."""
    place = locate(chunk, 1)
    text = chunk.partition("\n")[2] if place else chunk
    where = f"{place[0]}, line {place[1] + 1}" if place else ""
    for part in _parsed(text):
        yield part, where
        where = ""


@functools.lru_cache(maxsize=20_000)
def _parsed(text: str) -> tuple[_Part, ...]:
    """Read the statements of a text; kept, for most of a module is what it was when it is made again."""
    found = list(statements(Cell(text, 0)))
    if not found and not _is_python(text):
        raise SyntaxError(text[:80])
    return tuple(_part(one) for one in found if not _is_apart(one.node))


def _is_apart(node: ast.stmt) -> bool:
    """Tell whether a statement is the loader of a generated module, or what a script does only when it is run."""
    loader = isinstance(node, ast.FunctionDef) and node.name == "_captured"
    return loader or (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test))


def _part(statement: Statement) -> _Part:
    node, names = statement.node, statement.names
    return _Part(
        source=ast.unparse(node),  # comments and layout are no part of what it is
        binds=names.binds,
        reads=names.reads | names.defers | names.hints,
        roots=frozenset(decorator_roots(node)),
        captured=captured_name(node),
        environment=_environment(node),
        short=_short(node),
        spellable=frozenset(name.id for name in _spellable(node)),
        imports=frozenset(_modules(node)) if "import" in statement.source else _NONE,
    )


def _environment(node: ast.stmt) -> tuple[str, str] | None:
    """Give the variable that a statement binds to an environment, empty for none, and the environment's name."""
    match node:
        case ast.Assign(targets=[ast.Name(id=variable)], value=ast.Call() as call):
            pass
        case ast.Expr(value=ast.Call() as call):
            variable = ""
        case _:
            return None
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "name")]
    names = [g.value for g in given if isinstance(g, ast.Constant) and isinstance(g.value, str)]
    is_one = _dotted(call.func).endswith(("Environment", ".clone_with", "Environment.from_task"))
    return (variable, names[0]) if names and is_one else None


def _dotted(node: ast.expr) -> str:
    """Give the names of ``a.b.c``; what they are attributes of is left out where it is no name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed([*names, node.id if isinstance(node, ast.Name) else ""]))


def _short(node: ast.stmt) -> tuple[str, str] | None:
    """Give the variable that a statement binds to the ``task`` of another variable, and that one."""
    match node:
        case ast.Assign(targets=[ast.Name(id=short)], value=ast.Attribute(value=ast.Name(id=owner), attr="task")):
            return short, owner
    return None


def _spellable(node: ast.AST) -> list[ast.Name]:
    """Give the variables of a statement that a slice may have renamed: in targets, decorators and what it calls."""
    call = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    places = [*getattr(node, "decorator_list", []), *getattr(node, "targets", []), getattr(call, "func", None)]
    parts = [part for place in places if place is not None for part in ast.walk(place)]
    return [part for part in parts if isinstance(part, ast.Name)]


@functools.lru_cache(maxsize=20_000)
def _spelled(source: str, names: tuple[tuple[str, str], ...]) -> str:
    told = dict(names)
    found = _spellable(ast.parse(source).body[0])
    return rewritten(source, [(name, told[name.id]) for name in found if name.id in told])


def _modules(node: ast.stmt) -> Iterator[str]:
    """Give the dotted names that a statement imports, at once or later; ``from a import b`` may mean ``a.b``."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
            yield from (part.module, *(f"{part.module}.{alias.name}" for alias in part.names if alias.name != "*"))
