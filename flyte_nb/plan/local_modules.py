"""Local modules: the Python files beside a notebook that its code imports, and those that they import in turn."""

from __future__ import annotations

import ast
import bisect
import functools
import io
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from flyte_nb.plan.files import Shipped, shipped

__all__ = ["local_modules"]

_INSTALLED = {"site-packages", "dist-packages"}
_OWN = ("flyte_nb", "flyte")
_SUFFIXES = (".py", *EXTENSION_SUFFIXES)


@dataclass(frozen=True)
class _Source:
    """Python to search for imports: its text, the package that its relative imports start from, and its name."""

    text: str
    package: str
    name: Callable[[int], str]


def local_modules(
    source: str, name: Callable[[int], str], files: Iterable[Shipped] = (), path: Iterable[str] | None = None
) -> list[Shipped]:
    """Give the local modules that a source imports, at its top or in its functions, and what those import.

    A module is local when Python finds it in a folder of ``sys.path`` that is neither the standard library's nor one
    where packages are installed. It keeps its place below that folder. Nothing is imported in order to find it.

    Parameters
    ----------
    source : str
        The generated module, or a script.
    name : callable
        Says what a line of it is called, for example ``"In [3], line 1"``.
    files : iterable of Shipped
        Files that travel anyway; the imports of the Python files among them count too.
    path : iterable of str, optional
        Where modules are looked for; ``sys.path`` by default.
    """
    search = _Search(sys.path if path is None else path)
    waiting = [_Source(source, "", name)]
    for file in files:
        if file.path.endswith(".py"):
            waiting.append(_source_of(file.source, file.path, ".".join(Path(file.path).parts[:-1])))
    while waiting:
        waiting += search.imports(waiting.pop(0))
    return list(search.found.values())


def _source_of(file: Path, shown: str, package: str) -> _Source:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return _Source(text, package, lambda line: f"{shown}, line {line}")


class _Search:
    def __init__(self, path: Iterable[str]) -> None:
        self.folders = list(dict.fromkeys(os.path.abspath(entry or os.getcwd()) for entry in path))
        self.found: dict[str, Shipped] = {}
        self.known: dict[str, str | None] = {}

    def imports(self, source: _Source) -> Iterator[_Source]:
        """Take in the modules that a source imports; give those that are new, to be searched in turn."""
        for module, line in _imported(source.text, source.package):
            top = module.partition(".")[0]
            if top not in self.known:
                self.known[top] = self._local_folder_of(top)
            folder = self.known[top]
            if folder is not None:
                yield from self._take(module.split("."), Path(folder), f"imported by {source.name(line)}")

    def _local_folder_of(self, top: str) -> str | None:
        """Give the folder where Python finds a local module: one with a file wins over a mere folder of its name."""
        if top in _OWN or top in sys.builtin_module_names:
            return None
        holds = (f for f in self.folders if _file_of(Path(f) / top) is not None)
        folder = next(holds, None) or next((f for f in self.folders if (Path(f) / top).is_dir()), None)
        return None if folder is None or _is_installed(folder) else folder

    def _take(self, parts: list[str], folder: Path, why: str) -> Iterator[_Source]:
        """Take in a module and the packages above it."""
        for depth in range(1, len(parts) + 1):
            file = _file_of(folder.joinpath(*parts[:depth]))
            if file is None:
                continue  # a folder without ``__init__.py``, or a name that a module holds
            shown = file.relative_to(folder).as_posix()
            if shown not in self.found:
                self.found[shown] = shipped(shown, file, why)
                package = parts[:depth] if file.stem == "__init__" else parts[: depth - 1]
                if file.suffix == ".py":
                    yield _source_of(file, shown, ".".join(package))


def _file_of(stem: Path) -> Path | None:
    """Give the file of a module: a package's ``__init__.py`` first, as Python does."""
    package = [stem / "__init__.py"]
    return next((f for f in [*package, *(Path(f"{stem}{suffix}") for suffix in _SUFFIXES)] if f.is_file()), None)


def _is_installed(folder: str) -> bool:
    """Tell whether a folder of ``sys.path`` holds the standard library or what was installed."""
    fixed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = Path(folder)
    return not own.is_dir() or bool(_INSTALLED & set(own.parts)) or any(own.is_relative_to(p) for p in fixed if p)


@functools.lru_cache(maxsize=256)
def _imported(text: str, package: str) -> list[tuple[str, int]]:
    """List the dotted names that a source imports, with their lines; ``from a import b`` may mean ``a.b``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []  # importing it fails there as it does here
    found: list[tuple[str, int]] = []
    lines = [n for n, line in enumerate(io.StringIO(text, newline=""), 1) if "import" in line]
    for node in _those_on(tree.body, lines):
        if isinstance(node, ast.Import):
            found += ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, package)
            names = [alias.name for alias in node.names if alias.name != "*"]
            modules = dict.fromkeys(".".join(filter(None, [origin, name])) for name in ["", *names])
            found += ((module, node.lineno) for module in modules if module)
    return found


def _those_on(statements: list[ast.stmt], lines: list[int]) -> Iterator[ast.AST]:
    """Give the parts of the statements that have one of the lines; most of a large module imports nothing."""
    for one in statements:
        at = bisect.bisect_left(lines, one.lineno)
        if at < len(lines) and lines[at] <= (one.end_lineno or one.lineno):
            yield from ast.walk(one)


def _origin(node: ast.ImportFrom, package: str) -> str:
    """Give the absolute name of what a ``from`` import takes from."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    return ".".join(filter(None, [*parts[: len(parts) - node.level + 1], node.module]))
