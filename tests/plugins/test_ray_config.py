"""The configuration of a Ray cluster: its checks, its forms, the tasks that it makes, and the rules of reuse."""

from __future__ import annotations

import json
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.environments.forms import from_json, json_schema
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError
from flyte_nb.notebook.spelling import Spelling
from flyte_nb.plugins.ray import (
    AutoscalerOptionsConfig,
    HeadNodeConfig,
    RayFunctionTask,
    RayJobConfig,
    WorkerNodeConfig,
)

WORKERS = WorkerNodeConfig("workers", 2, requests=flyte.Resources(cpu=1, memory="1Gi"))
FULL = RayJobConfig(
    [WORKERS, WorkerNodeConfig("large", 1, 0, 4, {"resources": '{"fast": 1}'}, limits=flyte.Resources(cpu="2"))],
    HeadNodeConfig({"num-cpus": "0"}, requests=flyte.Resources(cpu=1)),
    enable_autoscaling=True,
    autoscaler_options=AutoscalerOptionsConfig(AutoscalerOptionsConfig.UpscalingMode.CONSERVATIVE, 60),
    runtime_env={"env_vars": {"A": "1"}},
    ttl_seconds_after_finished=60,
)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WorkerNodeConfig("", 1), "WorkerNodeConfig.group_name"),
        (lambda: WorkerNodeConfig("-a", 1), "WorkerNodeConfig.group_name"),
        (lambda: WorkerNodeConfig("a", -1), "WorkerNodeConfig.replicas"),
        (lambda: WorkerNodeConfig("a", 2, min_replicas=3), "WorkerNodeConfig.min_replicas.*at most replicas, 2"),
        (lambda: WorkerNodeConfig("a", 2, max_replicas=1), "WorkerNodeConfig.max_replicas.*at least replicas, 2"),
        (lambda: WorkerNodeConfig("a", 2, ray_start_params={"--num-cpus": "1"}), "without dashes"),
        (lambda: HeadNodeConfig({"num-cpus": "many"}), "HeadNodeConfig.ray_start_params"),
        (lambda: HeadNodeConfig({"resources": "fast"}), "resources is no JSON object of numbers"),
        (lambda: HeadNodeConfig({"resources": '["fast"]'}), "resources is no JSON object of numbers"),
        (
            lambda: HeadNodeConfig(requests=flyte.Resources(cpu=4), limits=flyte.Resources(cpu=(1, 2))),
            "requests.cpu: given 4; accepted: at most limits.cpu, 2",
        ),
        (
            lambda: HeadNodeConfig(requests=flyte.Resources(memory="4Gi"), limits=flyte.Resources(memory="1Gi")),
            "requests.memory",
        ),
        (lambda: RayJobConfig([WORKERS, WORKERS]), "'workers' is there twice"),
        (lambda: RayJobConfig([], address="somewhere"), "RayJobConfig.address"),
        (lambda: RayJobConfig([], address="host:99999"), "RayJobConfig.address"),
        (lambda: RayJobConfig([], ttl_seconds_after_finished=-1), "RayJobConfig.ttl_seconds_after_finished"),
        (lambda: AutoscalerOptionsConfig("FAST"), "AutoscalerOptionsConfig.upscaling_mode"),
    ],
)
def test_a_wrong_value_is_refused_by_field(make: Any, told: str) -> None:
    with pytest.raises(DeclarationValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WorkerNodeConfig("a", True), "WorkerNodeConfig.replicas"),
        (lambda: WorkerNodeConfig("a", 1, ray_start_params={"num-cpus": 1}), "WorkerNodeConfig.ray_start_params"),
        (lambda: RayJobConfig([{"group_name": "a"}]), "RayJobConfig.worker_node_config"),  # type: ignore[list-item]
        (lambda: RayJobConfig([], runtime_env={"pip": object()}), "RayJobConfig.runtime_env"),
        (lambda: HeadNodeConfig(requests={"cpu": 1}), "HeadNodeConfig.requests"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_type_is_refused_by_field(make: Any, told: str) -> None:
    with pytest.raises(DeclarationTypeError, match=told):
        make()


@pytest.mark.parametrize("address", ["auto", "local", "127.0.0.2:6379", "ray://head.example:10001", "[::1]:6379"])
def test_addresses_of_ray_are_accepted(address: str) -> None:
    assert RayJobConfig([], address=address).address == address


@pytest.mark.parametrize("config", [FULL, WORKERS, RayJobConfig((WORKERS,))], ids=["full", "workers", "of-a-tuple"])  # type: ignore[arg-type]
def test_a_configuration_is_its_json_and_its_code(config: Any) -> None:
    assert from_json(config.to_json()) == config
    spelling = Spelling({})
    code = spelling.value(config)
    assert not [
        line for line in spelling.imports if not line.startswith(("from flyte_nb.plugins.ray import", "import"))
    ]
    scope: dict[str, Any] = {}
    exec("\n".join(spelling.imports), scope)
    assert eval(code, scope) == config


def test_the_schema_names_every_field() -> None:
    schema = json_schema(RayJobConfig)
    text = json.dumps(schema)
    assert {*RayJobConfig.__dataclass_fields__} <= set(text.replace('"', " ").split())
    assert "'host:port'" in text


def test_the_tasks_of_an_environment_are_ray_tasks_and_its_card_shows_the_cluster() -> None:
    env = TaskEnvironment("ray", plugin_config=FULL)
    task = env.task(lambda: 1)
    assert isinstance(task, RayFunctionTask)
    assert task.task_type == "ray"
    assert task.plugin_config is FULL
    assert "WorkerNodeConfig(group_name='workers', replicas=2" in repr(env)
    changed = TaskEnvironment("ray", plugin_config=RayJobConfig([WORKERS]))
    assert [change.field for change in env.diff(changed)] == ["plugin_config"]


def test_a_ray_cluster_is_kept_warm_for_one_task_at_a_time() -> None:
    policy = flyte.ReusePolicy(1)
    assert TaskEnvironment("warm", plugin_config=RayJobConfig([WORKERS]), reusable=policy).task(lambda: 1).reusable


@pytest.mark.parametrize(
    ("policy", "config", "told"),
    [
        (flyte.ReusePolicy(2), RayJobConfig([]), r"one Ray cluster to share, not 2: write ReusePolicy\(1\)"),
        (flyte.ReusePolicy(1, concurrency=2), RayJobConfig([]), "leave concurrency at 1"),
        (flyte.ReusePolicy(1), RayJobConfig([], shutdown_after_job_finishes=True), "leave out shutdown_after"),
        (flyte.ReusePolicy(1), RayJobConfig([], ttl_seconds_after_finished=1), "leave out ttl_seconds_after"),
    ],
    ids=["replicas", "concurrency", "shutdown", "ttl"],
)
def test_reuse_that_no_cluster_supports_is_refused(policy: flyte.ReusePolicy, config: RayJobConfig, told: str) -> None:
    with pytest.raises(DeclarationValueError, match=told):
        TaskEnvironment("warm", plugin_config=config, reusable=policy)
    task = TaskEnvironment("cold", plugin_config=config).task(_nothing)
    with pytest.raises(DeclarationError, match=told):
        task.override(reusable=policy)
    with pytest.raises(DeclarationError, match=told):
        TaskEnvironment("other").task(_nothing).override(plugin_config=config, reusable=policy)


async def _nothing() -> None:
    """A task that may share its worker."""
