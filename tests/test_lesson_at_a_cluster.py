"""The lesson on clusters runs against the stand-in of a control plane, with the cells that it has for everybody."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.headless import execute

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")
pytest.importorskip("uvicorn", reason="the stand-in of a control plane needs uvicorn")

from plane import Plane

LESSON = Path(__file__).parents[1] / "notebooks" / "10_to_the_cluster.ipynb"


def told(cell: Any) -> str:
    """Give what a cell printed and showed, as text."""
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


@pytest.mark.slow
def test_the_lesson_goes_to_the_cluster_where_one_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Plane(tmp_path / "plane") as plane:
        for name, value in plane.settings(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "store"))
        executed = execute(LESSON, timeout=120)
        assert executed.error is None, executed.error and executed.error.trace
        whole = "\n".join(told(cell) for cell in executed.notebook.cells if cell.cell_type == "code")
        assert f"{plane.endpoint}  (cluster, answers)" in whole
        assert f"found in   {os.environ['FLYTECTL_CONFIG']}" in whole
        assert "the cells below go to the cluster" in whole
        assert "Typical(species='Gentoo', value=5076.0, count=123) True" in whole
        assert f"active at {plane.endpoint}/apps/penguin-site/" in whole
        names = [call.main().partition(",")[0] for call in plane.of("RunService.CreateRun")]
        assert names == ["penguins.heaviest", "penguins.typical", "penguins.typical"]
        assert plane.apps.known["penguin-site"].spec.desired_state == 1  # stopped
