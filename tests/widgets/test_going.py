"""Going: how far a deployment has come is told in bounded lines, what failed first."""

from __future__ import annotations

import itertools

from flyte_nb.engine.base import Progress, Step
from flyte_nb.widgets.going import MOST, Going


def test_each_environment_has_its_step() -> None:
    clock = itertools.count()
    going = Going(["a", "b", "c"], lambda: float(next(clock)))
    going.take(Progress("", Step.BUNDLING, "begins"))
    going.take(Progress("a", Step.DEPLOYED, "at version 1"))
    going.take(Progress("c", Step.FAILED, "<no room>\u202e"))
    text, html = going.view().text(), going.view().html()
    assert "2 of 3 environments done" in text
    assert "bundling begins" in text
    assert text.index("! ") < text.index("waits") < text.index("✓")
    assert "&lt;no room&gt;" in html
    assert "\u202e" not in html
    going.end()
    first, later = going.view().text(), going.view().text()
    assert first == later
    assert "bundling" not in first


def test_a_large_one_is_bounded() -> None:
    going = Going([f"env-{number}" for number in range(1_000)])
    for number in range(999):
        going.take(Progress(f"env-{number}", Step.DEPLOYED))
    going.take(Progress("env-999", Step.FAILED, "why"))
    text = going.view().text()
    assert len(text.splitlines()) == MOST + 3
    assert "env-999" in text
    assert f"and {1_000 - MOST} more" in text
    assert "999 deployed" in text
