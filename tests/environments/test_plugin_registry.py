"""Task plugins: registration, the nearest base, and the tasks that they make."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, ClassVar

import pytest
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeclarationValueError


@dataclasses.dataclass
class Cluster:
    """The configuration of a plugin."""

    workers: int = 1


class Larger(Cluster):
    """A configuration that extends another."""


@dataclasses.dataclass(kw_only=True)
class ClusterTask(AsyncFunctionTaskTemplate):
    """A plugin's task."""

    plugin_config: Cluster
    task_type: str = "cluster"
    task_type_version: int = 2
    debuggable: bool = False

    def custom_config(self, sctx: Any) -> dict[str, str]:
        return {"workers": str(self.plugin_config.workers)}


@dataclasses.dataclass(kw_only=True)
class WarmTask(ClusterTask):
    """A plugin's task that can be kept warm."""

    supports_reuse_policy: ClassVar[bool] = True


async def work(x: int = 1) -> int:
    return x


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskPluginRegistry, "_plugins", {})
    TaskPluginRegistry.register(Cluster, ClusterTask)


def test_a_plugin_is_found_by_the_type_of_its_configuration() -> None:
    assert TaskPluginRegistry.find(Cluster) is ClusterTask
    assert TaskPluginRegistry.find(int) is None
    assert TaskPluginRegistry.list_plugins() == [Cluster]


def test_the_nearest_base_counts() -> None:
    assert TaskPluginRegistry.find(Larger) is ClusterTask
    TaskPluginRegistry.register(Larger, WarmTask)
    assert TaskPluginRegistry.find(Larger) is WarmTask
    assert TaskPluginRegistry.find(Cluster) is ClusterTask


def test_another_plugin_of_a_type_replaces_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flyte")
    TaskPluginRegistry.register(Cluster, ClusterTask)
    assert not caplog.records
    TaskPluginRegistry.register(Cluster, WarmTask)
    assert "ClusterTask" in caplog.text
    assert TaskPluginRegistry.find(Cluster) is WarmTask


def test_the_tasks_of_an_environment_are_the_plugins() -> None:
    env = TaskEnvironment("env", plugin_config=Cluster(3), queue="fast")
    task = env.task(retries=2)(work)
    assert isinstance(task, ClusterTask)
    assert (task.task_type, task.task_type_version, task.debuggable) == ("cluster", 2, False)
    assert (task.plugin_config, task.retries, task.queue) == (Cluster(3), RetryStrategy(2), "fast")
    assert task.custom_config(None) == {"workers": "3"}
    assert ("plugin_config", "environment") in [(s.name, s.level) for s in task.settings()]


def test_a_configuration_without_a_plugin_is_refused_with_those_there_are() -> None:
    env = TaskEnvironment("env", plugin_config=object())
    with pytest.raises(DeclarationValueError, match="registered: Cluster"):
        env.task(work)
    assert env.tasks == {}


def test_a_plugin_excludes_reuse_unless_it_supports_it() -> None:
    with pytest.raises(DeclarationValueError, match="does not support"):
        TaskEnvironment("env", plugin_config=Cluster(), reusable=ReusePolicy(2))
    TaskPluginRegistry.register(Cluster, WarmTask)
    env = TaskEnvironment("env", plugin_config=Cluster(), reusable=ReusePolicy(2))
    assert env.task(work).reusable == ReusePolicy(2)


def test_an_override_makes_a_task_the_plugins() -> None:
    task = TaskEnvironment("env", env_vars={"A": "1"}).task(retries=2, report=True)(work)
    called = task.override(plugin_config=Cluster(4), queue="slow")
    assert isinstance(called, ClusterTask)
    assert (called.task_type, called.task_type_version, called.debuggable) == ("cluster", 2, False)
    assert (called.name, called.func, called.report, called.queue) == ("env.work", work, True, "slow")
    assert (called.retries, called.env_vars, called.environment) == (RetryStrategy(2), {"A": "1"}, task.environment)
    assert called.plugin_config == Cluster(4)
    assert type(task) is AsyncFunctionTaskTemplate


def test_an_override_keeps_what_was_set_before_it_became_the_plugins() -> None:
    task = TaskEnvironment("env").task(work).override(task_type="mine", debuggable=False)
    called = task.override(plugin_config=Cluster())
    assert (called.task_type, called.debuggable) == ("mine", False)
    assert called.override(plugin_config=Larger(2)).plugin_config == Larger(2)
