"""Declaring again and again leaves nothing behind, and what is shown of an environment stays small."""

from __future__ import annotations

import gc
import sys
import weakref
from types import FunctionType

import flyte_nb as flyte
import pytest
from flyte_nb.widgets.environments import environment

LONGEST_REPR, LONGEST_CARD = 2_000, 20_000


def declare(count: int) -> list[weakref.ref[flyte.TaskEnvironment]]:
    """Declare environments with a task each, and give references that keep none of them alive."""
    made = []
    for number in range(count):
        env = flyte.TaskEnvironment(f"again-{number}", resources=flyte.Resources(cpu=1), env_vars={"A": "1"})
        env.task(_task)
        made.append(weakref.ref(env))
    return made


def _task(x: int) -> int:
    return x


def test_declaring_again_does_not_grow_the_registry() -> None:
    first = declare(100)
    known = len(flyte.current_registry())
    for _ in range(3):
        newest = declare(100)
    assert len(flyte.current_registry()) == known
    gc.collect()
    assert [ref for ref in first if ref() is not None] == []
    assert all(ref() is flyte.current_registry()[f"again-{n}"] for n, ref in enumerate(newest))


def test_declaring_again_does_not_grow_memory() -> None:
    declare(100)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(5):
        declare(100)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500  # fewer than one for each environment declared again


@pytest.mark.parametrize("kind", [flyte.TaskEnvironment, flyte.app.AppEnvironment])
def test_what_is_shown_of_many_dependencies_is_bounded(kind: type[flyte.Environment]) -> None:
    few, many = (kind("hub", depends_on=[flyte.Environment(f"dep-{i}") for i in range(n)]) for n in (100, 1_000))
    for show, longest in ((repr, LONGEST_REPR), (lambda env: environment(env).html(), LONGEST_CARD)):
        assert len(show(many)) <= longest
        assert len(show(many)) - len(show(few)) <= 10
    assert "1000" in repr(many)
    assert "and 992 more" in environment(many).text()


def test_what_is_shown_of_large_settings_is_bounded() -> None:
    env = flyte.TaskEnvironment(
        "large", env_vars={f"V{i}": "x" * 1_000 for i in range(1_000)}, include=[f"{i}.txt" for i in range(1_000)],
        secrets=[f"key-{i}" for i in range(1_000)],
    )  # fmt: skip
    for number in range(100):
        function = FunctionType(_task.__code__, globals(), f"task_{number}")
        env.task(function)
    assert len(env.tasks) == 100
    assert len(repr(env)) <= 10_000
    assert len(environment(env).html()) <= LONGEST_CARD


def test_a_ladder_of_dependencies_is_shown_in_constant_size() -> None:
    env = flyte.TaskEnvironment("rung")
    for level in range(100):
        env = flyte.TaskEnvironment(f"rung-{level}", depends_on=[env, env])
    assert len(repr(env)) <= 200
