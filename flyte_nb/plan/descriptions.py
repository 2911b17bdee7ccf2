"""Descriptions: what the docstring of a task says of each of its inputs, in any of the three usual styles."""

from __future__ import annotations

import inspect
import re

__all__ = ["descriptions"]

_FIELD = re.compile(r":param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_GOOGLE = re.compile(r"(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY = re.compile(r"(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
_HEADS = ("args:", "arguments:", "parameters:", "inputs:")
_ENDS = re.compile(r"(returns?|yields?|raises|examples?|notes?|warns?|attributes|see also|references)\b:?$", re.I)


def descriptions(docstring: str) -> dict[str, str]:
    """Give what a docstring says of each input, by name; NumPy's, Google's and Sphinx's styles are known.

    Parameters
    ----------
    docstring : str
        The text; one that says nothing of inputs gives nothing.
    """
    lines = inspect.cleandoc(docstring).splitlines()
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        if (field := _FIELD.match(line.strip())) is not None:
            found[field[1]] = [field[2], *_deeper(lines[number + 1 :], _depth(line))]
        elif line.strip().lower() in _HEADS:
            found |= _entries(_deeper(lines[number + 1 :], _depth(line), blank=True), _GOOGLE, same_line=True)
        elif line.strip().lower() == "parameters" and set("".join(lines[number + 1 : number + 2]).strip()) == {"-"}:
            found |= _entries(_section(lines[number + 2 :]), _NUMPY, same_line=False)
    return {name: text for name, parts in found.items() if (text := " ".join(" ".join(parts).split()))}


def _section(lines: list[str]) -> list[str]:
    """Give the lines of a NumPy section: up to the next heading."""
    for number, line in enumerate(lines):
        under = lines[number + 1].strip() if number + 1 < len(lines) else ""
        if not line.startswith(" ") and under and set(under) == {"-"}:
            return lines[:number]
    return lines


def _deeper(lines: list[str], depth: int, blank: bool = False) -> list[str]:
    """Give the lines that follow with more indentation; ``blank`` says that they may have empty ones between."""
    taken: list[str] = []
    for line in lines:
        if (line.strip() or not blank) and (not line.strip() or _depth(line) <= depth):
            break
        taken.append(line)
    return taken


def _entries(lines: list[str], pattern: re.Pattern[str], same_line: bool) -> dict[str, list[str]]:
    """Read entries: a line with the name, then lines further in."""
    found: dict[str, list[str]] = {}
    depth = min((_depth(line) for line in lines if line.strip()), default=0)
    for number, line in enumerate(lines):
        match = pattern.match(line.strip()) if line.strip() and _depth(line) == depth else None
        if match is not None and not _ENDS.match(line.strip()):
            text = [*([match[2]] if same_line else []), *_deeper(lines[number + 1 :], depth)]
            found |= dict.fromkeys(re.findall(r"\w+", match[1]), text)
    return found


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
