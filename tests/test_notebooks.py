"""Every lesson runs top to bottom, headless, and is committed without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from flyte_nb.headless import execute

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_lesson_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "cache"))
    for name in ("FORECAST_TOKEN", "FLYTECTL_CONFIG", "FLYTE_API_KEY", "FLYTE_ADMIN_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    if "cluster" in path.stem:  # a real one may be configured in the home of who runs the tests
        monkeypatch.setenv("HOME", str(tmp_path))
    executed = execute(path, timeout=120)
    assert executed.error is None, executed.error and executed.error.trace
    cells = [c for c in executed.notebook.cells if c.cell_type == "code"]
    assert executed.cells == len(cells)
    meant = [c.id for c in cells if "raises-exception" in c.metadata.get("tags", [])]
    assert [c.id for c in cells if any(o.output_type == "error" for o in c.outputs)] == meant


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_lesson_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert [c.id for c in notebook.cells if c.cell_type == "code" and (c.outputs or c.execution_count)] == []
