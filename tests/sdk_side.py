"""What tests ask of a Python that has the Flyte SDK: each line it reads is a request, each line it writes an answer.

The same code is run twice, once with ``flyte`` = flyte_nb, whose declarations are then translated, and once with the
real SDK; the two objects are compared field by field, by a comparison of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

#: what the SDK's root does not import by itself
SUBMODULES = ("flyte.app.extras", "flyte.clustered", "flyte.extras", "flyte.io", "flyte.notify")
#: what belongs to where an object was made
OWN = {"parent_env", "_declaring_file", "_caller_frame", "_tasks", "_server", "place"}
#: a web framework's own objects, which go in circles
FOREIGN = {"app", "uvicorn_config"}


def differences(path: str, one: Any, other: Any) -> Iterator[str]:
    """Say where two objects differ."""
    if isinstance(one, type) or (callable(one) and hasattr(one, "__qualname__")):
        if getattr(other, "__qualname__", None) != one.__qualname__:
            yield f"{path}: {one!r} and {other!r}"
    elif named(type(one)) != named(type(other)):
        yield f"{path}: {one!r} and {other!r}"
    elif dataclasses.is_dataclass(one):
        for name in sorted({f.name for f in dataclasses.fields(one)} | set(vars_of(one))):
            if name in FOREIGN and hasattr(one, name):
                yield from differences(f"{path}.{name}", type(one.__dict__[name]), type(other.__dict__[name]))
            elif name not in OWN and hasattr(one, name):
                yield from differences(f"{path}.{name}", getattr(one, name), getattr(other, name))
        if hasattr(one, "tasks"):
            yield from differences(f"{path}.tasks", one.tasks, other.tasks)
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f"{path}: {one!r} and {other!r}"
        for place, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            yield from differences(f"{path}[{place}]", mine, theirs)
    elif isinstance(one, dict):
        yield from differences(f"{path} keys", list(one), list(other))
        for key in one:
            yield from differences(f"{path}[{key!r}]", one[key], other.get(key))
    elif one is not other and one != other:
        if not vars_of(one) and not vars_of(other) and type(one).__eq__ is not object.__eq__:
            yield f"{path}: {one!r} and {other!r}"
        yield from differences(f"{path} of {type(one).__name__}", vars_of(one), vars_of(other))


def named(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def vars_of(value: Any) -> dict[str, Any]:
    return dict(getattr(value, "__dict__", {}))


def run(code: str, package: Any) -> Any:
    """Give what some code binds to ``result``, with a package called ``flyte``; its submodules come by attribute."""
    names = {"flyte": package, "__name__": "__main__"}
    exec(compile(code, "<case>", "exec"), names)
    return names["result"]


def translated(value: Any) -> Any:
    import flyte_nb
    from flyte_nb.engine.cluster.environments import environments_as_sdk
    from flyte_nb.engine.cluster.kinds import translate
    from flyte_nb.plan.graph import order

    if isinstance(value, flyte_nb.Environment):
        return environments_as_sdk(order([value]))[value.name]
    return translate(value)


def compare(code: str) -> dict[str, Any]:
    """Translate what code gives with flyte_nb, and compare it with what it gives with the SDK."""
    import flyte
    import flyte_nb

    for name in SUBMODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

    answer: dict[str, Any] = {"ours": "", "theirs": "", "differences": []}
    declared = run(code, flyte_nb)
    try:
        ours = translated(declared)
    except flyte_nb.errors.FlyteError as error:
        answer["ours"] = str(error)
    try:
        theirs = run(code, flyte)
    except Exception as error:
        answer["theirs"] = f"{type(error).__name__}: {error}"
    if not answer["ours"] and not answer["theirs"]:
        answer["differences"] = list(differences("", ours, theirs))
    return answer


def missing() -> list[str]:
    """Name the fields that the installed version does not have."""
    from flyte_nb.engine.cluster.table import rows

    return [f"{row.declaration}.{row.field}" for row in rows() if row.missing]


def rows() -> list[tuple[str, str, bool, str]]:
    """Give every row of the table of fields, whether the installed version lacks it, and the SDK's class."""
    from flyte_nb.engine.cluster import table

    return [(row.declaration, row.field, row.missing, row.target) for row in table.rows()]


def version() -> str:
    from flyte_nb.engine.cluster import sdk

    return sdk.version()


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, *given = json.loads(line)
        print(json.dumps(globals()[name](*given)), file=answers, flush=True)


if __name__ == "__main__":
    main()
