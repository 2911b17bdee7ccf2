"""Lines: what a task's calls over them do and leave behind is what they would without them; only quicker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.engine.base import Action, Phase, Run
from flyte_nb.engine.policy import Policy
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources

from scripts import Bench, soon

TASKS = '''
import asyncio, ctypes, dataclasses, logging, os, signal, subprocess, sys, threading, time
import flyte_nb as flyte

one = flyte.TaskEnvironment(name="one", reusable=flyte.ReusePolicy((1, 1)))
two = flyte.TaskEnvironment(name="two", reusable=flyte.ReusePolicy((2, 2)))
env = flyte.TaskEnvironment(name="e")

@dataclasses.dataclass
class Point:
    x: int
    y: int = 2

def note(path: str, what: object) -> None:
    with open(path, "a") as file:
        file.write(f"{what}\\n")

@one.task
def same(x: int) -> int:
    return x

@one.task
def other(x: int) -> int:
    return -x

@one.task
async def asame(x: int) -> int:
    await asyncio.sleep(0)
    return x

@one.task
def context() -> list[str]:
    ctx = flyte.ctx()
    return [ctx.action.name, ctx.action.run_name, ctx.custom_context.get("colour", ""),
            os.environ["FLYTE_ATTEMPT_NUMBER"]]

@one.task
def says(n: int, how: str) -> int:
    if how == "print":
        print("n", n)
    elif how == "err":
        print("n", n, file=sys.stderr)
    elif how == "native":
        os.write(1, f"n {n}\\n".encode())
    elif how == "process":
        subprocess.run(["echo", "n", str(n)])
    elif how == "log":
        logging.getLogger("mine").warning("n %s", n)
    return n

@one.task
def late(n: int) -> int:
    """Print something once the call has ended."""
    import contextvars
    context = contextvars.copy_context()
    threading.Timer(0.01, lambda: context.run(print, "late", n)).start()
    return n

@one.task
def fails(n: int) -> int:
    print("about to fail", n)
    raise LookupError(f"no {n}")

@two.task
def dies(n: int, how: str, path: str) -> int:
    note(path, n)
    if how == "exit" and n == 7:
        os._exit(3)
    if how == "kill" and n == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault" and n == 7:
        ctypes.string_at(0)
    return n

@two.task
def counted(n: int, path: str) -> int:
    note(path, n)
    return n

@one.task
def waits(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()

@one.task
def data(x: bytes, size: int) -> bytes:
    return x[:8] + bytes(size)

@one.task
def point(p: Point, q: int = 5, *, r: int = 6) -> list[int]:
    return [p.x, p.y, q, r]

@one.task
def calls_back(depth: int) -> int:
    return 1 + (there(depth - 1) if depth else 0)

@two.task
def there(depth: int) -> int:
    return 1 + (calls_back(depth - 1) if depth else 0)

@two.task
def nests(n: int) -> int:
    return sum(same(x) for x in range(n))

@one.task
def leaves_a_child() -> int:
    async def main() -> None:
        asyncio.create_task(naps.aio(30.0))
        await asyncio.sleep(0.05)
    asyncio.run(main())
    return 1

@two.task
def naps(seconds: float) -> int:
    time.sleep(seconds)
    return 1

@flyte.trace
def step(x: int) -> int:
    return x

@one.task
def stepped(x: int) -> int:
    return step(x)

# --- those that call ---

@env.task
def again(n: int) -> list[int]:
    return [same(x) for x in range(n)]

@env.task
async def fan(n: int) -> list[int]:
    return list(await asyncio.gather(*(same.aio(x) for x in range(n))))

@env.task
async def both(n: int) -> list[int]:
    first = await asyncio.gather(*(same.aio(x) for x in range(n)))
    second = await asyncio.gather(*(other.aio(x) for x in range(n)))
    return [*first, *second]

@env.task
def contexts(n: int) -> list[list[str]]:
    found = []
    with flyte.group("g"), flyte.custom_context(colour="red"):
        for _ in range(n):
            found.append(context())
    return found

@env.task
def speaks(n: int, how: str) -> int:
    for x in range(n):
        says(x, how)
    return n

@env.task
def lates(n: int) -> int:
    for x in range(n):
        late(x)
    time.sleep(0.05)
    same(1)
    return n

@env.task
def failing(n: int) -> list[str]:
    found = []
    for x in range(n):
        try:
            fails(x) if x % 2 else same(x)
        except flyte.errors.RuntimeUserError as error:
            found.append(f"{type(error.__cause__).__name__} {error} {'fails' in error.remote_traceback}")
    return found

@env.task
async def dying(n: int, how: str, path: str) -> list[str]:
    for x in range(100, 110):
        await dies.aio(x, how, path)
    found = await asyncio.gather(*(dies.aio(x, how, path) for x in range(n)), return_exceptions=True)
    return [str(x) for x in found]

@env.task
def dying_alone(n: int, how: str, path: str) -> list[str]:
    found = []
    for x in [*range(100, 110), *range(n)]:
        try:
            found.append(str(dies(x, how, path)))
        except flyte.errors.TaskProcessError as error:
            found.append(str(error))
    return found

@env.task
async def counts(start: int, n: int, path: str) -> list[int]:
    return list(await asyncio.gather(*(counted.aio(x, path) for x in range(start, start + n))))

@env.task
def loops(n: int) -> int:
    for x in range(n):
        assert same(x) == x
    return n

@env.task
def alternates(n: int) -> int:
    for x in range(n):
        assert same(x) == x
        assert other(x) == -x
    return n

@env.task
def rounds(n: int, depth: int) -> list[int]:
    return [calls_back(depth) for _ in range(n)]

@env.task
def nested(n: int) -> list[int]:
    return [nests(8) for _ in range(n)]

@env.task
def long(seconds: float) -> int:
    for x in range(10):
        same(x)
    waits(0.0)
    return waits(seconds)

@env.task
def long_in_thread() -> int:
    for x in range(10):
        same(x)
    waits(0.0)
    threading.Thread(target=__import__("contextvars").copy_context().run, args=(waits, 30.0), daemon=True).start()
    time.sleep(0.3)
    return 1

@env.task
async def sizes(n: int, inwards: int, outwards: int) -> int:
    for _ in range(5):
        await data.aio(b"x" * 8, 8)
    async def one(x: int) -> bool:
        key = b"%08d" % x
        found = await data.aio(key + bytes(inwards if x % 3 else 8), outwards if x % 2 else 8)
        return found[:8] == key and len(found) == 8 + (outwards if x % 2 else 8)
    return sum(await asyncio.gather(*(one(x) for x in range(n))))

@env.task
def threads(n: int) -> list[list[int]]:
    import contextvars
    found = [[] for _ in range(4)]
    def work(place):
        for x in range(n):
            found[place].append(same(place * 1000 + x))
    all = [threading.Thread(target=contextvars.copy_context().run, args=(work, place)) for place in range(4)]
    for thread in all: thread.start()
    for thread in all: thread.join()
    return found

@env.task
async def impatient() -> list[int]:
    for x in range(10):
        await same.aio(x)
    await waits.aio(0.0)
    try:
        await asyncio.wait_for(waits.aio(0.2), 0.02)
    except asyncio.TimeoutError:
        pass
    return [await same.aio(x) for x in range(10)]

@env.task
def kinds(n: int) -> list[list[int]]:
    found = [point(Point(x), 7, r=8) if x % 2 else point(p=Point(x, y=3)) for x in range(n)]
    try:
        point(Point(1), "seven")
    except (TypeError, flyte.errors.RuntimeDataValidationError) as error:
        found.append([len(type(error).__name__)])
    return found

@env.task
async def asyncs(n: int) -> list[int]:
    return [await asame.aio(x) for x in range(n)]

@env.task
def leaves(n: int) -> int:
    for x in range(n):
        same(x)
    return leaves_a_child() + leaves_a_child()

@env.task
def steps(n: int) -> int:
    return sum(stepped(x) for x in range(n))

@env.task
def forks(n: int) -> int:
    for x in range(n):
        same(x)
    if not os.fork():
        os.setsid()
        time.sleep(30)
        os._exit(0)
    for x in range(n):
        same(x)
    return n
'''


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    everything_is_given_back(bench)
    folder = bench.engine.pool.segments._folder
    bench.close()
    assert folder is None or not folder.exists()


def everything_is_given_back(bench: Bench) -> None:
    """Insist that no line is left, and that no place is taken or lent."""

    def left() -> list[Any]:
        busy = [(r.slots.taken, r.slots.lent, r.slots.waiting) for r in bench.engine.pool._warm.values()]
        waiting = [+r._waits for r in bench.engine.pool._warm.values()]
        return [*bench.engine._exchange._connections.values(), *(b for b in busy if any(b)), *filter(None, waiting)]

    assert soon(lambda: not left(), 4), left()
    folder = bench.engine.pool.segments._folder
    if folder is not None and folder.exists():
        bench.do(trimmed(bench))
        assert [path.name for path in folder.iterdir()] == ["lock"]


async def in_hand(bench: Bench) -> None:
    """Wait until a long call on a line is shown as running."""

    def waits() -> list[Phase]:
        return [e.action.phase for e in bench.events if e.action.task == "one.waits" and "-" in e.action.id]

    while waits()[-1:] != [Phase.RUNNING]:
        await asyncio.sleep(0.01)


async def trimmed(bench: Bench) -> None:
    bench.engine.pool.segments.trim()


def over_lines(run: Run) -> list[Action]:
    """Give the actions of a run that were carried out over a line."""
    return [action for action in run.actions if "-" in action.id]


def is_whole(bench: Bench, run: Run) -> None:
    """Insist that the record of a run is: every action once, ended, in order, and the same in the store."""
    assert all(action.phase.is_terminal and action.ended is not None for action in run.actions), run.actions
    assert all(a.started is None or a.queued is None or a.queued <= a.started <= a.ended for a in run.actions)
    assert len({action.id for action in run.actions}) == len(run.actions)
    kept = {a.id: (a.task, a.parent, a.phase, a.group) for a in bench.store.run(run.name).actions}
    assert kept == {a.id: (a.task, a.parent, a.phase, a.group) for a in run.actions}


# --- what is recorded ---


def test_calls_again_and_again_go_over_a_line(bench: Bench) -> None:
    run = bench.run("again", n=40)
    assert run.outputs() == (list(range(40)),)
    assert len(over_lines(run)) > 20
    is_whole(bench, run)
    assert Counter(a.task for a in run.actions) == {"e.again": 1, "one.same": 40}
    assert {a.parent for a in run.actions[1:]} == {"a0"}
    assert {a.phase for a in run.actions} == {Phase.SUCCEEDED}


def test_a_fan_out_goes_over_lines(bench: Bench) -> None:
    run = bench.run("fan", n=300)
    assert run.outputs() == (list(range(300)),)
    assert len(over_lines(run)) > 200
    assert len({action.id.split("-")[0] for action in over_lines(run)}) < 10  # they last
    is_whole(bench, run)


def test_two_tasks_share_a_line(bench: Bench) -> None:
    run = bench.run("both", n=60)
    assert run.outputs() == ([*range(60), *(-x for x in range(60))],)
    assert Counter(a.task for a in run.actions) == {"e.both": 1, "one.same": 60, "one.other": 60}
    is_whole(bench, run)


def test_context_and_group(bench: Bench) -> None:
    run = bench.run("contexts", n=12)
    found = run.outputs()[0]
    assert sorted(name for name, *_ in found) == sorted(a.id for a in run.actions[1:])
    assert {tuple(rest) for _, *rest in found} == {(run.name, "red", "0")}
    assert {a.group for a in run.actions[1:]} == {"g"}
    assert over_lines(run)
    is_whole(bench, run)


def test_steps_in_a_call(bench: Bench) -> None:
    run = bench.run("steps", n=12)
    is_whole(bench, run)
    assert Counter(a.task for a in run.actions) == {"e.steps": 1, "one.stepped": 12, "step": 12}
    assert {a.parent for a in run.actions if a.task == "step"} == {a.id for a in run.actions if a.task == "one.stepped"}


# --- what is printed ---


@pytest.mark.parametrize("how", ["print", "err", "log", "native", "process"])
def test_what_is_printed_belongs_to_the_call(bench: Bench, how: str) -> None:
    run = bench.run("speaks", n=12, how=how)
    assert run.logs() == "".join(f"n {n}\n" for n in range(12))
    assert over_lines(run)
    printed = [(e.action.id, e.text) for e in bench.events if e.stream]
    calls = sorted(run.actions[1:], key=lambda action: action.started)
    assert [text for _, text in printed] == [f"n {n}\n" for n in range(12)]
    assert [action for action, _ in printed] == [action.id for action in calls]
    is_whole(bench, run)


def test_printed_after_the_call(bench: Bench) -> None:
    is_whole(bench, bench.run("lates", n=8))


# --- failures ---


def test_a_call_that_fails(bench: Bench) -> None:
    run = bench.run("failing", n=20)
    assert run.outputs()[0] == [f"LookupError no {n} True" for n in range(1, 20, 2)]
    failed = [a for a in run.actions if a.phase is Phase.FAILED]
    assert [a.error for a in failed] == [f"LookupError: no {n}" for n in range(1, 20, 2)]
    assert len(over_lines(run)) > 10
    assert len({action.id.split("-")[0] for action in over_lines(run)}) == 1
    printed = {e.action.id: e.text for e in bench.events if e.stream == "stdout"}
    assert printed == {a.id: f"about to fail {a.error.split()[-1]}\n" for a in failed}
    is_whole(bench, run)


@pytest.mark.parametrize("task", ["dying", "dying_alone"])
@pytest.mark.parametrize(
    ("how", "said"), [("exit", "exit code 3"), ("kill", "SIGKILL"), ("segfault", "SIGSEGV (a segmentation fault")]
)
def test_a_worker_that_dies(bench: Bench, tmp_path: Path, task: str, how: str, said: str) -> None:
    run = bench.run(task, n=40, how=how, path=str(tmp_path / "done"))
    found = run.outputs()[0][-40:]
    assert said in found.pop(7)
    assert found == [str(n) for n in range(40) if n != 7]
    done = (tmp_path / "done").read_text().split()
    assert Counter(done) == Counter(map(str, [*range(40), *range(100, 110)]))
    is_whole(bench, run)
    assert Counter(a.phase for a in run.actions) == {Phase.SUCCEEDED: 50, Phase.FAILED: 1}


# --- once, and nobody starves ---


def test_each_call_is_carried_out_once(bench: Bench, tmp_path: Path) -> None:
    async def several() -> list[Run]:
        path = str(tmp_path / "done")
        return await asyncio.gather(*(bench.arun("counts", start=s * 1000, n=150, path=path) for s in range(3)))

    runs = bench.do(several())
    assert [run.outputs() for run in runs] == [(list(range(s * 1000, s * 1000 + 150)),) for s in range(3)]
    done = Counter((tmp_path / "done").read_text().split())
    assert done == Counter(str(s * 1000 + x) for s in range(3) for x in range(150))
    for run in runs:
        is_whole(bench, run)
        assert len(run.actions) == 151


def test_several_that_want_the_same_worker(bench: Bench) -> None:
    warm = Policy(environment="one", reusable=ReusePolicy((1, 1)))
    whole = Policy(resources=Resources(cpu=os.cpu_count()))

    async def several() -> list[Run]:
        return await asyncio.gather(
            bench.arun("loops", n=100),
            bench.arun("alternates", n=50),
            *(bench.arun("one.same", x=1, policy=warm) for _ in range(10)),
            *(bench.arun("again", n=5, policy=whole) for _ in range(3)),
        )

    runs = bench.do(several())
    assert {run.phase for run in runs} == {Phase.SUCCEEDED}
    for run in runs:
        is_whole(bench, run)


# --- nobody waits for ever ---


def test_pools_that_call_each_other(bench: Bench) -> None:
    run = bench.run("rounds", n=6, depth=5)
    assert run.outputs() == ([6] * 6,)
    is_whole(bench, run)


def test_calls_that_call_over_lines_of_their_own(bench: Bench) -> None:
    run = bench.run("nested", n=10)
    assert run.outputs() == ([28] * 10,)
    assert len(run.actions) == 91
    assert len({action.parent for action in over_lines(run)}) > 2
    is_whole(bench, run)


# --- ends ---


def test_a_parent_that_ends_before_its_call(bench: Bench) -> None:
    run = bench.run("long_in_thread")
    assert run.phase is Phase.SUCCEEDED
    is_whole(bench, run)
    assert [a.phase for a in run.actions if a.task == "one.waits"] == [Phase.SUCCEEDED, Phase.ABORTED]
    assert bench.run("again", n=10).phase is Phase.SUCCEEDED


def test_a_child_that_a_call_leaves_behind(bench: Bench) -> None:
    run = bench.run("leaves", n=10)
    assert run.phase is Phase.SUCCEEDED
    is_whole(bench, run)
    assert [a.phase for a in run.actions if a.task == "two.naps"] == [Phase.ABORTED] * 2


@pytest.mark.parametrize("twice", [False, True])
def test_a_parent_that_is_cancelled(bench: Bench, twice: bool) -> None:
    async def cancelled() -> None:
        run = asyncio.create_task(bench.arun("long", seconds=30.0))
        await in_hand(bench)
        run.cancel()
        if twice:
            await asyncio.sleep(0.02)
            run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    bench.do(cancelled())
    everything_is_given_back(bench)
    kept = bench.store.runs()[0]
    assert kept.phase is Phase.ABORTED
    assert all(action.phase.is_terminal for action in bench.store.run(kept.name).actions)
    assert Counter(a.task for a in bench.store.run(kept.name).actions) == {"e.long": 1, "one.same": 10, "one.waits": 2}
    assert bench.run("again", n=10).phase is Phase.SUCCEEDED


def test_a_parent_that_is_killed(bench: Bench) -> None:
    async def killed() -> Run:
        run = asyncio.create_task(bench.arun("long", seconds=30.0))
        await in_hand(bench)
        for replica in list(bench.engine.pool._alive):
            if not any(replica in warm._all for warm in bench.engine.pool._warm.values()):
                os.kill(replica.pid, signal.SIGKILL)
        return await run

    run = bench.do(killed())
    assert "SIGKILL" in str(run.error)
    is_whole(bench, run)
    assert bench.run("again", n=10).phase is Phase.SUCCEEDED


# --- long calls ---


def test_a_long_call_is_shown_and_keeps_no_line(bench: Bench) -> None:
    async def seen() -> Run:
        run = asyncio.create_task(bench.arun("long", seconds=1.5))
        await in_hand(bench)
        done = {e.action.id for e in bench.events if e.action.task == "one.same" and e.action.phase.is_terminal}
        assert len(done) == 10
        await asyncio.sleep(0.7)
        assert not any(c.is_open for c in bench.engine._exchange._connections.values())
        return await run

    run = bench.do(seen())
    is_whole(bench, run)


def test_a_worker_idles_after_its_line(bench: Bench) -> None:
    bench.run("again", n=10)
    (replicas,) = bench.engine.pool._warm.values()
    assert soon(lambda: list(replicas._idle_since) == replicas._all)


# --- what goes over ---


@pytest.mark.parametrize(
    ("n", "inwards", "outwards"),
    [(30, 100_000, 500_000), (30, 500_000, 100_000), (12, 1 << 20, 1 << 20), (3, 1 << 26, 1 << 26)],
)
def test_large_values(bench: Bench, n: int, inwards: int, outwards: int) -> None:
    run = bench.run("sizes", n=n, inwards=inwards, outwards=outwards)
    assert run.outputs() == (n,)
    is_whole(bench, run)


def test_several_threads(bench: Bench) -> None:
    run = bench.run("threads", n=25)
    assert run.outputs() == ([[p * 1000 + x for x in range(25)] for p in range(4)],)
    is_whole(bench, run)


def test_who_gives_up_mixes_no_answers_up(bench: Bench) -> None:
    run = bench.run("impatient")
    assert run.outputs() == (list(range(10)),)
    is_whole(bench, run)


def test_kinds_of_inputs(bench: Bench) -> None:
    found = bench.run("kinds", n=12).outputs()[0]
    assert found[:12] == [[x, 2, 7, 8] if x % 2 else [x, 3, 5, 6] for x in range(12)]
    assert found[12:] == [[len("RuntimeDataValidationError")]]


def test_async_callees(bench: Bench) -> None:
    run = bench.run("asyncs", n=12)
    assert run.outputs() == (list(range(12)),)
    assert over_lines(run)


def test_a_fork_that_holds_a_line(bench: Bench) -> None:
    run = bench.run("forks", n=10)
    assert run.outputs() == (10,)
    everything_is_given_back(bench)  # the child's copy of the caller's end keeps no worker
