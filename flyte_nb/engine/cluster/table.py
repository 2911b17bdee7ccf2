"""The table of every field: what a field of each declaration becomes in the Flyte SDK.

``python -m flyte_nb.engine.cluster.table`` prints it for the SDK that is installed, as JSON with ``--json``. With
``--markdown PYTHON …``, Pythons with other versions of the SDK, it prints one table of all of them: ``FIELDS.md``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.environments import KINDS, VALUES
from flyte_nb.engine.cluster.kinds import Kind

__all__ = ["Row", "markdown", "rows"]

#: what a version of the SDK without a class for a declaration has in its place
_ELSEWHERE = {
    "ClusteredSettings": ("flyte.clustered.ClusteredTaskEnvironment", "read from the environment by versions before it")
}
_VALUES = "values"
_HEAD = """# What each declaration becomes in the Flyte SDK

Every field of every declaration, and the class of the Flyte SDK that takes it, for the versions that the tests
translate all of them with: {versions}.

- *(2.6.5)* after a class or a field says that it is there from that version on. A declaration that sets one which the
  installed version lacks is refused by its name when it is translated, before anything is sent; one that leaves it at
  its default is not.
- A field has the same name there, unless an arrow gives another one.
- *(flyteplugins-ray)* is the package of the SDK's own plugin, which who deploys a task with such a configuration needs.
- *Otherwise* are fields that no object of the SDK is made with, and what stands for each.

Made by `python -m flyte_nb.engine.cluster.table --markdown`.
"""


class Row(NamedTuple):
    """One field of a declaration, and what it becomes.

    ``becomes`` is the SDK's field by dotted name; for a field that is none, what stands for it. ``missing`` tells that
    the installed version does not have it: a declaration that sets it is refused by that name. ``target`` is the class
    of the SDK.
    """

    declaration: str
    field: str
    becomes: str
    missing: bool = False
    target: str = ""

    def __str__(self) -> str:
        return f"{self.declaration}.{self.field} -> {self.becomes}{' (missing)' if self.missing else ''}"


def rows() -> list[Row]:
    """Give a row for each field of each class of declarations, and for each value that the SDK has its own of."""
    found = [row for kind in KINDS.values() for row in _rows_of(kind)]
    return found + [Row(_VALUES, str(value), path, sdk.find(path) is None) for value, path in VALUES.items()]


def _rows_of(kind: Kind) -> Iterator[Row]:
    target = sdk.find(kind.target)
    known = sdk.accepted(target) if target is not None else frozenset[str]()
    name = kind.declared.__qualname__
    other, told = _ELSEWHERE.get(name, ("", ""))
    if not kind.fields:
        yield Row(name, "", kind.target, target is None, kind.target)
    for field in kind.fields:
        to = kind.renamed.get(field, field)
        if field in kind.instead:
            yield Row(name, field, kind.instead[field], target is None, kind.target)
        elif target is None and other and sdk.find(other) is not None:
            yield Row(name, field, told, target=kind.target)
        else:
            yield Row(name, field, f"{kind.target}.{to}", to not in known, kind.target)


def markdown(tables: Mapping[str, Iterable[Row]]) -> str:
    """Give one table of all versions, a line for each class of declarations.

    Parameters
    ----------
    tables : mapping of str to iterable of Row
        The rows of each version, the oldest first; the rows themselves are those of the newest.
    """
    versions = list(tables)
    missing = {version: {(row.declaration, row.field) for row in tables[version] if row.missing} for version in tables}
    newest = [row for row in tables[versions[-1]] if row.declaration != _VALUES]
    values = [row for row in tables[versions[-1]] if row.declaration == _VALUES]

    def since(row: Row) -> str:
        """Give the version from which on a row holds; empty where every one has it, and for a plugin."""
        first = next((v for v in versions if (row.declaration, row.field) not in missing[v]), "")
        return "" if first == versions[0] or _package(row.target) else first

    head = _HEAD.format(versions=", ".join(versions))
    lines = [head, "| declaration | in the SDK | fields | otherwise |", "|---|---|---|---|"]
    for name, group in groupby(newest, key=lambda row: row.declaration):
        lines.append(_line(name, [(row, since(row)) for row in group]))
    lines += ["\nValues that the SDK has its own of:\n", "| value | in the SDK |", "|---|---|"]
    lines += [f"| {_code(_value(row.field))} | {_code(row.becomes)}{_from(since(row))} |" for row in values]
    return "\n".join(lines) + "\n"


def _line(name: str, fields: list[tuple[Row, str]]) -> str:
    """Word one class of declarations; what holds for each of its fields is said once, of the class."""
    target = fields[0][0].target
    whole = min((version for _, version in fields), key=_number)
    named, otherwise = [], []
    for row, version in fields:
        own = _from(version if version != whole else "")
        to = row.becomes.removeprefix(f"{target}.")
        if row.becomes == to or not to.isidentifier():  # words, not a field
            otherwise += [f"{_code(row.field)}{own}: {row.becomes}"] if row.field else []
        else:
            named.append(_code(row.field) + (f" → {_code(to)}" if to != row.field else "") + own)
    told = "; ".join(otherwise).replace("|", "\\|")
    first = f"{_code(target)}{_from(whole or _package(target))}"
    return f"| {_code(name)} | {first} | {', '.join(named) or '—'} | {told or '—'} |"


def _package(target: str) -> str:
    """Give the package of a class of one of the SDK's plugins; empty for one of the SDK itself."""
    root, _, rest = target.partition(".")
    return f"flyteplugins-{rest.partition('.')[0]}" if root == "flyteplugins" else ""


def _code(text: str) -> str:
    return f"`{text}`"


def _from(version: str) -> str:
    return f" *({version})*" if version else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")) if version else ()


def _value(text: str) -> str:
    """Give a class by its name, and a member of an enumeration by both."""
    return text.removeprefix("<class '").removesuffix("'>").rpartition(".")[2] if text.startswith("<") else text


def _of_python(python: str) -> tuple[str, list[Row]]:
    """Ask another Python for the table of its version."""
    words = [python, "-m", "flyte_nb.engine.cluster.table", "--json"]
    told = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return told["version"], [Row(*row) for row in told["rows"]]


def main(words: list[str]) -> str:
    """Give what the command prints."""
    parser = argparse.ArgumentParser(prog="python -m flyte_nb.engine.cluster.table")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--markdown", nargs="*", metavar="PYTHON", help="one table, with the versions of these Pythons")
    options = parser.parse_args(words)
    if options.json:
        return json.dumps({"version": sdk.version(), "rows": rows()})
    if options.markdown is None:
        return "\n".join([f"Flyte SDK {sdk.version()}", *map(str, rows())])
    tables = dict([(sdk.version(), rows()), *map(_of_python, options.markdown)])
    return markdown({version: tables[version] for version in sorted(tables, key=_number)})


if __name__ == "__main__":
    print(main(sys.argv[1:]))
