"""map: one task over many inputs."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.errors import RuntimeUserError

from kernels import Kernel

env = flyte.TaskEnvironment("map-env")


@env.task
def add(x: int, y: int = 10) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x + y


@env.task
def three(a: int, b: int, c: int) -> str:
    return f"{a}{b}{c}"


@env.task
async def later(x: int) -> int:
    await asyncio.sleep(0.01 * (3 - x))
    if x == 7:
        raise KeyError("seven")
    return x * 2


@env.task
def sleep_and_tell(x: int) -> tuple[float, float]:
    start = time.time()
    time.sleep(0.4)
    return start, time.time()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(start <= other[0] < end for start, end in spans) for other in spans)


@env.task
def limited() -> int:
    return most_at_once(list(flyte.map(sleep_and_tell, range(5), concurrency=2, return_exceptions=False)))


@env.task
def wrongly_mapped(which: int) -> list[str]:
    if which == 0:
        return list(flyte.map(functools.partial(three, a=1), [1]))
    return list(flyte.map(add, [1, 2], [1]))


@env.task
async def unlimited() -> list[int]:
    spans = [span async for span in flyte.map.aio(sleep_and_tell, range(3))]
    blocking = list(flyte.map(functools.partial(add, 1), [1, 2]))
    return [most_at_once(spans), *blocking]


@env.task
def failing() -> str:
    results = list(flyte.map(add, [1, -1, 2]))
    try:
        sum(results)
    except RuntimeUserError as error:
        return f"{results[0]} {error.code} {error} {results[2]}"
    return "no error"


@env.task
def stopped_early() -> list[int]:
    first = next(iter(flyte.map(add, range(100), concurrency=1)))
    return [first, add(5)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path))
    monkeypatch.setattr(session, "_session", None)
    yield
    session.current_session().close()


async def listed(*args: object, **kwargs: object) -> list[object]:
    return [value async for value in flyte.map.aio(*args, **kwargs)]  # type: ignore[arg-type]


def test_outside_a_task_elements_are_plain_calls_in_order() -> None:
    assert list(flyte.map(add, [1, 2, 3])) == [11, 12, 13]
    assert list(flyte.map(add, [1, 2], (5, 6))) == [6, 8]
    assert list(flyte.map(add, iter([1]))) == [11]
    assert list(flyte.map(add)) == []
    assert list(flyte.map(add, [])) == []


def test_it_is_lazy() -> None:
    taken = []

    def source() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    values = flyte.map(add, source())
    assert taken == []
    assert next(values) == 10
    assert len(taken) < 3


def test_async_tasks_work_with_and_without_a_running_loop() -> None:
    assert list(flyte.map(later, [1, 2, 3])) == [2, 4, 6]

    async def inside() -> list[int]:
        return list(flyte.map(later, [1, 2]))

    assert asyncio.run(inside()) == [2, 4]
    assert asyncio.run(listed(later, [1, 2, 3], concurrency=2)) == [2, 4, 6]
    assert asyncio.run(listed(add, [1, 2], concurrency=1)) == [11, 12]
    assert asyncio.run(listed(add)) == []


def test_exceptions_take_the_place_of_values() -> None:
    ok, error, last = flyte.map(add, [1, -1, 2])
    assert (ok, last) == (11, 12)
    assert isinstance(error, RuntimeUserError)
    assert (error.code, str(error)) == ("ValueError", "-1 is negative")
    with pytest.raises(RuntimeUserError, match="-1 is negative"):
        sum([ok, error])
    errors = list(flyte.map(later, [7, 1]))
    assert isinstance(errors[0], RuntimeUserError)
    assert errors[1] == 2


@pytest.mark.parametrize("task", [add, later])
def test_exceptions_are_raised_where_they_are_wanted(task: object) -> None:
    values = flyte.map(task, [1, -1 if task is add else 7, 2], return_exceptions=False)
    next(values)
    with pytest.raises(RuntimeUserError):
        next(values)
    with pytest.raises(RuntimeUserError):
        asyncio.run(listed(task, [-1 if task is add else 7], return_exceptions=False))


def test_iterables_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"iterables of \[1, 2\] items"):
        list(flyte.map(add, [1, 2], [1]))
    with pytest.raises(ValueError, match="shorter"):
        list(flyte.map(add, iter([1, 2]), iter([1])))
    with pytest.raises(ValueError, match="shorter"):
        asyncio.run(listed(add, iter([1, 2]), iter([1])))


def test_a_partial_leaves_the_next_input_open() -> None:
    assert list(flyte.map(functools.partial(add, y=5), [1, 2])) == [6, 7]
    assert list(flyte.map(functools.partial(add, 1), [1, 2])) == [2, 3]
    assert list(flyte.map(functools.partial(add), [1])) == [11]
    assert list(flyte.map(functools.partial(three, 1, c=3), [2, 4])) == ["123", "143"]
    assert asyncio.run(listed(functools.partial(add, y=5), [1, 2])) == [6, 7]


@pytest.mark.parametrize(
    ("partial", "reason"),
    [
        (functools.partial(three, 1), "c would have no value"),
        (functools.partial(three), "b, c would have no value"),
        (functools.partial(three, 1, 2, 3), "leaves none open"),
        (functools.partial(three, 1, 2, 3, 4), "binds 4 by position"),
        (functools.partial(three, 1, a=1, c=3), "a is bound by position and by name"),
        (functools.partial(three, a=1, b=2), "a comes next, and is bound by name"),
        (functools.partial(three, 1, c=1, d=2), "there is no input d"),
    ],
)
def test_a_partial_that_does_not_fit_is_refused_at_the_first_value(partial: object, reason: str) -> None:
    values = flyte.map(partial, [1])
    with pytest.raises(TypeError, match=reason):
        next(values)
    with pytest.raises(TypeError, match=reason):
        asyncio.run(listed(partial, [1]))


def test_a_partial_takes_one_iterable() -> None:
    with pytest.raises(TypeError, match="mapped over 2 iterables"):
        list(flyte.map(functools.partial(add), [1], [2]))


@pytest.mark.parametrize("given", [len, functools.partial(len), 3, None, functools.partial(functools.partial(len))])
def test_only_tasks_are_mapped(given: object) -> None:
    with pytest.raises(TypeError, match="accepted: a task"):
        list(flyte.map(given, [[1]]))
    with pytest.raises(TypeError, match="accepted: a task"):
        asyncio.run(listed(given, [[1]]))


def test_stopping_early_leaves_nothing_running() -> None:
    values = flyte.map(later, [1, 2, 3])
    assert next(values) == 2
    values.close()  # type: ignore[attr-defined]
    before = threading.active_count()
    list(flyte.map(later, [1]))
    assert threading.active_count() == before


@pytest.mark.slow
def test_inside_a_task_elements_are_children_and_the_limit_holds(store: None) -> None:
    run = flyte.run(limited)
    assert run.outputs()[0] == 2
    assert len(run.actions) == 6


@pytest.mark.slow
def test_inside_an_async_task_both_forms_work(store: None) -> None:
    assert flyte.run(unlimited).outputs()[0][1:] == [2, 3]


@pytest.mark.slow
def test_inside_a_task_an_exception_is_one_of_the_results(store: None) -> None:
    assert flyte.run(failing).outputs()[0] == "11 ValueError -1 is negative 12"


@pytest.mark.slow
def test_a_task_that_stops_early_goes_on(store: None) -> None:
    assert flyte.run(stopped_early).outputs()[0] == [10, 15]


@pytest.mark.parametrize(("which", "code"), [(0, "TypeError"), (1, "ValueError")])
def test_in_a_task_a_wrong_map_has_the_code_of_pythons_own_error(which: int, code: str) -> None:
    with pytest.raises(RuntimeUserError, match=r"flyte\.map: given") as caught:
        flyte.run(wrongly_mapped, which)
    assert caught.value.code == code


MAPPED = """
import time
env = flyte.TaskEnvironment("mapped")

@env.task
def slow(x: int) -> int:
    time.sleep(0.3)
    return 1 // x

@env.task
async def aslow(x: int) -> int:
    time.sleep(0.3)
    return x

@env.task
def outer(x: int) -> int:
    return sum(flyte.map(slow, [1, 1, 1, 1]))
"""


def test_a_long_map_in_a_cell_says_how_far_it_is(kernel: Kernel) -> None:
    kernel.run(MAPPED)
    ran = kernel.run("results = list(flyte.map(slow, [1, 0, 1, 1]))")
    assert ran.shown.startswith("map of mapped.slow: 4 of 4 done, 1.")
    assert ran.shown.endswith("s · 1 failed")
    assert len(ran.outputs) == 1
    assert kernel.value("[str(r) for r in results]") == "['1', 'integer division or modulo by zero', '1', '1']"
    ran = kernel.run("async for value in flyte.map.aio(aslow, iter(range(4))): pass")
    assert ran.shown.startswith("map of mapped.aslow: 4 done, 1.")
    assert kernel.run("quick = list(flyte.map(slow, [1]))").outputs == []


def test_a_map_within_a_map_adds_no_line(kernel: Kernel) -> None:
    kernel.run(MAPPED)
    assert kernel.run("list(flyte.map(outer, [1, 2]));").shown.splitlines()[0].startswith("map of mapped.outer: 2 of 2")
