"""The shape of a Ray cluster: what is declared, what it asks of the machine, and what of it fits."""

from __future__ import annotations

import pytest
from flyte_nb.engine.policy import policy_of
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.plugins.ray import HeadNodeConfig, RayJobConfig, WorkerNodeConfig
from flyte_nb.plugins.ray.shape import OVERHEAD, Node, declared, fitted, total
from flyte_nb.plugins.share import Share

GI = 1 << 30
LARGE = Share(64, 256 * GI, ("0", "1"))


def test_nodes_are_the_head_and_the_replicas_of_each_group() -> None:
    config = RayJobConfig(
        [
            WorkerNodeConfig("a", 2, requests=Resources(cpu=("500m", 3), memory="1Gi")),
            WorkerNodeConfig("b", 1, ray_start_params={"num-cpus": "4", "num_gpus": "1", "memory": "1000000000",
                                                       "object-store-memory": "100000000",
                                                       "resources": '{"fast": 2}', "block": "true"}),
        ],
        HeadNodeConfig({"num-cpus": "0", "resources": '"{\\"head\\": 1}"'}),
    )  # fmt: skip
    head, first, second, other = declared(config, Resources(cpu=2, memory="2Gi"))
    assert head == Node("head", 0, 0, 2 * GI, resources={"head": 1})
    assert first == second == Node("a", 3, 0, GI)
    assert other == Node("b", 4, 1, 10**9, 10**8, {"fast": 2}, ("block",))


@pytest.mark.parametrize(
    ("requests", "limits", "default", "cpus"),
    [
        (None, None, None, 1),
        (None, None, Resources(cpu=2), 2),
        (Resources(cpu=3), None, Resources(cpu=2), 3),
        (Resources(cpu=3), Resources(cpu="4500m"), None, 5),
        (Resources(memory="1Gi"), None, Resources(cpu=2), 2),
    ],
)
def test_a_node_has_its_limits_else_its_requests_else_those_of_the_environment(
    requests: Resources | None, limits: Resources | None, default: Resources | None, cpus: int
) -> None:
    config = RayJobConfig([], HeadNodeConfig(requests=requests, limits=limits))
    assert declared(config, default)[0].cpus == cpus


def test_an_autoscaled_group_begins_with_a_node() -> None:
    groups = [WorkerNodeConfig("a", 0, 0, 4), WorkerNodeConfig("b", 0, 0, 0)]
    assert [node.group for node in declared(RayJobConfig(groups), None)] == ["head"]
    grown = RayJobConfig(groups, enable_autoscaling=True)
    assert [node.group for node in declared(grown, None)] == ["head", "a"]


def test_the_machine_is_asked_for_all_of_them_and_for_rays_own_processes() -> None:
    nodes = [Node("head", 0, 0, GI), Node("a", 2, 1, 2 * GI), Node("a", 2, 1, 2 * GI)]
    asked = total(nodes)
    assert (asked.cpu, asked.gpu) == (4, 2)
    assert asked.memory == ("5120Mi", f"{(5 * GI + OVERHEAD[0] + 2 * OVERHEAD[1]) >> 20}Mi")
    assert total([Node("head", 0)]) == Resources(cpu=1)


def test_a_task_takes_what_its_cluster_takes_but_one_that_joins_a_cluster_takes_its_own() -> None:
    config = RayJobConfig([WorkerNodeConfig("a", 2)])
    task = TaskEnvironment("shape", plugin_config=config, resources=Resources(cpu=2)).task(lambda: 1)
    assert policy_of(task).resources == Resources(cpu=6)
    assert policy_of(task).processes > 1000
    assert policy_of(task.override(plugin_config=RayJobConfig([], address="local"))).resources == Resources(cpu=2)
    assert policy_of(task.override(plugin_config=RayJobConfig([], address="host:1"))).resources == Resources(cpu=2)
    task = TaskEnvironment("plain", plugin_config=RayJobConfig([], address="host:1")).task(lambda: 1)
    assert (policy_of(task).resources, policy_of(task).processes) == (None, 0)


def test_what_fits_stays_as_declared() -> None:
    nodes = [Node("head", 1), Node("a", 8, 1, GI), Node("a", 8, 1, GI)]
    fit, told = fitted(nodes, LARGE)
    assert [(node.group, node.cpus, node.gpus) for node in fit] == [("head", 1, 0), ("a", 8, 1), ("a", 8, 1)]
    assert told == []
    assert all(node.store for node in fit)


@pytest.mark.parametrize(
    ("nodes", "cores", "shape"),
    [
        ([Node("head", 8)], 2, [("head", 2)]),
        ([Node("head", 1), *[Node("a", 4)] * 4], 2, [("head", 1), ("a", 1)]),
        ([Node("head", 0), *[Node("a", 4)] * 4], 4, [("head", 0), ("a", 1), ("a", 1), ("a", 1)]),
        ([Node("head", 1), Node("a", 1), Node("a", 1), Node("b", 1)], 3, [("head", 1), ("a", 1), ("b", 1)]),
        ([Node("head", 4), Node("a", 8)], 6, [("head", 2), ("a", 4)]),
        ([Node("head", 1), Node("a", 1)], 1, [("head", 1), ("a", 1)]),
    ],
)
def test_a_cluster_is_bounded_by_the_machine(nodes: list[Node], cores: int, shape: list[tuple[str, int]]) -> None:
    fit, told = fitted(nodes, Share(cores, 64 * GI))
    assert [(node.group, node.cpus) for node in fit] == shape
    if shape != [(node.group, node.cpus) for node in nodes]:
        assert len(told) == 1
        assert f"this machine gives {cores} cores" in told[0]


def test_what_is_bounded_is_told_in_words() -> None:
    _, told = fitted([Node("head", 1), *[Node("a", 4)] * 3], Share(2, 64 * GI))
    assert told == ["Ray: head 1 CPU, a 3 x 4 CPU declared, head 1 CPU, a 1 x 1 CPU here: this machine gives 2 cores"]


def test_gpus_are_given_as_long_as_there_are_any_and_little_memory_means_few_nodes() -> None:
    fit, told = fitted([Node("head", 1), Node("a", 1, 2), Node("a", 1, 2)], Share(8, 64 * GI, ("0", "1", "2")))
    assert [node.gpus for node in fit] == [0, 2, 1]
    assert "a 1 x 1 CPU 2 GPU, a 1 x 1 CPU 1 GPU here" in told[0]
    fit, _ = fitted([Node("head", 1), *[Node("a", 1)] * 9], Share(16, GI))
    assert len(fit) == 4


def test_an_option_of_ray_start_that_means_nothing_here_is_told() -> None:
    _, told = fitted([Node("head", 1, ignored=("block",))], LARGE)
    assert told == ["ray start option block is for a cluster of machines: left out here"]
