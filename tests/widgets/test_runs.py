"""Runs as cards."""

from __future__ import annotations

from flyte_nb.engine.base import Action, Phase, Run
from flyte_nb.widgets import runs


def test_a_run_that_took_kept_outputs_has_no_duration() -> None:
    made = Run("one", "e.t", actions=[Action("a0", "e.t", None, Phase.SUCCEEDED, cached=True)])
    assert runs.run(made).strip == ["succeeded", "kept outputs"]
