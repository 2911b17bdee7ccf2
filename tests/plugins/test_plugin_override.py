"""A plugin that an override brings is the task's in its process, too, for a run and for a task that a task called."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.context.notices import notice
from flyte_nb.engine.policy import policy_of
from flyte_nb.errors import RuntimeUserError
from flyte_nb.extend import AsyncFunctionTaskTemplate, TaskPluginRegistry
from flyte_nb.plugins.share import Share


@dataclasses.dataclass(frozen=True)
class Wrap:
    word: str


@dataclasses.dataclass(kw_only=True)
class WrapTask(AsyncFunctionTaskTemplate):
    plugin_config: Wrap
    task_type: str = "wrap"
    supports_reuse_policy: ClassVar[bool] = True

    def local_resources(self) -> flyte.Resources | None:
        return flyte.Resources(cpu=1) if self.plugin_config.word == "roomy" else self.resources

    def local_processes(self) -> int:
        return 64 if self.plugin_config.word == "roomy" else 0

    @contextmanager
    def around(self) -> Iterator[Mapping[str, Any]]:
        notice(f"entered {self.plugin_config.word}")
        try:
            yield {"word": self.plugin_config.word}
        finally:
            notice(f"left {self.plugin_config.word}")


TaskPluginRegistry.register(Wrap, WrapTask)
plain = flyte.TaskEnvironment("plain")
wrapped = flyte.TaskEnvironment("wrapped", plugin_config=Wrap("own"), reusable=flyte.ReusePolicy((1, 2)))


@wrapped.task
def word() -> str:
    return str(flyte.ctx()["word"])


@wrapped.task
async def fails() -> str:
    raise ValueError(flyte.ctx()["word"])


@plain.task
def words() -> list[str]:
    return [word(), word.override(plugin_config=Wrap("child's"))(), word()]


@plain.task
def bare() -> str:
    return str(flyte.ctx()["word"])


@plain.task
def room() -> tuple[int, int]:
    """Give the cores that the process may run on, and how many its engine shall count."""
    return len(os.sched_getaffinity(0)), Share.here().cores


@pytest.fixture(autouse=True)
def _own_session(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr(session, "_session", None)
    yield
    session.current_session().close()


def test_what_a_plugin_puts_around_a_task_is_there_and_the_run_has_its_notices() -> None:
    run = flyte.run(word)
    assert run.outputs() == ("own",)
    assert run.root.notice.splitlines() == ["entered own", "left own"]
    assert flyte.run(word).outputs() == ("own",)


def test_it_is_left_when_the_task_fails() -> None:
    with pytest.raises(RuntimeUserError, match="own"):
        flyte.run(fails)
    run = session.current_session().store.runs()[0]
    assert run.root.notice.splitlines() == ["entered own", "left own"]


@pytest.mark.parametrize("task", [word, bare], ids=["another configuration", "a plain task"])
def test_an_override_brings_its_plugin(task: AsyncFunctionTaskTemplate) -> None:
    run = flyte.run(task.override(plugin_config=Wrap("other")))
    assert run.outputs() == ("other",)
    assert "entered other" in run.root.notice
    assert flyte.run(task).outputs() == (("own" if task is word else "None"),)


def test_a_task_that_is_called_has_the_plugin_of_its_override() -> None:
    assert flyte.run(words).outputs() == (["own", "child's", "own"],)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be bound to cores here")
def test_an_engine_counts_its_cores_itself_and_has_room_for_its_processes() -> None:
    cores = len(os.sched_getaffinity(0))
    roomy = room.override(plugin_config=Wrap("roomy"))
    assert (policy_of(roomy).resources, policy_of(roomy).processes) == (flyte.Resources(cpu=1), 64)
    assert flyte.run(roomy).outputs() == (cores, 1)
    assert flyte.run(room.override(resources=flyte.Resources(cpu=1))).outputs() == (1, 1)


def test_the_inline_engine_puts_it_around_too() -> None:
    run = flyte.with_runcontext(engine="inline").run(word.override(plugin_config=Wrap("here")))
    assert run.outputs() == ("here",)
    assert run.root.notice.splitlines() == ["entered here", "left here"]
