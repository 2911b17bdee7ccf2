"""Reports: HTML in tabs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb.context.records import ActionID
from flyte_nb.context.task_context import TaskContext, entered
from flyte_nb.report import Report


@pytest.fixture
def context(tmp_path: Path) -> TaskContext:
    return TaskContext(action=ActionID(name="a0"), output_path=f"{tmp_path}/a0", report=Report("the <task>"))


def test_a_report_starts_with_an_empty_main_tab() -> None:
    report = Report("x")
    assert list(report.tabs) == ["main"]
    assert not report.has_content()
    assert "<h2>main" not in report.get_final_report()


def test_tabs_are_made_when_asked_for() -> None:
    report = Report("x")
    report.get_tab("data").log("<p>1</p>")
    report.get_tab("data").log("<p>2</p>")
    assert report.get_tab("data", create_if_missing=False).get_html() == "<p>1</p>\n<p>2</p>"
    report.get_tab("data").replace("<p>3</p>")
    assert "<p>3</p>" in report.get_final_report()
    assert report.has_content()
    with pytest.raises(ValueError, match="no tab named 'date'; did you mean 'data'"):
        report.get_tab("date", create_if_missing=False)


def test_names_are_escaped_and_content_is_not() -> None:
    report = Report("<x>")
    report.get_tab("<y>").log("<b>z</b>")
    text = report.get_final_report()
    assert type(text) is str
    assert "<title>&lt;x&gt;" in text
    assert "<h2>&lt;y&gt;" in text
    assert "<b>z</b>" in text


def test_what_is_logged_in_a_task_is_in_its_report(context: TaskContext) -> None:
    with entered(context):
        flyte.report.log("one")
        asyncio.run(flyte.report.log.aio("two"))
        assert flyte.report.current_report() is context.report
        assert flyte.report.get_tab("main").get_html() == "one\ntwo"
        flyte.report.replace("three")
        assert flyte.report.get_tab("main").get_html() == "three"


def test_a_flush_writes_the_file(context: TaskContext) -> None:
    with entered(context):
        flyte.report.log("grüße", do_flush=True)
        path = Path(context.output_path or "") / "report.html"
        assert "grüße" in path.read_text(encoding="utf-8")
        asyncio.run(flyte.report.replace.aio("neu", do_flush=True))
        assert "neu" in path.read_text(encoding="utf-8")
        asyncio.run(flyte.report.flush.aio())


def test_outside_a_task_nobody_keeps_it() -> None:
    flyte.report.log("lost", do_flush=True)
    assert not flyte.report.current_report().has_content()


def test_long_values_are_folded_and_escaped() -> None:
    assert flyte.report.abbreviate("<b>") == "&lt;b&gt;"
    assert flyte.report.abbreviate(None) == ""
    folded = flyte.report.abbreviate("<" * 12, limit=10)
    assert "&lt;" * 10 + "… (+2)" in folded
    assert "&lt;" * 12 in folded
    assert "<<" not in folded
    assert len(flyte.report.abbreviate("x" * 100_000)) < 21_000


def test_durations_are_told_where_they_can_be() -> None:
    assert flyte.report.duration_ms("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:01.5Z") == "1500 ms"
    assert flyte.report.duration_ms("2024-01-01T00:00:00", "2024-01-01T00:00:01Z") == ""
    assert flyte.report.duration_ms(0, "soon") == ""


def test_a_timeline_adds_rows_to_its_tab(context: TaskContext) -> None:
    async def write() -> None:
        timeline = flyte.report.Timeline("steps")
        timeline.heading("<Load>")
        await timeline.row.aio(icon="▶", label="<read>", meta="3 ms", detail="<i>fine</i>", error=ValueError("<no>"))
        timeline.row()

    with entered(context):
        asyncio.run(write())
        text = flyte.report.get_tab("steps", create_if_missing=False).get_html()
    assert "<h3>&lt;Load&gt;</h3>" in text
    assert "<b>&lt;read&gt;</b> <small>3 ms</small> <div><i>fine</i></div>" in text
    assert "error: &lt;no&gt;" in text
    assert "steps" in (Path(context.output_path or "") / "report.html").read_text(encoding="utf-8")
    asyncio.run(flyte.report.Timeline().heading.aio("lost"))


def test_the_repr_names_the_tabs() -> None:
    assert repr(Report("x")) == "Report('x', tabs=['main'])"
