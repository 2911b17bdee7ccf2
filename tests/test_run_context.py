"""How a run is made: in this process or its own, at once or waited for, kept for another try."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.engine.base import Phase
from flyte_nb.errors import UnknownNameError, UsageError

env = flyte.TaskEnvironment("run-context-env")
warm = flyte.TaskEnvironment("run-context-warm", reusable=flyte.ReusePolicy((1, 1)))


@env.task
def thread() -> int:
    return threading.get_ident()


@env.task
def naps(seconds: float) -> float:
    print("napping")
    time.sleep(seconds)
    return seconds


@env.task
async def adds(x: int, y: int = 1) -> int:
    return x + y


@env.task
def divides(x: int, by: int) -> int:
    return x // by


@env.task
def greedy() -> str:
    return "done"


@warm.task
def pids(x: int) -> int:
    import os

    return os.getpid()


@env.task(cache="auto")
def stamped(x: int, folder: str) -> int:
    Path(folder, str(time.time_ns())).touch()
    return x


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One session, with its store in a temporary folder, for all of these."""
    home = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(home))
        patch.setattr(session, "_session", None)
        yield home
        session.current_session().close()


def test_inline_runs_in_this_thread() -> None:
    run = flyte.with_runcontext(engine="inline").run(thread)
    assert run.outputs() == (threading.get_ident(),)
    assert run.engine == "inline"
    assert flyte.run(thread).outputs() != run.outputs()


def test_inline_async_tasks_from_a_plain_call_and_from_a_loop() -> None:
    import asyncio

    inline = flyte.with_runcontext(engine="inline")
    assert inline.run(adds, 1).outputs() == (2,)

    async def within() -> list[int]:
        return [inline.run(adds, 2).outputs()[0], (await inline.run.aio(adds, 3)).outputs()[0]]

    assert asyncio.run(within()) == [3, 4]


def test_a_run_that_is_not_waited_for() -> None:
    run = flyte.with_runcontext(wait=False).run(naps, 0.3)
    assert not run.done()
    assert run.outputs() == (0.3,)
    assert run.done()
    assert run.wait() is run
    assert run.logs() == "napping\n"


def test_cancel() -> None:
    run = flyte.with_runcontext(wait=False).run(naps, 60.0)
    start = time.monotonic()
    assert run.cancel().phase is Phase.ABORTED
    assert time.monotonic() - start < 20
    assert run.cancel() is run
    assert flyte.run(naps, 0.0).cancel().phase is Phase.SUCCEEDED


def test_a_failure_of_a_run_that_is_not_waited_for() -> None:
    run = flyte.with_runcontext(wait=False).run(divides, 1, 0)
    with pytest.raises(flyte.errors.RuntimeUserError, match="division"):
        run.outputs()


def test_what_refuses_a_run_that_is_not_waited_for() -> None:
    with pytest.raises(UsageError, match="leave out wait=False"):
        flyte.with_runcontext(wait=False, engine="inline").run(thread)
    missing = divides.override(secrets="nowhere-to-be-found")
    with pytest.raises(flyte.errors.MissingSecretError, match="nowhere-to-be-found"):
        flyte.with_runcontext(wait=False).run(missing, 1, 1)


def test_a_failed_run_is_kept_and_run_again() -> None:
    with pytest.raises(flyte.errors.RuntimeUserError):
        flyte.with_runcontext(name="failing", keep="on-failure").run(divides, 1, by=0)
    with pytest.raises(flyte.errors.RuntimeUserError) as caught:
        flyte.rerun("failing")
    frames = [frame.name for frame in _frames(caught.value.__cause__)]
    assert "divides" in frames  # the live frame of this process, for a debugger
    flyte.with_runcontext(name="kept", keep="always").run(divides, 6, by=2)
    assert flyte.rerun("kept", engine="local").outputs() == (3,)


def _frames(error: BaseException | None) -> Iterator[object]:
    import traceback

    assert error is not None
    yield from traceback.extract_tb(error.__traceback__)


def test_a_run_that_was_not_kept() -> None:
    flyte.with_runcontext(name="passing", keep="on-failure").run(divides, 6, by=2)
    with pytest.raises(UsageError, match="'passing' did not keep its inputs"):
        flyte.rerun("passing")
    with pytest.raises(UnknownNameError, match="'passing'"):
        flyte.rerun("pasing")


def test_more_than_the_machine_has() -> None:
    large = greedy.override(resources=flyte.Resources(cpu=4096))
    run = flyte.run(large)
    assert "clamped" in run.root.notice
    with pytest.raises(flyte.errors.ResourceError, match="cpu 4096 asked"):
        flyte.with_runcontext(fit="strict").run(large)


def test_a_reusable_environment_keeps_its_worker() -> None:
    assert len({flyte.run(pids, x).outputs()[0] for x in range(3)}) == 1


def test_kept_outputs(tmp_path: Path) -> None:
    runs = [flyte.run(stamped, 1, str(tmp_path)) for _ in range(2)]
    assert [run.root.cached for run in runs] == [False, True]
    assert not flyte.run(stamped, 2, str(tmp_path)).root.cached
    assert not flyte.with_runcontext(overwrite_cache=True).run(stamped, 1, str(tmp_path)).root.cached
    assert not flyte.with_runcontext(disable_run_cache=True).run(stamped, 1, str(tmp_path)).root.cached
    assert not flyte.run(stamped.override(cache="disable"), 1, str(tmp_path)).root.cached
    assert len(list(tmp_path.iterdir())) == 5


@env.task
def keeps_children(folder: str) -> list[int]:
    child = counted.override(cache="auto")
    return [child(1, folder), child(1, folder), child(2, folder)]


@env.task
def counted(x: int, folder: str) -> int:
    Path(folder, str(time.time_ns())).touch()
    return x


def test_outputs_that_only_an_override_keeps(tmp_path: Path) -> None:
    runs = [flyte.run(counted.override(cache="auto"), 7, str(tmp_path)) for _ in range(2)]
    assert [run.root.cached for run in runs] == [False, True]
    run = flyte.run(keeps_children, str(tmp_path))
    assert [action.cached for action in run.actions] == [False, False, True, False]
    assert len(list(tmp_path.iterdir())) == 3
