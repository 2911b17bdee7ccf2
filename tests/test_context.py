"""ctx, groups, custom context, trace, and how a run tells its tasks about itself."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.context.records import ActionID
from flyte_nb.context.settings import remember
from flyte_nb.context.task_context import TaskContext, entered
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError, InitializationError
from flyte_nb.models import RawDataPath

env = flyte.TaskEnvironment("context-env", env_vars={"GIVEN": "environment", "KEPT": "environment"})


@env.task
def told() -> dict[str, str]:
    ctx = flyte.ctx()
    return {
        "run": str(ctx.action.run_name),
        "action": ctx.action.name,
        "project": flyte.current_project(),
        "custom": repr(flyte.get_custom_context()),
        "GIVEN": os.environ["GIVEN"],
        "KEPT": os.environ["KEPT"],
        "data": ctx.raw_data_path.path,
        "start": repr(ctx.run_start_time),
        "flags": f"{bool(ctx)} {ctx.mode} {ctx.disable_run_cache} {ctx.interactive_mode} {ctx.is_in_cluster()}",
    }


@env.task
def parent() -> list[dict[str, str]]:
    with flyte.custom_context(inner="1"):
        child = told()
    return [told(), child]


@env.task
async def aparent() -> dict[str, str]:
    with flyte.custom_context(inner="1"):
        return await told.aio()


@env.task(report=True)
def reporting() -> str:
    flyte.report.log("<b>kept</b>")
    return str(flyte.ctx().output_path)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A session of its own, with its store in a temporary folder."""
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path))
    monkeypatch.setattr(session, "_session", None)
    remember(None)
    yield tmp_path
    session.current_session().close()
    remember(None)


@pytest.fixture
def running() -> TaskContext:
    return TaskContext(action=ActionID(name="a1", run_name="r"), data={"a": 1})


def test_outside_a_task_the_context_is_false_and_its_attributes_are_none() -> None:
    ctx = flyte.ctx()
    assert ctx is not None
    assert not ctx
    for name in ("action", "version", "mode", "report", "group_data", "custom_context", "data", "attempt_number",
                 "raw_data_path", "checkpoint", "code_bundle", "rank", "task_action", "run_start_time"):  # fmt: skip
        assert getattr(ctx, name) is None
    assert ctx["anything"] is None
    assert ctx.is_in_cluster() is False
    with pytest.raises(AttributeError, match="no attribute 'acton'; it has action"):
        ctx.acton
    assert repr(ctx) == "<no task is running>"


def test_inside_a_task_it_is_the_task_s(running: TaskContext) -> None:
    with entered(running):
        assert flyte.ctx() is running
        assert flyte.ctx()["a"] == 1
        assert flyte.ctx()["b"] is None
    assert not flyte.ctx()


def test_a_context_is_frozen_and_takes_keywords_only(running: TaskContext) -> None:
    with pytest.raises(AttributeError):
        running.mode = "remote"  # type: ignore[misc]
    with pytest.raises(TypeError):
        TaskContext(ActionID(name="a"))  # type: ignore[misc]
    assert running.task_action is running.action
    assert TaskContext(action=ActionID(name="a"), mode="remote").is_in_cluster()


def test_replace_merges_data_and_keeps_the_task_s_action(running: TaskContext) -> None:
    step = running.replace(action=ActionID(name="a2", run_name="r"), data={"b": 2})
    assert step.data == {"a": 1, "b": 2}
    assert step.action.name == "a2"
    assert step.task_action == running.action
    assert running.data == {"a": 1}


def test_ranks_come_from_the_environment(running: TaskContext, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (running.rank, running.master_addr, running.attempt_number) == (None, None, 0)
    for name, value in {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1",
                        "NNODES": "4", "MASTER_ADDR": "host", "MASTER_PORT": "29500", "FLYTE_ATTEMPT_NUMBER": "2",
                        "TORCHELASTIC_RESTART_COUNT": "x"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert (running.rank, running.local_rank, running.world_size, running.local_world_size) == (3, 1, 8, 2)
    assert (running.node_rank, running.nnodes, running.master_addr, running.master_port) == (1, 4, "host", 29500)
    assert (running.attempt_number, running.restart_attempt) == (2, None)


def test_groups_shadow_each_other_inside_a_task(running: TaskContext) -> None:
    with entered(running):
        with flyte.group("outer"):
            with flyte.group("inner"):
                assert flyte.ctx().group_data.name == "inner"
            assert flyte.ctx().group_data.name == "outer"
        assert flyte.ctx().group_data is None


def test_a_group_outside_a_task_says_that_it_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with flyte.group("g"):
        assert flyte.ctx().group_data is None
    assert "no actions to group" in caplog.text
    with pytest.raises(TypeError, match=r"flyte\.group"), flyte.group(3):  # type: ignore[arg-type]
        pass


def test_custom_context_merges_and_ends_with_its_block(running: TaskContext) -> None:
    assert flyte.get_custom_context() == {}
    with entered(running), flyte.custom_context(a="1", b="1"), flyte.custom_context(b="2"):
        assert flyte.get_custom_context() == {"a": "1", "b": "2"} == flyte.ctx().custom_context
        flyte.get_custom_context()["c"] = "3"
        assert "c" not in flyte.get_custom_context()
    assert flyte.get_custom_context() == {}
    with flyte.custom_context(a="1"):
        assert flyte.get_custom_context() == {"a": "1"}
    assert flyte.get_custom_context() == {}
    with pytest.raises(TypeError, match="a is given 1"), flyte.custom_context(a=1):  # type: ignore[arg-type]
        pass


def test_a_traced_function_is_the_function() -> None:
    @flyte.trace
    def plain(x: int) -> int:
        return x + 1

    @flyte.trace
    async def later(x: int) -> int:
        return x + 1

    @flyte.trace
    def many(n: int) -> Iterator[int]:
        yield from range(n)

    assert (plain(1), asyncio.run(later(1)), list(many(2))) == (2, 2, [0, 1])
    assert (plain.__name__, str(inspect.signature(plain))) == ("plain", "(x: 'int') -> 'int'")
    with pytest.raises(TypeError, match="without \\(\\)"):
        flyte.trace(None)  # type: ignore[type-var]


@pytest.mark.slow
def test_a_run_tells_its_tasks_what_it_was_told(store: Path) -> None:
    flyte.init(project="from-init", domain="d")
    start = datetime(2026, 1, 2, tzinfo=timezone.utc)
    context = flyte.with_runcontext(
        mode="local", name="my-run", custom_context={"outer": "1"}, env_vars={"GIVEN": "run"}, project="mine",
        raw_data_path=store / "kept", run_start_time=start, disable_run_cache=True, interactive_mode=True,
    )  # fmt: skip
    run = context.run(parent)
    first, second = run.outputs()[0]
    assert run.name == first["run"] == second["run"] == "my-run"
    assert {first["action"], second["action"]} == {"a1", "a2"}
    assert first["custom"] == "{'outer': '1'}"
    assert second["custom"] == "{'outer': '1', 'inner': '1'}"
    assert (first["GIVEN"], first["KEPT"], first["project"]) == ("run", "environment", "mine")
    assert first["data"] == str(store / "kept")
    assert first["start"] == repr(start)
    assert first["flags"] == "True local True True False"


@pytest.mark.slow
def test_a_plain_run_tells_less(store: Path) -> None:
    flyte.init(project="from-init")
    with flyte.custom_context(around="1"):
        run = flyte.run(told)
        inner = asyncio.run(flyte.with_runcontext(custom_context={"mine": "2"}).run.aio(aparent))
    said = run.outputs()[0]
    assert (said["run"], said["action"], said["project"]) == (run.name, "a0", "from-init")
    assert (said["custom"], said["GIVEN"]) == ("{'around': '1'}", "environment")
    assert said["start"].startswith("datetime.datetime(")  # the moment it started
    assert said["data"] == str(store / "data" / run.name)
    assert inner.outputs()[0]["custom"] == "{'around': '1', 'mine': '2', 'inner': '1'}"


@pytest.mark.slow
def test_a_name_is_used_again_once_its_run_has_ended(store: Path) -> None:
    again = flyte.with_runcontext(name="again", project="p")
    again.run(told)
    assert again.run(told).outputs()[0]["run"] == "again"
    assert [run.name for run in session.current_session().store.runs()] == ["again"]


@pytest.mark.slow
def test_a_report_with_content_is_written_when_its_task_ends(store: Path) -> None:
    folder = flyte.run(reporting).outputs()[0]
    assert Path(folder).is_relative_to(store)
    assert "<b>kept</b>" in (Path(folder) / "report.html").read_text()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"mode": "nonsense"}, DeclarationValueError),
        ({"mode": "hybrid"}, DeclarationValueError),
        ({"mode": "hybrid", "name": "x"}, DeclarationValueError),
        ({"mode": 3}, ValueError),
        ({"name": "a/b"}, DeclarationValueError),
        ({"name": ""}, DeclarationValueError),
        ({"name": "x" * 64}, DeclarationValueError),
        ({"name": 1}, DeclarationTypeError),
        ({"custom_context": {"a": 1}}, DeclarationTypeError),
        ({"env_vars": [("a", "b")]}, DeclarationTypeError),
        ({"copy_style": "none"}, DeclarationValueError),
        ({"copy_style": "custom"}, DeclarationValueError),
        ({"max_action_concurrency": 1}, DeclarationValueError),
        ({"max_action_concurrency": -1}, DeclarationValueError),
        ({"interactive_mode": "yes"}, DeclarationTypeError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_wrong_options_are_refused(given: dict[str, object], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        flyte.with_runcontext(**given)  # type: ignore[arg-type]


def test_options_for_a_cluster_are_checked_and_kept() -> None:
    context = flyte.with_runcontext(
        labels={"a": "b"}, queue="q", max_action_concurrency=2, copy_style="none", version="1", dry_run=True,
        overwrite_cache=True, cache_lookup_scope="project-domain", log_level=10, tracked=True,
    )  # fmt: skip
    assert (context.queue, context.max_action_concurrency, context.labels) == ("q", 2, {"a": "b"})
    assert flyte.with_runcontext("hybrid", name="x", run_base_dir="/tmp").mode == "hybrid"


@pytest.mark.parametrize(("mode", "why"), [("remote", "cluster"), ("hybrid", "leave mode out to run on this machine")])
def test_other_modes_need_a_control_plane(mode: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("FLYTECTL_CONFIG", "FLYTE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    context = flyte.with_runcontext(mode=mode, name="x", run_base_dir="/x" if mode == "hybrid" else None)
    with pytest.raises(InitializationError, match=why):
        context.run(told)
    with pytest.raises(InitializationError, match=why):
        asyncio.run(context.run.aio(told))


def test_only_tasks_are_run() -> None:
    with pytest.raises(TypeError, match="accepted: a task"):
        flyte.with_runcontext().run(print)


def test_the_data_of_a_context_is_where_files_go() -> None:
    assert RawDataPath(path="x").path == "x"
