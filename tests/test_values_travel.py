"""Values of every kind go into a task's own process and come back, and what does not fit is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import ran, written

SOURCE = """
import dataclasses, datetime as dt, decimal, enum, json, pathlib, uuid
from typing import Any, Literal, NamedTuple, Optional, Union
import pydantic
import flyte_nb as flyte
from flyte_nb.io import Dir, File

env = flyte.TaskEnvironment(name="e")

class Colour(enum.Enum):
    RED = "r"

class Pair(NamedTuple):
    a: int
    b: str

@dataclasses.dataclass
class Inner:
    x: int
    y: float = 0.5

@dataclasses.dataclass
class Outer:
    inner: Inner
    more: list[Inner] = dataclasses.field(default_factory=list)

class Model(pydantic.BaseModel):
    n: int
    inner: Optional["Model"] = None

class Plain:
    def __init__(self, v): self.v = v
    def __eq__(self, other): return type(other) is Plain and other.v == self.v

def echo(name, kinds):
    names = [f"value{i}" for i in range(len(kinds))]
    made = {}
    exec(f"def {name}({', '.join(names)}): return {', '.join(names)}", made)
    given = kinds[0] if len(kinds) == 1 else tuple[tuple(kinds)]
    made[name].__annotations__ = {**dict(zip(names, kinds)), "return": given}
    made[name].__module__ = __name__
    return env.task(made[name])

now = dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc)
SAME = [
    (int, 3), (float, 1.5), (str, "ü"), (bool, True), (bytes, b"\\x00\\xff"), (dt.datetime, now), (dt.date, now.date()),
    (dt.timedelta, dt.timedelta(minutes=1)), (Colour, Colour.RED), (Literal["a", "b"], "a"), (list[int], [1, 2]),
    (dict[int, str], {1: "a"}), (dict[str, Any], {"a": [None, {"b": 1}]}), (Optional[int], None),
    (Union[int, str], "1"),
    (Union[int, float], 1), (set[int], {1}), (Outer, Outer(Inner(1), [Inner(2)])),
    (Model, Model(n=1, inner=Model(n=2))), (list[Model], [Model(n=1)]),
    (Plain, Plain(1)), (pathlib.Path, pathlib.Path("a/b")),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (uuid.UUID, uuid.UUID(int=5)), (complex, 1j), (File, File("/x")), (File[str], File("/x")), (Dir, Dir("/x")),
    (list[File], [File("/x")]),
]
MADE = [
    (float, 1, 1.0), (dt.datetime, dt.datetime(2024, 1, 2), now), (Colour, "RED", Colour.RED),
    (Outer, {"inner": {"x": 1}, "more": [{"x": 2, "y": 3}]}, Outer(Inner(1), [Inner(2, 3.0)])),
    (Model, {"n": 1, "inner": {"n": 2}}, Model(n=1, inner=Model(n=2))), (list[Model], [{"n": 1}], [Model(n=1)]),
]
WRONG = [
    (int, "3"), (int, True), (int, 1.0), (str, 3), (bool, 1), (list[int], (1,)), (list[int], [1, "a"]), (Colour, "r"),
    (Outer, {"inner": {"x": "no"}}), (Model, {"m": 1}), (Literal["a"], "c"), (Union[int, str], 1.5),
    (File, "/x"), (Plain, 3),
]
everything = echo("everything", [kind for kind, *_ in [*SAME, *MADE]])
TASKS = [echo(f"t{i}", [kind]) for i, (kind, _) in enumerate(WRONG)]

@env.task
def error(value: Exception) -> Exception:
    return value

@env.task
def copies(value: list[int]) -> int:
    value.append(1)
    return len(value)

@env.task
def writes(text: str) -> File:
    made = File.new_remote("x.txt")
    with made.open_sync("w") as f:
        f.write(text)
    return made

@env.task
def reads(file: File, folder: Dir) -> list[str]:
    with file.open_sync("r") as f:
        return [f.read(), *(str(each.name) for each in folder.walk_sync())]

@env.task(max_inline_io_bytes=1000)
def limited(value: str) -> int:
    return len(value)

if __name__ == "__main__":
    wrong = []
    values = [*SAME, *MADE]
    outputs = flyte.run(everything, *(given for _, given, *_ in values)).outputs()
    for (kind, given, *expected), got in zip(values, outputs):
        want = expected[0] if expected else given
        if (got, type(got)) != (want, type(want)):
            wrong.append(f"{kind}: {given!r} -> {got!r}")
    refused = []
    for task, (kind, given) in zip(TASKS, WRONG):
        try:
            flyte.run(task, given)
            wrong.append(f"{kind}: {given!r} was taken")
        except TypeError as told:
            refused.append(str(told))
    told = flyte.run(error, ValueError("a", 1)).outputs()[0]
    mine = [1]
    written = flyte.run(writes, "data").outputs()[0]
    storage = File(written.path.replace("/", "local:///", 1))
    try:
        flyte.run(limited, "x" * 2000)
    except flyte.errors.InlineIOMaxBytesBreached as breached:
        breach = str(breached)
    print(json.dumps({
        "wrong": wrong, "refused": refused, "error": [type(told).__name__, list(told.args)],
        "copies": [flyte.run(copies, mine).outputs()[0], mine],
        "read": flyte.run(reads, written, Dir(str(pathlib.Path(written.path).parent))).outputs()[0],
        "storage": flyte.run(reads, storage, Dir(storage.path.rpartition("/")[0])).outputs()[0],
        "breach": breach, "fits": flyte.run(limited, "x" * 900).outputs()[0],
    }))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("fsspec")
    folder: Path = tmp_path_factory.mktemp("values")
    done = ran([str(written(folder / "values.py", SOURCE))], folder, timeout=110)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_values_come_back_as_they_are_or_as_their_annotation_says(seen: dict[str, Any]) -> None:
    assert seen["wrong"] == []
    assert seen["error"] == ["ValueError", ["a", 1]]


def test_what_does_not_fit_is_refused_by_name(seen: dict[str, Any]) -> None:
    assert len(seen["refused"]) == 14
    assert [told for told in seen["refused"] if not told.startswith("input 'value0'")] == []


def test_a_task_gets_a_copy(seen: dict[str, Any]) -> None:
    assert seen["copies"] == [2, [1]]


def test_files_and_folders_travel_as_references(seen: dict[str, Any]) -> None:
    assert seen["read"] == seen["storage"] == ["data", "x.txt"]


def test_inputs_inline_are_limited(seen: dict[str, Any]) -> None:
    assert "the inputs of e.limited have 2,0" in seen["breach"]
    assert "accepted: 1,000" in seen["breach"]
    assert seen["fits"] == 900
