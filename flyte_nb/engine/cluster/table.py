"""The table of every field: what a field of each declaration becomes in the Flyte SDK that is installed.

``python -m flyte_nb.engine.cluster.table`` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.environments import KINDS, VALUES
from flyte_nb.engine.cluster.kinds import Kind

__all__ = ["Row", "rows"]


class Row(NamedTuple):
    """One field of a declaration, and what it becomes.

    ``becomes`` is the SDK's field by dotted name; for a field that is none, what stands for it. ``missing`` tells that
    the installed version does not have it: a declaration that sets it is refused by that name.
    """

    declaration: str
    field: str
    becomes: str
    missing: bool = False

    def __str__(self) -> str:
        return f"{self.declaration}.{self.field} -> {self.becomes}{' (missing)' if self.missing else ''}"


def rows() -> list[Row]:
    """Give a row for each field of each class of declarations, and for each value that the SDK has its own of."""
    found = [row for kind in KINDS.values() for row in _rows_of(kind)]
    return found + [Row("values", str(value), path, sdk.find(path) is None) for value, path in VALUES.items()]


def _rows_of(kind: Kind) -> Iterator[Row]:
    target = sdk.find(kind.target)
    known = sdk.accepted(target) if target is not None else frozenset[str]()
    name = kind.declared.__qualname__
    if not kind.fields:
        yield Row(name, "", kind.target, target is None)
    for field in kind.fields:
        to = kind.renamed.get(field, field)
        if field in kind.instead:
            yield Row(name, field, kind.instead[field], target is None)
        else:
            yield Row(name, field, f"{kind.target}.{to}", to not in known)


if __name__ == "__main__":
    print(f"Flyte SDK {sdk.version()}", *rows(), sep="\n")
