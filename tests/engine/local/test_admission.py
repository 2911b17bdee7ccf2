"""Admission: whoever asks waits for their turn, nobody waits for ever, and everything is given back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flyte_nb.engine.local.admission import Admission, Demand, Lease
from flyte_nb.engine.local.machine import Gpu, Machine
from flyte_nb.environments.resources import Resources
from hypothesis import given, settings
from hypothesis import strategies as st

GI = 1 << 30
GPUS = tuple(Gpu(index, f"GPU-{index}", "NVIDIA L4", GI) for index in range(2))
MACHINE = Machine(2.0, 4 * GI, GPUS, frozenset({0, 1}))


class Desk:
    """An admission, and what those who wait were told."""

    def __init__(self, machine: Machine = MACHINE) -> None:
        self.admission = Admission(machine)
        self.told: list[str] = []
        self.begun: list[str] = []

    def ask(self, name: str, parent: Lease | None = None, **resources: Any) -> asyncio.Task[Lease]:
        demand = self.admission.demand_of(Resources(**resources))

        async def take() -> Lease:
            lease = await self.admission.acquire(demand, lambda why: self.told.append(f"{name}: {why}"), parent)
            self.begun.append(name)
            return lease

        return asyncio.ensure_future(take())


def trial(play: Callable[[Desk], Awaitable[None]], machine: Machine = MACHINE) -> Desk:
    async def run() -> Desk:
        desk = Desk(machine)
        await asyncio.wait_for(play(desk), 60)
        return desk

    return asyncio.run(run())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_reason_for_waiting_is_told_and_the_turn_comes() -> None:
    async def play(desk: Desk) -> None:
        first = await desk.ask("first", cpu=1)
        second = desk.ask("second", cpu=2)
        await settle()
        assert not second.done()
        assert desk.told == ["second: waiting for 2 cpu, 1 free"]
        first.release()
        async with await second:
            assert desk.admission.free()["cpu"] == 0
        first.release()  # a second time does nothing
        assert desk.admission.free() == {"cpu": 2000, "memory": 4 * GI, "gpu": 2}

    trial(play)


def test_memory_and_gpus_are_counted_too() -> None:
    async def play(desk: Desk) -> None:
        held = await desk.ask("held", memory="3Gi", gpu=1)
        waiting = [desk.ask("memory", memory="2Gi"), desk.ask("gpu", gpu=2)]
        await settle()
        assert desk.told == ["memory: waiting for 2Gi memory, 1Gi free", "gpu: waiting for 2 gpu, 1 free"]
        held.release()
        await asyncio.gather(*waiting)

    trial(play)


def test_nothing_asked_is_never_queued() -> None:
    async def play(desk: Desk) -> None:
        await desk.ask("all", cpu=2)
        desk.ask("big", cpu=2)
        await settle()
        await desk.ask("free")
        assert desk.begun == ["all", "free"]

    trial(play)


def test_small_ones_do_not_pass_a_large_one() -> None:
    async def play(desk: Desk) -> None:
        held = await desk.ask("held", cpu=1)
        large = desk.ask("large", cpu=2)
        small = [desk.ask(f"small {n}", cpu=1) for n in range(3)]
        await settle()
        assert desk.begun == ["held"]
        assert "small 0: waiting for its turn" in desk.told
        held.release()
        (await large).release()
        for task in small:
            (await task).release()
        assert desk.begun == ["held", "large", "small 0", "small 1", "small 2"]

    trial(play)


def test_another_kind_may_pass() -> None:
    async def play(desk: Desk) -> None:
        await desk.ask("held", cpu=2)
        desk.ask("cores", cpu=1, memory="1Gi")
        gpu = desk.ask("gpu", gpu=1)
        memory = desk.ask("memory", memory="1Gi")
        await settle()
        assert gpu.done()
        assert not memory.done()  # someone earlier waits for memory, too

    trial(play)


def test_a_parent_that_waits_lends_its_cores() -> None:
    async def play(desk: Desk) -> None:
        parent = await desk.ask("parent", cpu=2)
        with parent.lend():
            other = desk.ask("child 2", parent, cpu=1)
            async with await desk.ask("child", parent, cpu=1):
                assert desk.admission.free()["cpu"] == 0
                (await other).release()
        assert desk.admission.free()["cpu"] == 0
        late = desk.ask("late", cpu=1)
        parent.lend()
        parent.lend()
        await late
        parent.take_back()
        assert parent.lent  # another child still runs
        parent.take_back()
        assert desk.admission.free()["cpu"] == -1000  # it goes on at once
        waiting = desk.ask("waiting", cpu=1)
        await settle()
        assert desk.told[-1] == "waiting: waiting for 1 cpu, 0 free"
        parent.release()
        await waiting

    trial(play)


def test_children_come_before_runs_that_have_not_begun() -> None:
    async def play(desk: Desk) -> None:
        parent = await desk.ask("parent", cpu=2)
        later = [desk.ask(f"later {n}", cpu=2) for n in range(3)]
        child = desk.ask("child", parent, cpu=2)
        await settle()
        with parent.lend():
            (await child).release()
        parent.release()
        for task in later:
            (await task).release()
        assert desk.begun == ["parent", "child", "later 0", "later 1", "later 2"]

    trial(play)


@pytest.mark.parametrize("asked", [{"memory": "3Gi"}, {"gpu": 2}, {"cpu": 2, "memory": "3Gi", "gpu": 2}])
def test_parents_that_hold_what_their_children_need_do_not_wait_for_ever(asked: dict[str, Any]) -> None:
    async def play(desk: Desk) -> None:
        unrelated = await desk.ask("unrelated")
        parent = await desk.ask("parent", **asked)
        with parent.lend():
            child = await desk.ask("child", parent, **asked)
            assert child.gpus == parent.gpus
            other = desk.ask("other", **asked)
            await settle()
            assert not other.done()  # the child runs, so the parent will end
            child.release()
        parent.release()
        (await other).release()
        unrelated.release()

    trial(play)


def test_two_parents_that_hold_what_the_other_needs() -> None:
    async def play(desk: Desk) -> None:
        parents = [await desk.ask(f"parent {n}", memory="2Gi") for n in range(2)]
        for parent in parents:
            parent.lend()
        children = [desk.ask(f"child {n}", parent, memory="1Gi") for n, parent in enumerate(parents)]
        (await children[0]).release()
        (await children[1]).release()

    trial(play)


def test_whoever_is_cancelled_leaves_the_queue() -> None:
    async def play(desk: Desk) -> None:
        held = await desk.ask("held", cpu=2)
        gone, stays = desk.ask("gone", cpu=2), desk.ask("stays", cpu=2)
        await settle()
        gone.cancel()
        held.release()
        (await stays).release()
        both = await desk.ask("again", cpu=2)
        late = desk.ask("late", cpu=2)
        await settle()
        both.release()  # it is let in now …
        late.cancel()  # … and cancelled before it hears of it
        await settle()
        assert desk.admission.free()["cpu"] == 2000

    trial(play)


def test_gpus_are_given_by_index_and_not_twice() -> None:
    async def play(desk: Desk) -> None:
        one, two = await desk.ask("one", gpu=1), await desk.ask("two", gpu=1)
        assert (one.gpus, two.gpus) == ((0,), (1,))
        one.release()
        assert (await desk.ask("three", gpu=1)).gpus == (0,)

    trial(play)


def test_cores_are_spread() -> None:
    async def play(desk: Desk) -> None:
        leases = [await desk.ask(f"{n}", cpu="500m") for n in range(4)]
        assert sorted(min(lease.cores or ()) for lease in leases) == [0, 1, 2, 3]
        assert (await desk.ask("none")).cores is None
        for lease in leases:
            lease.release()
        assert (await desk.ask("all", cpu=4)).cores is None
        assert len((await desk.ask("limit", cpu=(0, 3))).cores or ()) == 3

    trial(play, Machine(4.0, GI, core_numbers=frozenset(range(4))))

    async def unbound(desk: Desk) -> None:
        assert (await desk.ask("a", cpu=1)).cores is None

    trial(unbound, Machine(4.0, GI))


def test_the_variables_of_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.delenv(name, raising=False)

    async def variables(desk: Desk, **asked: Any) -> dict[str, str]:
        async with await desk.ask("a", **asked) as lease:
            return desk.admission.environment(lease, Resources(**asked))

    async def play(desk: Desk) -> None:
        found = await variables(desk, cpu="1500m")
        assert (found["OMP_NUM_THREADS"], found["POLARS_MAX_THREADS"]) == ("2", "2")
        assert "MKL_NUM_THREADS" not in found  # the user has set it
        assert "CUDA_VISIBLE_DEVICES" not in found
        assert (await variables(desk, gpu=2))["CUDA_VISIBLE_DEVICES"] == "0,1"
        assert (await variables(desk, gpu=0))["CUDA_VISIBLE_DEVICES"] == ""
        assert await variables(desk) == await variables(desk, memory="1Gi") == {}

    trial(play)
    assert os.environ["MKL_NUM_THREADS"] == "7"


ASKED = st.fixed_dictionaries(
    {}, optional={"cpu": st.integers(1, 9), "memory": st.sampled_from(["1Gi", "3Gi", "9Gi"]), "gpu": st.integers(0, 3)}
)
TREE = st.recursive(st.tuples(ASKED, st.just(())), lambda inner: st.tuples(ASKED, st.lists(inner, max_size=3)))


@settings(max_examples=60, deadline=None)
@given(st.lists(TREE, max_size=5))
def test_whatever_calls_whatever_everything_ends(trees: list[Any]) -> None:
    async def play(desk: Desk) -> None:
        async def run(tree: Any, parent: Lease | None) -> None:
            asked, children = tree
            async with await desk.ask("a", parent, **asked) as lease:
                await asyncio.sleep(0)
                if children:
                    with lease.lend():
                        await asyncio.gather(*(run(child, lease) for child in children))

        await asyncio.gather(*(run(tree, None) for tree in trees))
        assert desk.admission.free() == {"cpu": 2000, "memory": 4 * GI, "gpu": 2}

    trial(play)


def test_a_long_queue_is_quick() -> None:
    async def play(desk: Desk) -> None:
        async def run() -> None:
            async with await desk.ask("a", cpu=1, memory="1Gi"):
                await asyncio.sleep(0)

        await asyncio.gather(*(run() for _ in range(2000)))
        assert len(desk.told) >= 1998

    trial(play)


def test_a_demand_is_plain() -> None:
    assert Demand(cpu=1, memory=2, gpus=3).kinds == {"cpu", "memory", "gpu"}
