"""Syncify: async functions called from plain code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar

import flyte_nb as flyte
import pytest
from flyte_nb.syncify import Syncify, syncify

told: ContextVar[str] = ContextVar("told", default="nothing")


@syncify
async def double(x: int) -> int:
    """Double it."""
    await asyncio.sleep(0)
    if x < 0:
        raise ValueError("negative")
    return 2 * x


@syncify
async def count(n: int) -> AsyncIterator[int]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


class Counter:
    def __init__(self) -> None:
        self.n = 0

    @syncify
    async def add(self, n: int) -> int:
        self.n += n
        return self.n

    @syncify
    @classmethod
    async def name(cls) -> str:
        return cls.__name__

    @syncify
    @staticmethod
    async def twice(n: int) -> int:
        return 2 * n


def test_it_blocks_or_is_awaited() -> None:
    assert double(2) == 4
    assert asyncio.run(double.aio(3)) == 6
    assert (double.__name__, double.__doc__) == ("double", "Double it.")


def test_exceptions_are_the_functions_own() -> None:
    with pytest.raises(ValueError, match="negative"):
        double(-1)
    with pytest.raises(ValueError, match="negative"):
        asyncio.run(double.aio(-1))


def test_generators_are_iterated_either_way() -> None:
    assert list(count(3)) == [0, 1, 2]

    async def through() -> list[int]:
        return [i async for i in count.aio(3)]

    assert asyncio.run(through()) == [0, 1, 2]


def test_methods_are_bound() -> None:
    counter = Counter()
    assert counter.add(2) == 2
    assert asyncio.run(counter.add.aio(3)) == 5
    assert Counter.name() == Counter().name() == "Counter"
    assert asyncio.run(Counter.name.aio()) == "Counter"
    assert Counter.twice(2) == asyncio.run(counter.twice.aio(2)) == 4


def test_it_is_safe_in_a_running_loop_and_on_its_own() -> None:
    async def outside() -> int:
        return double(4)

    @syncify
    async def inside() -> int:
        return double(5) + sum(count(3))

    assert asyncio.run(outside()) == 8
    assert inside() == 13


def test_all_calls_share_a_loop_that_sees_the_callers_context() -> None:
    @syncify
    async def seen() -> tuple[str, str]:
        return threading.current_thread().name, told.get()

    token = told.set("hello")
    try:
        assert seen() == seen() == ("flyte-nb", "hello")
    finally:
        told.reset(token)


def test_only_async_functions_are_taken() -> None:
    with pytest.raises(TypeError, match="accepted: an async function"):
        Syncify("mine")(len)
    assert flyte.syncify.syncify is syncify
