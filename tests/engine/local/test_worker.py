"""What a task can do to its process, and what is told about it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.base import Phase, Run
from flyte_nb.errors import RuntimeDataValidationError, RuntimeUserError, TaskProcessError

from scripts import Bench, is_gone, soon

TASKS = '''
import asyncio, collections, ctypes, os, signal, subprocess, sys, threading, time
from typing import Any, NamedTuple
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")
painted = flyte.TaskEnvironment(name="painted", env_vars={"COLOUR": "red"})

class Point(NamedTuple):
    x: int
    y: int

class Own(Exception):
    """An error of the script."""

class Stubborn(Exception):
    """An error that does not pickle."""
    def __init__(self, a, b):
        super().__init__("stubborn")
        self.lock = threading.Lock()

class Mute(Exception):
    """An error that cannot say what it is."""
    def __str__(self):
        raise RuntimeError("no words")

class Half:
    """Pickles, and does not come back."""
    def __reduce__(self):
        return (ord, ("too long",))

@env.task
def double(x: int) -> int:
    return 2 * x

@env.task
async def adouble(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x

@env.task
def nothing() -> None:
    return None

@env.task
def corners() -> Point:
    return Point(1, 2)

@env.task
def several() -> tuple[int, str]:
    return 1, "one"

@env.task
def boom(kind: str) -> int:
    if kind == "own":
        raise Own("mine")
    if kind == "stubborn":
        raise Stubborn(1, 2)
    if kind == "mute":
        raise Mute()
    if kind == "group":
        raise KeyboardInterrupt()
    return deeper()

def deeper():
    return 1 // 0

@env.task
def end(how: str) -> int:
    print("before the end")
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sys.exit":
        sys.exit(4)
    if how == "exit with a child":
        subprocess.Popen(["sleep", "60"])
        os._exit(3)
    if how == "exit with a forked child":
        if os.fork() == 0:
            time.sleep(60)
        os._exit(3)
    return 1

@env.task
def talk() -> int:
    print("out 1")
    print("err 1", file=sys.stderr)
    subprocess.run(["sh", "-c", "printf 'from a child\\\\n'; printf 'and its errors' >&2"], check=True)
    os.write(1, b"raw \\xc3")
    os.write(1, b"\\xa9 bytes \\xff\\n")
    print("no newline at the end", end="")
    return 1

@env.task
def flood(lines: int) -> int:
    for n in range(lines):
        print(f"{n:07d} {'x' * 90}")
    return lines

@env.task
def bar() -> int:
    for n in range(3):
        print(f"\\r{n}", end="")
    print("\\r\\ndone")
    return 1

@env.task
def slowly() -> int:
    print("started", os.getpid())
    time.sleep(60)
    return 1

@env.task
def colour() -> str:
    return os.environ.get("COLOUR", "none")

@painted.task
def colour_of_painted() -> str:
    return os.environ.get("COLOUR", "none")

@painted.task
async def acolour_of_painted() -> str:
    return os.environ.get("COLOUR", "none")

@env.task
def unpicklable() -> Any:
    return threading.Lock()

@env.task
def half() -> Any:
    return Half()

@env.task
def lies() -> int:
    return "not a number"

@env.task
def too_few() -> tuple[int, int]:
    return (1,)

@env.task
def unasked():
    return 3

@env.task
def own_class() -> Any:
    return Own("as a value")

@env.task
def a_function() -> Any:
    n = 3
    return lambda x: x + n

@env.task
def large(n: int) -> Any:
    import pickle
    return pickle.PickleBuffer(bytearray(n))

@env.task
def grandchild(detached: bool) -> int:
    child = subprocess.Popen(["sleep", "60"], start_new_session=detached)
    return child.pid

@env.task
def thread_left() -> int:
    threading.Thread(target=time.sleep, args=(60,)).start()
    return 1

@env.task
def asks() -> str:
    return input("name? ")

@env.task
def closes() -> int:
    print("still said")
    sys.stdout.close()
    sys.stderr = None
    return 1

@env.task
def cleans() -> int:
    import atexit
    atexit.register(print, "cleaned up")
    return 1

# children

@env.task
def parent(x: int) -> int:
    return double(x) + double(x=x) + 1

@env.task
async def aparent(n: int) -> list[int]:
    return list(await asyncio.gather(*(adouble(i) for i in range(n)))) + [await double.aio(100), await double.aio(200)]

@env.task
def parent_of_failing(kind: str) -> str:
    try:
        return str(boom(kind))
    except Exception as error:
        return f"{type(error).__name__}|{error.code}|{error}|{type(error.__cause__).__name__}"

@env.task
async def aparent_of_failing() -> str:
    made = await asyncio.gather(boom.aio("own"), adouble(1), end.aio("exit"), return_exceptions=True)
    return "|".join(type(m).__name__ for m in made)

@env.task
def passes_failure_on() -> int:
    return boom("deep")

@env.task
def colours() -> list[str]:
    return [colour(), colour_of_painted(), asyncio.run(acolour_of_painted())]

@env.task
def local_child() -> int:
    @env.task
    def inner(x: int) -> int:
        return x + 1
    return inner(1) + double(10)

@env.task
def unpicklable_input() -> str:
    try:
        return str(takes_any(threading.Lock()))
    except TypeError as error:
        return f"TypeError: {error}"

@env.task
def takes_any(value: Any) -> int:
    return 1

@env.task
def wrong_input() -> int:
    return double(x="three")

@env.task
async def leaves_a_child() -> int:
    left = asyncio.ensure_future(aslow())
    await asyncio.sleep(1)
    return 1

@env.task
async def aslow() -> int:
    print("child", os.getpid())
    await asyncio.sleep(60)
    return 1

@env.task
def waits_for_child() -> int:
    print("parent", os.getpid())
    return slowly()
'''


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("worker"), TASKS)
    yield bench
    bench.close()


def failed(run: Run, kind: type[RuntimeUserError] = RuntimeUserError) -> RuntimeUserError:
    assert run.phase is Phase.FAILED
    assert type(run.error) is kind, run.error
    assert isinstance(run.error, RuntimeUserError)
    return run.error


def frames_of(bench: Bench, error: RuntimeUserError) -> list[str]:
    lines = bench.file.read_text().splitlines()
    told = error.remote_traceback.splitlines()
    assert "flyte_nb/" not in error.remote_traceback.replace(str(bench.file), "")
    for place, code in zip(told[::2], told[1::2], strict=True):
        file, _, rest = place.strip().partition(", line ")
        assert file == str(bench.file)
        assert lines[int(rest.partition(",")[0]) - 1].strip() == code.strip()
    return [code.strip() for code in told[1::2]]


def test_result(bench: Bench) -> None:
    run = bench.run("double", x=21)
    assert (run.phase, run.outputs(), run.outputs().o0) == (Phase.SUCCEEDED, (42,), 42)
    assert bench.run("adouble", x=4).outputs() == (8,)
    assert bench.run("nothing").outputs() == (None,)


def test_several_results(bench: Bench) -> None:
    assert bench.run("several").outputs().named_outputs == {"o0": 1, "o1": "one"}
    assert bench.run("corners").outputs().named_outputs == {"x": 1, "y": 2}


def test_exception_has_its_own_frames(bench: Bench) -> None:
    error = failed(bench.run("boom", kind="deep"))
    assert (error.code, str(error)) == ("ZeroDivisionError", "integer division or modulo by zero")
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert frames_of(bench, error) == ["return deeper()", "return 1 // 0"]
    assert "return 1 // 0" in str(error.__cause__.__cause__)


@pytest.mark.parametrize(
    ("kind", "code"), [("own", "Own"), ("stubborn", "Stubborn"), ("mute", "Mute"), ("group", "KeyboardInterrupt")]
)
def test_exceptions_that_do_not_travel_are_told(bench: Bench, kind: str, code: str) -> None:
    error = failed(bench.run("boom", kind=kind))
    assert error.code == code
    assert str(error)
    assert frames_of(bench, error)[-1].startswith("raise ")


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("exit", 3, "exit code 3"),
        ("segfault", -signal.SIGSEGV, "SIGSEGV (a segmentation fault"),
        ("kill", -signal.SIGKILL, "SIGKILL (killed"),
        ("exit with a child", 3, "exit code 3"),
        ("exit with a forked child", 3, "exit code 3"),
    ],
)
def test_process_that_ends_before_its_task(bench: Bench, how: str, code: int, words: str) -> None:
    error = failed(bench.run("end", how=how, timeout=10), TaskProcessError)
    assert isinstance(error, TaskProcessError)
    assert error.exit_code == code
    assert words in str(error)
    assert "before the end\n" in bench.printed()


def test_sys_exit_ends_the_task_only(bench: Bench) -> None:
    error = failed(bench.run("end", how="sys.exit"))
    assert (error.code, str(error)) == ("SystemExit", "the task called sys.exit(4)")


def test_output_is_complete_and_in_order(bench: Bench) -> None:
    run = bench.run("talk")
    assert bench.printed() == "out 1\nfrom a child\nraw é bytes �\nno newline at the end"
    assert bench.printed("stderr") == "err 1\nand its errors"
    assert sorted(run.logs()) == sorted(bench.printed() + bench.printed("stderr"))


def test_much_output_is_complete(bench: Bench) -> None:
    run = bench.run("flood", lines=30_000)
    lines = run.logs().splitlines()
    assert len(lines) == 30_000
    assert lines == bench.printed().splitlines()
    assert lines[-1].startswith("0029999 ")


def test_carriage_returns_are_kept(bench: Bench) -> None:
    assert bench.run("bar").logs() == bench.printed() == "\r0\r1\r2\r\ndone\n"


def test_output_is_live(bench: Bench) -> None:
    async def first_words() -> None:
        run = asyncio.create_task(bench.arun("slowly"))
        while "started" not in bench.printed():
            await asyncio.sleep(0.02)
        assert not run.done()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    bench.events.clear()
    bench.do(first_words(), 20)
    assert is_gone(int(bench.printed().split()[1]))


def test_result_that_does_not_pickle(bench: Bench) -> None:
    error = failed(bench.run("unpicklable"))
    assert "cannot pickle" in str(error)
    assert "what e.unpicklable returned" in str(error)


def test_result_that_cannot_be_read(bench: Bench) -> None:
    run = bench.run("half")
    assert run.error is not None
    assert run.error.code == "ResultUnreadable"
    with pytest.raises(RuntimeUserError, match="cannot be read here"):
        run.outputs()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("lies", "output o0 of e.lies: given 'not a number' of type str; accepted: int"),
        ("too_few", "outputs of e.too_few: given (1,); accepted: a tuple of 2"),
        ("unasked", "output of e.unasked: given 3; accepted: None"),
    ],
)
def test_wrong_return_type(bench: Bench, task: str, words: str) -> None:
    error = failed(bench.run(task), RuntimeDataValidationError)
    assert words in str(error)


def test_function_and_large_buffer_come_back(bench: Bench) -> None:
    assert bench.run("a_function").outputs()[0](4) == 7
    assert len(bytes(bench.run("large", n=40_000_000).outputs()[0])) == 40_000_000


def test_env_vars_are_set_there_only(bench: Bench) -> None:
    import os

    assert bench.run("colour", env_vars={"COLOUR": "blue"}).outputs() == ("blue",)
    assert "COLOUR" not in os.environ
    assert bench.run("colour").outputs() == ("none",)


def test_grandchild_is_gone_after_the_run(bench: Bench) -> None:
    run = bench.run("grandchild", detached=False, timeout=10)
    assert soon(lambda: is_gone(run.outputs()[0]))
    assert run.root.duration is not None
    assert run.root.duration.total_seconds() < 1.9


def test_detached_grandchild_does_not_hold_the_run_and_is_gone_after_it(bench: Bench) -> None:
    run = bench.run("grandchild", detached=True, timeout=10)
    assert soon(lambda: is_gone(run.outputs()[0]))


def test_thread_left_running_does_not_hold_the_run(bench: Bench) -> None:
    assert bench.run("thread_left", timeout=10).outputs() == (1,)


def test_no_input_is_an_error(bench: Bench) -> None:
    assert failed(bench.run("asks")).code == "EOFError"


def test_streams_that_the_task_closes(bench: Bench) -> None:
    assert bench.run("closes").outputs() == (1,)
    assert bench.printed() == "still said\n"


def test_output_at_exit_is_kept(bench: Bench) -> None:
    assert "cleaned up" in bench.run("cleans").logs()


# --- tasks that tasks call ---


def test_child_tasks(bench: Bench) -> None:
    run = bench.run("parent", x=3)
    assert run.outputs() == (13,)
    assert [(a.task, a.parent, a.phase.value) for a in run.actions] == [
        ("e.parent", None, "succeeded"),
        ("e.double", "a0", "succeeded"),
        ("e.double", "a0", "succeeded"),
    ]


def test_gathered_child_tasks(bench: Bench) -> None:
    run = bench.run("aparent", n=3)
    assert run.outputs() == ([0, 2, 4, 200, 400],)
    assert len(run.actions) == 6


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("own", "RuntimeUserError|Own|mine|Own"),
        ("deep", "RuntimeUserError|ZeroDivisionError|integer division or modulo by zero|ZeroDivisionError"),
        ("stubborn", "RuntimeUserError|Stubborn|stubborn|NoneType"),
    ],
)
def test_failure_of_a_child_is_caught_by_its_parent(bench: Bench, kind: str, told: str) -> None:
    run = bench.run("parent_of_failing", kind=kind)
    assert run.outputs()[0] == told
    assert [a.phase.value for a in run.actions] == ["succeeded", "failed"]


def test_failures_among_gathered_children(bench: Bench) -> None:
    assert bench.run("aparent_of_failing").outputs() == ("RuntimeUserError|int|TaskProcessError",)


def test_failure_of_a_child_fails_its_parent(bench: Bench) -> None:
    run = bench.run("passes_failure_on")
    error = failed(run)
    assert error.code == "ZeroDivisionError"
    assert frames_of(bench, error) == ['return boom("deep")', "return deeper()", "return 1 // 0"]
    assert [a.phase.value for a in run.actions] == ["failed", "failed"]


def test_children_have_their_own_env_vars(bench: Bench) -> None:
    assert bench.run("colours", env_vars={"COLOUR": "blue"}).outputs() == (["none", "red", "red"],)


def test_child_defined_inside_its_parent(bench: Bench) -> None:
    assert bench.run("local_child").outputs() == (22,)


def test_inputs_that_a_child_does_not_take(bench: Bench) -> None:
    assert bench.run("unpicklable_input").outputs()[0].startswith("TypeError: cannot pickle")
    error = failed(bench.run("wrong_input"), RuntimeDataValidationError)
    assert "input 'x' of e.double: given 'three' of type str; accepted: int" in str(error)


def test_child_that_nobody_waits_for_ends_with_its_parent(bench: Bench) -> None:
    run = bench.run("leaves_a_child", timeout=10)
    assert run.outputs() == (1,)
    assert [a.phase.value for a in run.actions] == ["succeeded", "aborted"]
    assert is_gone(int(bench.printed().split()[1]))


def test_cancelled_parent_takes_its_child_along(bench: Bench) -> None:
    async def cancelled() -> None:
        run = asyncio.create_task(bench.arun("waits_for_child"))
        while "started" not in bench.printed():
            await asyncio.sleep(0.02)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        for word in bench.printed().split():
            assert not word.isdigit() or is_gone(int(word))

    bench.events.clear()
    bench.do(cancelled(), 20)
    assert {e.action.id: e.action.phase for e in bench.events} == {"a0": Phase.ABORTED, "a1": Phase.ABORTED}


def test_file_that_does_not_load(bench: Bench, tmp_path: Path) -> None:
    broken = Bench(tmp_path, "import flyte_nb\nprint('loading')\nraise LookupError('at the top')\n")
    error = failed(broken.run("any"))
    assert (error.code, str(error)) == ("LookupError", "at the top")
    assert frames_of(broken, error) == ["raise LookupError('at the top')"]
    assert broken.printed() == "loading\n"
    broken.file.unlink()
    assert failed(broken.run("any")).code == "FileNotFoundError"
    broken.close()


def test_task_that_the_file_lacks(bench: Bench) -> None:
    error = failed(bench.run("dobule", x=1))
    assert error.code == "UnknownNameError"
    assert "no task named 'e.dobule'; did you mean 'e.double'" in str(error)
