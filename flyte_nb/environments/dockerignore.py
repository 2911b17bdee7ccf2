"""DockerIgnore rules: which files of a folder stay out of an image."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["IgnoreRules", "files_under"]

# Written by tools while the code runs, so they would give the same sources another tag each time.
_NEVER = frozenset(
    [
        ".DS_Store",
        ".git",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".venv",
        "__pycache__",
    ]
)


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of one ``.dockerignore`` file; the last rule that matches a path decides.

    Parameters
    ----------
    rules : tuple of (bool, pattern)
        For each line, whether it leaves out (True) or takes back in (``!``, False), and what it matches.
    """

    rules: tuple[tuple[bool, re.Pattern[str]], ...] = ()

    @classmethod
    def parse(cls, lines: Iterable[str]) -> IgnoreRules:
        """Read rules as Docker does: ``#`` comments, ``!`` exceptions, ``*``, ``?``, ``[…]`` and ``**``."""
        rules = []
        for line in lines:
            text = "" if line.startswith("#") else line.strip()
            takes_out, text = not text.startswith("!"), text.removeprefix("!").strip()
            if text:
                rules.append((takes_out, _pattern(posixpath.normpath(text).strip("/"))))
        return cls(tuple(rules))

    @classmethod
    def read(cls, file: Path) -> IgnoreRules:
        """Read the rules of a file; a file that does not exist has none."""
        return cls.parse(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else cls()

    def leaves_out(self, path: str) -> bool:
        """Tell whether a path, relative to the folder and with ``/``, is left out."""
        verdict = False
        for takes_out, pattern in self.rules:
            if takes_out is not verdict and pattern.match(path):
                verdict = takes_out
        return verdict


def _pattern(glob: str) -> re.Pattern[str]:
    """Compile one rule; it matches the path itself and everything below it."""
    token = re.compile(r"\*\*/|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|.", re.DOTALL)
    return re.compile("".join(_translate(t) for t in token.findall(glob)) + r"(/.*)?\Z", re.DOTALL)


def _translate(token: str) -> str:
    known = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in known:
        return known[token]
    if len(token) > 2 and token.startswith("["):
        negated = token[1] == "^"
        return f"[{'^' * negated}{re.escape(token[1 + negated : -1])}]".replace(r"\-", "-")
    return re.escape(token[-1])  # the last character: a backslash before it only quotes


def files_under(folder: Path, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
    """Give the files of a folder that belong in an image, each with its path relative to the folder.

    Parameters
    ----------
    folder : Path
        The folder; what tools leave there (``.git``, ``__pycache__`` …) is never given.
    rules : IgnoreRules, optional
        What else is left out; by default the folder's own ``.dockerignore`` says it.
    """
    rules = IgnoreRules.read(folder / ".dockerignore") if rules is None else rules
    return ((name, path) for name, path in _walk(folder, "") if not rules.leaves_out(name))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name in _NEVER or entry.name.endswith(".pyc"):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_symlink() or entry.is_file():
            yield prefix + entry.name, Path(entry.path)
