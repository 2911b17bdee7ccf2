"""Demand: what is asked, against what is here."""

from __future__ import annotations

from typing import Any

import pytest
from flyte_nb.engine.local.demand import Demand, cores, demand_of, size
from flyte_nb.engine.local.machine import Gpu, Machine
from flyte_nb.environments.devices import APPLE_SILICON, GPU, TPU
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import ResourceError, UsageError
from hypothesis import given
from hypothesis import strategies as st

GI = 1 << 30
A100 = Gpu(0, "GPU-a", "NVIDIA A100-SXM4-80GB", 80 * GI)
SMALL = Gpu(1, "GPU-b", "NVIDIA A100-PCIE-40GB", 40 * GI)
BARE = Machine(2.0, 4 * GI, no_gpus="there is no GPU")
RICH = Machine(2.0, 4 * GI, (A100, SMALL))


def asked(machine: Machine = BARE, fit: Any = "clamp", **resources: Any) -> Demand:
    return demand_of(machine, Resources(**resources), fit)


def test_without_resources_nothing_is_asked() -> None:
    for demand in (demand_of(BARE, None), asked(), asked(gpu=0)):
        assert not demand.kinds
        assert demand.notices == ()
    assert asked(gpu=0).no_gpu
    assert not asked(cpu=1).no_gpu


@pytest.mark.parametrize(
    ("cpu", "request_", "limit"),
    [(1, 1000, 1000), (0.5, 500, 500), ("250m", 250, 250), ("100n", 1, 1), ((1, 2), 1000, 2000), (0, 0, 0)],
)
def test_cores(cpu: Any, request_: int, limit: int) -> None:
    demand = asked(cpu=cpu)
    assert (demand.cpu, demand.cpu_limit, demand.notices) == (request_, limit, ())


def test_memory() -> None:
    assert asked(memory="256Mi").memory == asked(memory="256Mi").memory_limit == 256 << 20
    pair = asked(memory=("1Gi", "2Gi"))
    assert (pair.memory, pair.memory_limit) == (GI, 2 * GI)
    assert asked(cpu=1).memory is None


def test_more_than_there_is_gets_what_there_is_and_a_notice() -> None:
    demand = asked(cpu=64, memory="64Gi")
    assert demand == Demand(
        cpu=2000, memory=4 * GI, cpu_limit=2000, memory_limit=4 * GI,
        notices=("cpu 64 asked, 2 here: clamped", "memory 64Gi asked, 4Gi here: clamped"),
    )  # fmt: skip
    assert asked(cpu=(1, 64)) == Demand(cpu=1000, cpu_limit=2000, notices=("cpu 64 asked, 2 here: clamped",))


def test_strict_refuses_and_names_both() -> None:
    with pytest.raises(ResourceError, match=r"^cpu 64 asked, 2 here; memory 8Gi asked, 4Gi here \(fit='strict'\)"):
        asked(fit="strict", cpu=64, memory="8Gi")
    with pytest.raises(ResourceError, match="gpu 3 asked, 2 here: clamped"):
        asked(RICH, fit="strict", gpu=3)
    assert asked(fit="strict", cpu=2, memory="4Gi", disk="1Gi").cpu == 2000


@pytest.mark.parametrize("gpu", [1, "A100:1", GPU("T4", 1)])
@pytest.mark.parametrize("fit", ["clamp", "strict"])
def test_a_gpu_where_there_is_none(gpu: Any, fit: str) -> None:
    with pytest.raises(ResourceError, match=r"^gpu .*1 asked, none here \(there is no GPU\); with fit='ignore'"):
        asked(fit=fit, gpu=gpu)
    demand = asked(fit="ignore", gpu=gpu)
    assert demand.gpus == 0
    assert demand.notices[0].endswith("asked, none here: left out")


def test_gpus_that_are_here() -> None:
    assert asked(RICH, gpu=2) == Demand(gpus=2)
    assert asked(RICH, gpu=8) == Demand(gpus=2, notices=("gpu 8 asked, 2 here: clamped",))
    assert asked(RICH, gpu="A100:1") == asked(RICH, gpu="A100_80G:1") == Demand(gpus=1)
    other = "gpu T4:1 asked, NVIDIA A100-SXM4-80GB, NVIDIA A100-PCIE-40GB here: taken instead"
    assert asked(RICH, gpu="T4:1") == Demand(gpus=1, notices=(other,))
    assert asked(RICH, gpu="A10:1").notices  # an A100 is none
    only_small = Machine(2.0, GI, (SMALL,))
    assert asked(only_small, gpu="A100_80G:1").notices
    assert "whole" in asked(RICH, gpu=GPU("A100", 1, "1g.5gb")).notices[0]


def test_other_accelerators() -> None:
    with pytest.raises(ResourceError, match="a TPU is not looked for here"):
        asked(RICH, gpu=TPU("V5E"))
    with pytest.raises(ResourceError):
        asked(gpu=APPLE_SILICON())
    assert asked(Machine(8.0, GI, apple_silicon=True), gpu="AppleSilicon") == Demand()


def test_what_is_not_enforced_is_told() -> None:
    demand = asked(disk="10Gi", shm="1Gi")
    assert (demand.disk, demand.shm) == (10 * GI, GI)
    assert demand.notices == ("disk 10Gi is not enforced on this machine", "shm 1Gi is not enforced on this machine")
    assert not demand.kinds
    assert asked(shm="auto").notices == ()


def test_an_unknown_fit() -> None:
    with pytest.raises(UsageError, match="did you mean 'clamp'"):
        asked(fit="clam", cpu=1)


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 50))
def test_never_more_than_the_machine(cpu: int, memory: int) -> None:
    demand = asked(cpu=cpu, memory=f"{memory}Ki")
    assert demand.cpu <= demand.cpu_limit <= 2000
    assert (demand.memory or 0) <= (demand.memory_limit or 0) <= 4 * GI


def test_words() -> None:
    assert [size(n) for n in (5, 2048, 256 << 20, 3 * GI // 2)] == ["5", "2Ki", "256Mi", "1.5Gi"]
    assert [cores(n) for n in (1000, 500, 64000)] == ["1", "0.5", "64"]
