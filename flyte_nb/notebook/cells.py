"""Cell, Statement and CellLog: what ran, statement by statement, and the latest that bound each name."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from flyte_nb.notebook.configuring import Configuration, configurations
from flyte_nb.notebook.names import Names, names_of

__all__ = ["Cell", "CellLog", "Configured", "Statement"]


@dataclass(frozen=True)
class Cell:
    """One execution of a cell.

    Parameters
    ----------
    source : str
        The Python that ran: magics already rewritten into calls.
    number : int
        The ``n`` of ``In [n]``.
    file : str
        The name that IPython gives the cell as a source file.
    script : str
        The name of the script that the cell ran, where this is the script's source; else empty.
    raw : str
        What stands in the cell, magics as they are typed; empty where that is not known.
    """

    source: str
    number: int
    file: str = ""
    script: str = ""
    raw: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """How people call it: ``In [n]``, or ``In [n] script.py``."""
        return f"In [{self.number}] {self.script}".rstrip()


@dataclass(frozen=True, eq=False)
class Statement:
    """One top-level statement of a cell; each run of a cell makes its own.

    Parameters
    ----------
    source : str
        Its text, decorators included.
    node : ast.stmt
        Its syntax tree.
    cell : Cell
        The cell it is in.
    line : int
        Its first line in the cell, from 1.
    names : Names
        What it binds and reads.
    """

    source: str
    node: ast.stmt = field(repr=False)
    cell: Cell = field(repr=False)
    line: int
    names: Names

    @property
    def label(self) -> str:
        """Where it is: ``In [n], line m``."""
        return f"{self.cell.label}, line {self.line}"

    @property
    def end(self) -> int:
        """Its last line in the cell."""
        return self.node.end_lineno or self.line


class Configured(NamedTuple):
    """A statement that configured what another one had bound, how, and whether that was a declaration."""

    statement: Statement
    how: Configuration
    declared: bool


class CellLog:
    """The latest statement that bound each name, and the statements that configured what it bound."""

    def __init__(self) -> None:
        #: the ``__future__`` features that hold from some cell on
        self.futures: set[str] = set()
        self._latest: dict[str, Statement] = {}
        self._imports: dict[str, list[Statement]] = {}
        self._configures: dict[tuple[Statement, str], dict[str, Configured]] = {}
        self._former: dict[tuple[Statement, str], dict[str, Configured]] = {}
        self._former_of = ""
        self._declares: dict[str, Statement] = {}
        self._declared_by: dict[Statement, list[str]] = {}
        #: counts what changes the meaning of a name
        self.version = 0
        self._changed: dict[str, int] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._latest

    def __iter__(self) -> Iterator[str]:
        return iter(self._latest)

    def latest(self, name: str) -> Statement | None:
        """Give the latest successful statement that bound ``name``."""
        return self._latest.get(name)

    def importing(self, name: str) -> list[Statement]:
        """Give the imports that make ``name`` what it is: several where it is a package with modules inside it."""
        return self._imports.get(name, [])

    def declaring(self, name: str) -> Statement | None:
        """Give the statement that declared an environment, or bound a task, of a (fully qualified) name.

        Unlike `latest`, this finds it where its variable has been bound to something else since.
        """
        return self._declares.get(name)

    def changed(self, name: str) -> int:
        """Give the version at which the statements of a name last changed; 0 where there never were any."""
        return self._changed.get(name, 0)

    def _touch(self, name: str) -> None:
        self.version += 1
        self._changed[name] = self.version

    def ever_declared_by(self, statement: Statement) -> list[str]:
        """Give the environments and tasks that a statement declared, those declared again elsewhere included."""
        return self._declared_by.get(statement, [])

    def declared_by(self, statement: Statement) -> list[str]:
        """Give the environments and tasks that a statement declared, those declared again elsewhere left out."""
        return [name for name in self._declared_by.get(statement, []) if self._declares[name] is statement]

    def configuring(self, statement: Statement, name: str) -> list[Configured]:
        """Give the statements that configured what ``statement`` bound to ``name``, in the order in which they ran.

        One that was run again, or that assigns the same attribute again, counts once, where it ran last.
        """
        return list(self._configures.get((statement, name), {}).values())

    def record(
        self,
        cell: Cell,
        until: int | None = None,
        only: Callable[[Statement], bool] = lambda statement: True,
        configurable: Callable[[str], bool] = lambda name: False,
        declared: Iterable[tuple[str, int]] = (),
        runs: Callable[[Statement], Iterable[Cell]] = lambda statement: (),
        is_live: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """Take in a cell that ran.

        Parameters
        ----------
        cell : Cell
            The cell.
        until : int, optional
            The line that failed; statements that end before it count.
        only : callable
            Says whether a statement counts.
        configurable : callable
            Says whether a name stands for a declaration, which any call on it configures.
        declared : iterable of (name, line)
            The environments and tasks that the cell declared, and the lines of it where it did.
        runs : callable
            Gives the sources that a statement ran in the cell's place: of ``%run script.py``, of ``%%time``.
        is_live : callable
            Says whether a name exists now; of those sources, only statements that bind live names count.
        """
        lines: dict[int, list[Statement]] = {}
        for statement in self._recorded(cell, until, only, configurable, runs, is_live):
            for line in range(statement.line, statement.end + 1):
                lines.setdefault(line, []).append(statement)
        for name, line in declared:
            if line in lines:
                statement = max(lines[line], key=lambda s: _likely(s, name))
                before = self._declares.get(name)
                self._declares[name] = statement
                self._forget(before)
                self._touch(name)
                self._declared_by.setdefault(statement, []).append(name)

    def _recorded(
        self,
        cell: Cell,
        until: int | None,
        only: Callable[[Statement], bool],
        configurable: Callable[[str], bool],
        runs: Callable[[Statement], Iterable[Cell]],
        is_live: Callable[[str], bool],
    ) -> Iterator[Statement]:
        """Take in the statements of a cell and of what they ran; give those of the cell's own lines."""
        for statement in statements(cell, until, "annotations" in self.futures):
            if only(statement):
                self._take(statement, configurable)
                yield statement
            for inner in runs(statement):
                found = self._recorded(
                    inner, None, lambda s: all(map(is_live, s.names.binds)), configurable, runs, is_live
                )
                yield from (s for s in found if not inner.script)

    def _take(self, statement: Statement, configurable: Callable[[str], bool]) -> None:
        if isinstance(statement.node, ast.Delete):
            for name in statement.names.binds:
                self._latest.pop(name, None)
                self._imports.pop(name, None)
                self._touch(name)
        ways = list(configurations(statement.node, statement.source))
        bound = {how.name: self._latest.get(how.name) for how in ways}  # before the statement binds that name itself
        if not isinstance(statement.node, ast.Delete):
            for name in statement.names.binds:
                self._note_import(statement, name)
                before = self._latest.get(name)
                self._latest[name] = statement
                self._touch(name)
                self._forget(before, only_plain=True)
        if not self.futures >= (futures := _futures(statement.node)):
            self.futures |= futures
            self._touch("__future__")
        for how in ways:
            self._configure(bound[how.name], Configured(statement, how, configurable(how.name)))

    def _forget(self, statement: Statement | None, only_plain: bool = False) -> None:
        """Let go of a statement that nothing can ask for any more; ``only_plain``: unless it may have declared."""
        if statement is None or self.declared_by(statement) or statement in map(self.latest, statement.names.binds):
            return
        for name in statement.names.binds:
            known = self._configures.get((statement, name), {})
            if not only_plain or not any(configured.declared for configured in known.values()):
                self._configures.pop((statement, name), None)
        self._declared_by.pop(statement, None)

    def _configure(self, bound: Statement | None, configured: Configured) -> None:
        how = configured.how
        if bound is None or not (configured.declared or how.builds or how.registers):
            return
        known = self._configures.setdefault((bound, how.name), {})
        if configured.declared:
            self._remember(configured.statement.cell, (bound, how.name), known)
        for key in (how.key, f"del {how.key}"):
            known.pop(key, None)
        known[how.key] = configured
        self._touch(how.name)

    def _remember(self, cell: Cell, place: tuple[Statement, str], known: dict[str, Configured]) -> None:
        """Keep how a declaration was configured before a cell, for as long as that is the latest cell."""
        if cell.file != self._former_of:
            self._former, self._former_of = {}, cell.file
        self._former.setdefault(place, dict(known))

    def undo(self, cell: Cell) -> None:
        """Forget the dependencies that a cell added: it failed, and so the registry has taken them back."""
        if cell.file == self._former_of:
            for place, known in self._former.items():
                now = self._configures.get(place, {})
                if any(_is_taken_back(configured, cell) for configured in now.values()):
                    kept = {key: c for key, c in now.items() if not _is_taken_back(c, cell)}
                    self._configures[place] = {**known, **kept}
                    self._touch(place[1])
            self._former, self._former_of = {}, ""

    def _note_import(self, statement: Statement, name: str) -> None:
        """Keep ``import a.b`` beside a later ``import a.c``: the one name ``a`` stands for both."""
        if isinstance(statement.node, ast.Import) and _imports_package(statement.node, name):
            known = [
                s for s in self.importing(name) if isinstance(s.node, ast.Import) and _imports_package(s.node, name)
            ]
            self._imports[name] = [*(s for s in known if s.source != statement.source), statement]
        elif isinstance(statement.node, ast.Import | ast.ImportFrom):
            self._imports[name] = [statement]
        else:
            self._imports.pop(name, None)


def _is_taken_back(configured: Configured, cell: Cell) -> bool:
    return configured.how.word == "add_dependency" and configured.statement.cell.file == cell.file


def _imports_package(node: ast.Import, name: str) -> bool:
    """Tell whether an import binds a name to a top-level package, as every import of a module inside it does."""
    return any(alias.asname is None and alias.name.partition(".")[0] == name for alias in node.names)


def _futures(node: ast.stmt) -> set[str]:
    is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) and is_future else set()


def _likely(statement: Statement, name: str) -> tuple[bool, bool]:
    """Rate how likely a statement is the one, of those on its line, that declared an environment or a task."""
    parts = list(ast.walk(statement.node))
    named = any(isinstance(part, ast.Constant) and part.value == name for part in parts)
    return named or name.rpartition(".")[2] in statement.names.binds, any(isinstance(p, ast.Call) for p in parts)


def statements(cell: Cell, until: int | None = None, postponed: bool = False) -> Iterator[Statement]:
    """Give the top-level statements of a cell that end before line ``until``; none for a syntax error.

    ``postponed`` says that an earlier cell postponed the evaluation of annotations.
    """
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError):
        return
    lines = list(io.StringIO(cell.source, newline=""))  # as Python counts lines; str.splitlines() knows more ends
    postponed = postponed or any("annotations" in _futures(node) for node in tree.body)
    for node in tree.body:
        if until is not None and (node.end_lineno or node.lineno) >= until:
            return
        first, source = _text(node, lines)
        yield Statement(source, node, cell, first, names_of(node, postponed))


def _text(node: ast.stmt, lines: list[str]) -> tuple[int, str]:
    """Give the first line and the text of a statement: whole lines, unless it shares them with another one."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    last = node.end_lineno or node.lineno
    after = lines[last - 1].encode()[node.end_col_offset or 0 :].decode().strip()
    if node.col_offset == 0 and (not after or after.startswith("#")):
        return first, "".join(lines[first - 1 : last]).rstrip()
    return first, ast.get_source_segment("".join(lines), node) or ""
