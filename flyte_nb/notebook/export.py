"""Export: the definitions of a notebook as a module that a person would be content to commit."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flyte_nb.errors import SliceError, UsageError
from flyte_nb.notebook.cells import Cell, CellLog, Statement, statements
from flyte_nb.notebook.grouped import grouped
from flyte_nb.notebook.module import Module, write_file
from flyte_nb.notebook.ordering import Part, ordered, respelled
from flyte_nb.notebook.sdk import Target, check, imports_for, spelled_for
from flyte_nb.notebook.staleness import place_of
from flyte_nb.notebook.tidy import captured_name, laid_out, renamed, rewritten, tidied

__all__ = ["Export", "Target", "check_target", "export_module", "write_export"]

_WORD = "Exported from "

_MAGIC = "_flyte"  # what a ``%%flyte`` line calls the package
_LOADER = '''class _Values(pickle.Unpickler):
    """Reads what the notebook computed; its classes are those of this module."""

    def find_class(self, module, name):
        return super().find_class(__name__ if module == "__main__" else module, name)


def _load(name):
    """Give a value that the notebook computed, from the folder beside this file."""
    with (Path(__file__).parent / "{folder}" / f"{{name}}.pkl").open("rb") as file:
        return _Values(file).load()
'''


@dataclass(frozen=True)
class Export:
    """How a module is to be exported.

    Parameters
    ----------
    notebook : str
        The name of the notebook's file; empty where it is not known.
    environments : tuple of str
        What is exported, by name.
    target : "flyte_nb" or "flyte"
        The package that the module imports.
    marks : bool
        Whether each statement is marked with its cell and line.
    data : str
        The folder beside the module that takes captured values; empty to refuse them.
    local : container of str
        The top-level names of the project's own modules.
    """

    notebook: str = ""
    environments: tuple[str, ...] = ()
    target: Target = "flyte_nb"
    marks: bool = False
    data: str = ""
    local: Container[str] = field(default=frozenset())


def export_module(module: Module, log: CellLog, how: Export) -> str:
    """Write a generated module as a person would.

    Parameters
    ----------
    module : Module
        The definitions, in an order that works.
    log : CellLog
        The order in which the notebook first bound each name, and the comments above its statements.
    how : Export
        What is wanted of it.

    Raises
    ------
    SliceError
        For captured values, where ``how`` does not take them, and for what the target does not have.
    """
    if module.captured and not how.data:
        raise SliceError(_refusal(module))
    lines = module.source.split("\n")
    found = [_part(statement, lines, log) for statement in statements(Cell(module.source, 0))]
    imports = [part.node for part in found if not part.cell and isinstance(part.node, ast.Import | ast.ImportFrom)]
    parts = [part for part in found if _belongs(part)]
    parts = _without_magic(_with_values(parts), imports)
    parts = [spelled_for(how.target, part) for part in ordered(parts, _ranks(log))]
    top = [*imports_for(how.target, imports, parts, _MAGIC), *_imports_of_loader(module)]
    check(how.target, top, parts)
    head = [_docstring(how), grouped(top, how.local)]
    if module.captured:
        head.append(f"\n{_LOADER.format(folder=how.data).rstrip()}\n")
    return "\n\n".join(filter(None, head)) + _body(parts, how.marks)


def _part(statement: Statement, lines: list[str], log: CellLog) -> Part:
    cell, line = place_of(statement, lines) or ("", 0)
    names = statement.names
    node = ast.parse(statement.source).body[0]
    return Part(statement.source, node, names, cell, line, _comments(cell, line, names.binds, log))


def _comments(cell: str, line: int, binds: Iterable[str], log: CellLog) -> str:
    """Give the comment lines right above a statement in its cell."""
    known = [found for name in binds if (found := log.latest(name) or log.declaring(name)) is not None]
    lines = next((s.cell.source.split("\n") for s in known if (s.cell.label, s.line) == (cell, line)), [])
    first = line - 1
    while first > 0 and first <= len(lines) and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(found for found in lines[first : line - 1] if not found.startswith("# %%"))


def _belongs(part: Part) -> bool:
    """Tell whether a statement is one of the notebook's: no import, no docstring, not what loads captured values."""
    return bool(part.cell) or isinstance(part.node, ast.Assign)


def _with_values(parts: list[Part]) -> list[Part]:
    """Write how captured values are loaded; each needs the functions and classes that it may be made of."""
    blocks: set[str] = set()
    result = []
    for part in parts:
        name = captured_name(part.node)
        if name is not None and isinstance(part.node, ast.Assign):
            source = f'{ast.unparse(part.node.targets[0])} = _load("{name}")'
            names = replace(part.names, reads=part.names.reads - {"_captured"} | blocks)
            part = replace(part, source=source, node=ast.parse(source).body[0], names=names)
        blocks |= part.names.binds if part.is_block else set()
        result.append(part)
    return result


def _imports_of_loader(module: Module) -> list[ast.Import | ast.ImportFrom]:
    source = "import pickle\nfrom pathlib import Path\n" if module.captured else ""
    return [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]


def _without_magic(parts: list[Part], imports: list[ast.Import | ast.ImportFrom]) -> list[Part]:
    """Write what ``%%flyte`` lines stand for as declarations, under the name that the notebook has for the package."""
    aliases = {a.asname for node in imports for a in getattr(node, "names", []) if a.name == "flyte_nb" and a.asname}
    alias = sorted(aliases - {_MAGIC} or {"flyte"})[0]
    magic = {(part.cell, part.line) for part in parts if _MAGIC in part.names.reads}
    shorts = {_alias(part) for part in parts if (part.cell, part.line) in magic} - {None}
    result = []
    for part in parts:
        if (part.cell, part.line) in magic and _MAGIC in part.names.reads:
            part = respelled(part, laid_out(ast.parse(renamed(part.source, {_MAGIC: alias})).body[0]))
        elif (part.cell, part.line) in magic and _alias(part) is not None:
            continue
        elif shorts:
            part = respelled(part, _with_owner(part, {s for s in shorts if s is not None}))
        result.append(part)
    return result


def _alias(part: Part) -> tuple[str, str] | None:
    """Give the names of ``task = env.task``."""
    match part.node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute(value=ast.Name(id=owner), attr="task")):
            return name, owner
    return None


def _with_owner(part: Part, shorts: set[tuple[str, str]]) -> str:
    """Write ``@env.task`` for the ``@task`` that a ``%%flyte`` cell has."""
    owners = dict(shorts)
    roots = [d.func if isinstance(d, ast.Call) else d for d in getattr(part.node, "decorator_list", [])]
    names = [root for root in roots if isinstance(root, ast.Name) and root.id in owners]
    return rewritten(part.source, [(name, f"{owners[name.id]}.task") for name in names])


def _ranks(log: CellLog) -> Callable[[Part], tuple[float, ...]]:
    """Rank statements by the place of their names in the notebook, which running a cell again does not change."""
    place = {name: float(i) for i, name in enumerate(log)}

    def rank(part: Part) -> tuple[float, ...]:
        own = [place[name] for name in part.names.binds if name in place]
        if own:
            return (min(own), 0, part.line)
        return (max((place[name] for name in part.at_once if name in place), default=-1), 1, part.line)

    return rank


def _docstring(how: Export) -> str:
    names = how.environments
    if len(names) == 1:
        what = f"The environment {names[0]}"
    else:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        what = f"The environments {listed}" if len(names) < 5 else f"{len(names)} environments"
    notebook = how.notebook.replace("\\", "_").replace('"', "_")
    return f'"""{what}.\n\n{_WORD}{f"the notebook {notebook}" if notebook else "a notebook"}.\n"""'


def _body(parts: list[Part], marks: bool) -> str:
    """Join the statements with the blank lines that their kinds ask for."""
    text = ""
    for before, part in zip([None, *parts], parts, strict=False):
        mark = f"# {part.cell}, line {part.line}\n" if marks and part.cell else ""
        comments = f"{part.comments}\n" if part.comments else ""
        apart = bool(mark or comments) or before is None or not _adjoin(before, part)
        blank = 2 if part.is_block or (before is not None and before.is_block) else int(apart)
        text += "\n" * (blank + 1) + mark + comments + tidied(part.source)
    return f"{text}\n"


def _adjoin(one: Part, other: Part) -> bool:
    """Tell whether two statements stood right after each other in a cell."""
    return one.cell == other.cell != "" and one.line + one.source.count("\n") + 1 == other.line


def _refusal(module: Module) -> str:
    values = ", ".join(f"{v.name!r} of {v.label} ({len(v.data)} bytes)" for v in module.captured)
    return (
        f"an export holds definitions, and the notebook computed {values}. Compute it inside a task, pass it as an "
        "input, bind it in a statement that can run again, or export with data (with_data=True, --with-data), which "
        "writes it as a file beside the module"
    )


def check_target(path: Path) -> None:
    """Refuse a path that cannot be a module's, and a file that no export wrote.

    Raises
    ------
    UsageError
        With the path.
    """
    if path.suffix != ".py":
        raise UsageError(f"export: given {str(path)!r}; accepted: the name of a Python file, such as 'pipeline.py'")
    if not path.parent.is_dir():
        raise UsageError(f"export: there is no folder {path.parent}")
    if path.exists() and not re.match(rf'"""[^"]*\n{_WORD}', path.read_text(errors="replace")):
        raise UsageError(f"export: {path} is there and no export wrote it; give another name, or move it away")


def write_export(path: Path, source: str, module: Module) -> None:
    """Write an exported module, and the captured values that it loads into a folder beside it."""
    folder = path.with_name(f"{path.stem}_data")
    for value in module.captured:
        folder.mkdir(exist_ok=True)
        write_file(folder / f"{value.name}.pkl", value.data)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(source, encoding="utf-8")
    draft.replace(path)
