"""The configuration of a Dask cluster: its checks, its forms, and the tasks that it makes."""

from __future__ import annotations

from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.engine.policy import policy_of
from flyte_nb.environments.forms import from_json
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError
from flyte_nb.plugins.dask import Dask, DaskTask, Scheduler, WorkerGroup

FULL = Dask(
    Scheduler("ghcr.io/a/b:1", flyte.Resources(cpu=1)), WorkerGroup(3, "c:2", flyte.Resources(cpu=2, memory="1Gi"))
)


def test_they_have_the_fields_of_the_sdks_plugin_in_its_order() -> None:
    assert list(Dask.__dataclass_fields__) == ["scheduler", "workers"]
    assert list(Scheduler.__dataclass_fields__) == ["image", "resources"]
    assert list(WorkerGroup.__dataclass_fields__) == ["number_of_workers", "image", "resources"]
    assert Dask() == Dask(Scheduler(None, None), WorkerGroup(1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WorkerGroup(0), r"WorkerGroup\.number_of_workers.*it is less than 1"),
        (lambda: WorkerGroup(-2), r"WorkerGroup\.number_of_workers"),
        (lambda: WorkerGroup(image=""), r"WorkerGroup\.image"),
        (lambda: Scheduler(image="a b"), r"Scheduler\.image.*has a space"),
    ],
)
def test_a_wrong_value_is_refused_by_field(make: Any, told: str) -> None:
    with pytest.raises(DeclarationValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WorkerGroup("2"), r"WorkerGroup\.number_of_workers"),  # type: ignore[arg-type]
        (lambda: WorkerGroup(True), r"WorkerGroup\.number_of_workers"),
        (lambda: WorkerGroup(resources="1Gi"), r"WorkerGroup\.resources"),  # type: ignore[arg-type]
        (lambda: Scheduler(image=3), r"Scheduler\.image"),  # type: ignore[arg-type]
        (lambda: Dask(WorkerGroup()), r"Dask\.scheduler"),  # type: ignore[arg-type]
        (lambda: Dask(workers=3), r"Dask\.workers"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_type_is_refused_by_field(make: Any, told: str) -> None:
    with pytest.raises(DeclarationTypeError, match=told):
        make()


def test_it_is_equal_by_value_and_comes_back_from_its_json() -> None:
    assert from_json(FULL.to_json()) == FULL


def test_its_tasks_are_those_of_the_plugin() -> None:
    env = flyte.TaskEnvironment("dask-config", resources=flyte.Resources(cpu=1, memory="1Gi"), plugin_config=FULL)

    @env.task
    def task() -> int:
        return 1

    assert isinstance(task, DaskTask)
    assert (task.task_type, task.plugin_config, task()) == ("dask", FULL, 1)
    assert policy_of(task).resources == flyte.Resources(cpu=6.0, memory=f"{4 << 20}Ki")  # three workers, and the task


def test_a_cluster_is_not_kept_warm() -> None:
    with pytest.raises(DeclarationError, match="its plugin does not support a reuse policy"):
        flyte.TaskEnvironment("dask-reuse", plugin_config=Dask(), reusable=flyte.ReusePolicy(1))


class Unknown:
    """A configuration that no plugin knows."""


def test_a_configuration_that_nobody_knows_is_told_with_those_that_are_known() -> None:
    env = flyte.TaskEnvironment("dask-unknown", plugin_config=Unknown())
    with pytest.raises(DeclarationError, match=r"for Unknown; registered: .*Spark \(from flyte_nb\.plugins\.spark\), "
                                               r"Dask \(from flyte_nb\.plugins\.dask\)"):  # fmt: skip

        @env.task
        def task() -> int:
            return 1
