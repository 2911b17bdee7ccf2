"""The table of fields that is kept in the package says of the installed SDK what the SDK itself says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import flyte_nb
import pytest
from flyte_nb.engine.cluster.sdk import TESTED
from flyte_nb.engine.cluster.table import Row, markdown

from sdk_process import WHY, SdkProcess, has_sdk

FIELDS = Path(flyte_nb.__file__).parent / "engine" / "cluster" / "FIELDS.md"
_SINCE = r"(?: \*\(([\d.]+|flyteplugins-\w+)\)\*)?"


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split("."))) if version[:1].isdecimal() else ()


def told(version: str) -> Iterator[tuple[str, str, bool]]:
    """Read the table: of each declaration its fields, and whether a version lacks them."""
    for line in FIELDS.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            since = re.search(_SINCE + "$", cells[1])
            assert since is not None
            named = re.findall(r"`(\w+)`(?: → `\w+`)?" + _SINCE, cells[2])
            otherwise = re.findall(r"`(\w+)`" + _SINCE + ":", cells[3])
            for field, own in [*named, *otherwise] or [("", "")]:
                needed = own or since[1] or ""
                yield cells[0].strip("`"), field, number(version) < number(needed)


@pytest.mark.skipif(not has_sdk(), reason=WHY)
def test_the_table_is_that_of_the_installed_version(tmp_path: Path) -> None:
    process = SdkProcess(tmp_path)
    try:
        version, rows = process.ask("version"), process.ask("rows")
    finally:
        process.end()
    assert version in TESTED, "run the tests with one of the versions that are said to be tested, or add this one"
    plugins = {row[0] for row in rows if row[3].startswith("flyteplugins.")}  # installed here, or not
    have = {(name, field, missing and name not in plugins) for name, field, missing, _ in rows if name != "values"}
    assert set(told(version)) == have
    assert plugins >= {"RayJobConfig", "Spark", "Dask"}


def test_the_table_names_every_tested_version() -> None:
    assert f"all of them with: {', '.join(TESTED)}.\n" in FIELDS.read_text()


def test_what_holds_from_a_version_on_is_said_once() -> None:
    new = [
        Row("Port", "port", "flyte.app.Port.port", target="flyte.app.Port"),
        Row("Port", "name", "flyte.app.Port.label", target="flyte.app.Port"),
        Row("Later", "a", "flyte.Later.a", target="flyte.Later"),
        Row("Later", "b", "flyte.Later.b", target="flyte.Later"),
        Row("Later", "c", "one | other", target="flyte.Later"),
    ]
    old = [row._replace(missing=row.declaration == "Later" or row.field == "name") for row in new]
    middle = [row._replace(missing=row.field == "b") for row in new]
    new.append(Row("Ray", "a", "flyteplugins.ray.Ray.a", missing=True, target="flyteplugins.ray.Ray"))
    lines = markdown({"2.3.9": old, "2.6.5": middle, "2.12.1": new}).splitlines()
    assert "| `Port` | `flyte.app.Port` | `port`, `name` → `label` *(2.6.5)* | — |" in lines
    assert "| `Later` | `flyte.Later` *(2.6.5)* | `a`, `b` *(2.12.1)* | `c`: one \\| other |" in lines
    assert "| `Ray` | `flyteplugins.ray.Ray` *(flyteplugins-ray)* | `a` | — |" in lines
