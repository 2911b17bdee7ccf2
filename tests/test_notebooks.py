"""Every lesson runs top to bottom, headless, and is committed without outputs."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest
from flyte_nb.headless import execute

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: the engines that cells need which have such a tag, by the package of each
ENGINES = {"ray": "ray", "spark": "pyspark", "dask": "distributed"}
MISSING = {tag for tag, package in ENGINES.items() if find_spec(package) is None}
#: a lesson starts each of the engines that are installed, which takes its time
HEAVY = [pytest.mark.timeout(900)] + ([pytest.mark.long] if len(MISSING) < len(ENGINES) else [])


def _lesson(path: Path) -> Any:
    return pytest.param(path, marks=HEAVY if path.stem.endswith("ray_spark_dask") else [], id=path.stem)


def _cut(path: Path, folder: Path) -> Path:
    """Give a lesson without the cells for engines that are not installed; itself, where none of them is missing."""
    notebook = nbformat.read(path, as_version=4)
    kept = [cell for cell in notebook.cells if not MISSING.intersection(cell.metadata.get("tags", []))]
    if len(kept) == len(notebook.cells):
        return path
    notebook.cells = kept
    shutil.copytree(FOLDER, folder)
    nbformat.write(notebook, folder / path.name)
    return folder / path.name


@pytest.mark.parametrize("path", [_lesson(path) for path in NOTEBOOKS])
def test_lesson_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "cache"))
    for name in ("FORECAST_TOKEN", "FLYTECTL_CONFIG", "FLYTE_API_KEY", "FLYTE_ADMIN_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    if "cluster" in path.stem:  # a real one may be configured in the home of who runs the tests
        monkeypatch.setenv("HOME", str(tmp_path))
    executed = execute(_cut(path, tmp_path / "cut"), timeout=300 if path.stem.endswith("ray_spark_dask") else 120)
    assert executed.error is None, executed.error and executed.error.trace
    cells = [c for c in executed.notebook.cells if c.cell_type == "code"]
    assert executed.cells == len(cells)
    meant = [c.id for c in cells if "raises-exception" in c.metadata.get("tags", [])]
    assert [c.id for c in cells if any(o.output_type == "error" for o in c.outputs)] == meant


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_lesson_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert [c.id for c in notebook.cells if c.cell_type == "code" and (c.outputs or c.execution_count)] == []
