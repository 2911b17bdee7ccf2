"""Runs as cards."""

from __future__ import annotations

from datetime import datetime, timezone

import pandas as pd
from flyte_nb.engine.base import Action, Outputs, Phase, Run
from flyte_nb.widgets import runs


def test_a_run_that_took_kept_outputs_has_no_duration() -> None:
    made = Run("one", "e.t", actions=[Action("a0", "e.t", None, Phase.SUCCEEDED, cached=True)])
    assert runs.run(made).strip == ["succeeded", "kept outputs"]


def test_such_a_run_is_listed_with_the_time_at_which_it_was_asked_for() -> None:
    asked = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    made = Run("one", "e.t", actions=[Action("a0", "e.t", None, Phase.SUCCEEDED, queued=asked, cached=True)])
    assert asked.astimezone().strftime("%Y-%m-%d %H:%M") in runs.runs([made]).text()


def test_large_outputs_are_told_by_their_shape() -> None:
    result = Outputs.of(pd.DataFrame({"a": range(20)}), ("table",))
    made = Run("one", "e.t", actions=[Action("a0", "e.t", None, Phase.SUCCEEDED)], result=result)
    assert ("table", "DataFrame of 20 x 1", "") in runs.run(made).rows


def test_a_version_stands_beside_its_task_and_json_has_it_apart() -> None:
    queued = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    made = Run("one", "e.t", version="v1", actions=[Action("a0", "e.t", None, Phase.SUCCEEDED, queued=queued)])
    assert "e.t@v1" in runs.runs([made]).text()
    data = runs.data(made)
    assert (data["task"], data["version"], data["phase"], data["seconds"]) == ("e.t", "v1", "succeeded", None)
