"""Clustered tasks, as they are declared."""

from __future__ import annotations

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.clustered import (
    ClusteredTaskEnvironment,
    ClusteredTaskTemplate,
    ClusterFailurePolicy,
    JaxRun,
    TorchRun,
    jax_initialize,
)
from flyte_nb.environments.forms import from_dict
from flyte_nb.errors import DeclarationError, InitializationError
from flyte_nb.models import SerializationContext


def declared(**fields: Any) -> ClusteredTaskEnvironment:
    return ClusteredTaskEnvironment(**{"name": "train", "replicas": 2, "nproc_per_node": 4, **fields})


def test_defaults() -> None:
    env = declared()
    assert isinstance(env, flyte.TaskEnvironment)
    assert (env.replicas, env.nproc_per_node, env.runtime, env.interconnect) == (2, 4, TorchRun(), "tcp")
    assert (env.failure_policy, env.ttl_seconds_after_finished) == (ClusterFailurePolicy(), None)
    assert (TorchRun().rdzv_backend, TorchRun().max_restarts) == ("static", 0)
    assert flyte.clustered.ClusteredTaskEnvironment is ClusteredTaskEnvironment
    for given in ({"replicas": 2}, {"nproc_per_node": 1}):
        with pytest.raises(TypeError):
            ClusteredTaskEnvironment(name="train", **given)


@pytest.mark.parametrize(
    ("fields", "error", "named"),
    [
        ({"replicas": 0}, ValueError, "replicas"),
        ({"replicas": "2"}, TypeError, "replicas"),
        ({"nproc_per_node": 0}, ValueError, "nproc_per_node"),
        ({"nproc_per_node": True}, TypeError, "nproc_per_node"),
        ({"nproc_per_node": 3, "resources": flyte.Resources(gpu=2)}, ValueError, "nproc_per_node.*1 to 2"),
        ({"nproc_per_node": 3, "resources": flyte.Resources(gpu="T4:2")}, ValueError, "nproc_per_node.*1 to 2"),
        ({"runtime": "torchrun"}, TypeError, "runtime"),
        ({"runtime": None}, TypeError, "runtime"),
        ({"runtime": JaxRun()}, ValueError, "nproc_per_node.*JaxRun"),
        ({"interconnect": "rdma"}, ValueError, "interconnect.*'tcp'"),
        ({"failure_policy": None}, TypeError, "failure_policy"),
        ({"ttl_seconds_after_finished": -1}, ValueError, "ttl_seconds_after_finished"),
        ({"reusable": flyte.ReusePolicy(2)}, ValueError, "reusable"),
        ({"plugin_config": object()}, ValueError, "plugin_config"),
        ({"name": "Train"}, ValueError, "name"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], error: type[Exception], named: str) -> None:
    known = set(flyte.current_registry())
    with pytest.raises(DeclarationError, match=named) as caught:
        declared(**{"name": "refused", **fields})
    assert isinstance(caught.value, error)
    assert set(flyte.current_registry()) == known


def test_fields_that_fit() -> None:
    assert declared(nproc_per_node=2, resources=flyte.Resources(gpu="A100:2")).nproc_per_node == 2
    assert declared(nproc_per_node=1, runtime=JaxRun(), resources=flyte.Resources(gpu=8)).runtime == JaxRun()
    assert declared(resources=flyte.Resources(cpu=1, gpu=0)).nproc_per_node == 4
    for wrong in (lambda: TorchRun(rdzv_backend="etcd"), lambda: ClusterFailurePolicy(max_restarts=-1)):  # type: ignore[arg-type]
        with pytest.raises(DeclarationError):
            wrong()
    with pytest.raises(AttributeError):
        TorchRun().max_restarts = 2  # type: ignore[misc]


def test_copies_and_forms() -> None:
    env = declared(queue="gpu", failure_policy=ClusterFailurePolicy(max_restarts=1))
    clone = env.clone_with("other", replicas=3)
    assert (clone.replicas, clone.nproc_per_node, clone.queue, type(clone)) == (3, 4, "gpu", type(env))
    assert clone.to_custom_dict()["replicas"] == 3
    assert dataclasses.replace(env, name="x").failure_policy == env.failure_policy
    assert pickle.loads(pickle.dumps(env)) == env == from_dict(env.to_dict())
    with pytest.raises(DeclarationError):
        env.clone_with("warm", reusable=flyte.ReusePolicy(2))


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {"nprocPerNode": 4, "runtime": {"torchrun": {}}, "failurePolicy": {}}),
        (
            {"nproc_per_node": 1, "runtime": JaxRun(), "ttl_seconds_after_finished": 0},
            {"nprocPerNode": 1, "failurePolicy": {}, "ttlSecondsAfterFinished": 0},
        ),
        (
            {
                "runtime": TorchRun(rdzv_backend="c10d", max_restarts=3),
                "failure_policy": ClusterFailurePolicy(max_restarts=2, restart_on_host_maintenance=True),
            },
            {
                "nprocPerNode": 4,
                "runtime": {"torchrun": {"rdzvBackend": "C10D", "maxRestarts": 3}},
                "failurePolicy": {"maxRestarts": 2, "restartOnHostMaintenance": True},
            },
        ),
    ],
)
def test_what_a_cluster_reads(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    assert declared(**fields).to_custom_dict() == {"replicas": 2, **sent}


train = declared(resources=flyte.Resources(gpu=4))


@train.task(retries=2)
def step(x: int) -> int:
    return x + 1


def test_its_tasks() -> None:
    assert (type(step), step.task_type, step.task_type_version) == (ClusteredTaskTemplate, "clustered-task", 1)
    assert (step(1), step.retries.count) == (2, 2)
    assert step.custom_config(None) == train.to_custom_dict()
    assert step.override(retries=1).custom_config(None) == train.to_custom_dict()
    assert pickle.loads(pickle.dumps(step)).plugin_config == step.plugin_config
    assert step.container_args(SerializationContext("v"))[:2] == ["clustered", "--inputs"]
    jax = declared(nproc_per_node=1, runtime=JaxRun()).task(step.func)
    assert jax.container_args(SerializationContext("v"))[:3] == ["clustered", "--runtime=jax", "--inputs"]


def test_jax_outside_of_a_cluster() -> None:
    with pytest.raises(InitializationError, match="this process has none"):
        jax_initialize()


def test_jax_in_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    distributed = SimpleNamespace(initialize=lambda **given: told.append(given), is_initialized=lambda: bool(told))
    monkeypatch.setitem(__import__("sys").modules, "jax", SimpleNamespace(distributed=distributed))
    here = SimpleNamespace(rank=1, world_size=2, master_addr="train-0", master_port=29500)
    monkeypatch.setattr("flyte_nb.clustered.ctx", lambda: here)
    jax_initialize(local_device_ids=[0])
    jax_initialize()
    assert told == [
        {
            "coordinator_address": "train-0:29500", "num_processes": 2, "process_id": 1,
            "cluster_detection_method": "deactivate", "local_device_ids": [0],
        }
    ]  # fmt: skip
