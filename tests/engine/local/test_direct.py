"""Runs in the thread that asks for them: what they do and leave behind is what the engine's own would."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kernels import Kernel, new_kernel
from scripts import ran, soon, start, written

DECLARED = """
import asyncio, ctypes, os, pathlib, signal, subprocess, sys, threading, time

warm = flyte.TaskEnvironment("w", reusable=flyte.ReusePolicy((1, 1)))
other = flyte.TaskEnvironment("o", reusable=flyte.ReusePolicy((1, 1)))

@warm.task
def same(x: int) -> int:
    return x

@warm.task
def says(x: int, how: str) -> int:
    if how == "print":
        print("n", x)
    elif how == "native":
        os.write(1, f"n {x}\\n".encode())
    elif how == "process":
        subprocess.run(["echo", "n", str(x)])
    return x

@warm.task
def fails(x: int) -> int:
    print("about to fail")
    raise LookupError(f"no {x}")

@warm.task
def dies(how: str) -> int:
    os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else os._exit(3) if how == "exit" else ctypes.string_at(0)

@warm.task
def waits(seconds: float) -> int:
    print("begun")
    time.sleep(seconds)
    print("done")
    return os.getpid()

@warm.task
def place() -> list[str]:
    return [os.environ.get("COLOUR", ""), os.getcwd(), str("/tmp/extra" in sys.path)]

@other.task
def inner(x: int) -> int:
    return x

@warm.task
def outer(n: int) -> int:
    return sum(inner(x) for x in range(n))

@flyte.trace
def step(x: int) -> int:
    return x

@warm.task
def stepped(x: int) -> int:
    return step(x)

@warm.task
def forks() -> int:
    if not os.fork():
        os.setsid()
        time.sleep(30)
        os._exit(0)
    return 1

def quickly(n=8):
    for x in range(n):
        assert flyte.run(same, x=x).outputs()[0] == x

def line():
    from flyte_nb.session import current_session
    had = current_session().engine("local")._direct._had
    return had is not None and had.connection.is_open and had.line.is_open

def records():
    from flyte_nb.session import current_session
    return [current_session().store.run(run.name) for run in current_session().store.runs(500)]

def whole():
    found = records()
    assert all(a.phase.is_terminal and a.ended for run in found for a in run.actions), found
    return len(found)
"""
SCRIPT = "import flyte_nb as flyte\n" + DECLARED


def processes(folder: Path) -> list[psutil.Process]:
    """Give the processes that have their store in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("FLYTE_NB_HOME") == str(folder / ".flyte_nb") and process.status() != "zombie":
                found.append(process)
    return found


def prepared(kernel: Kernel) -> Kernel:
    """Declare the tasks in a kernel."""
    kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
    kernel.run(DECLARED)
    return kernel


@pytest.fixture(scope="module")
def one_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the tasks declared."""
    with new_kernel(tmp_path_factory.mktemp("direct")) as kernel:
        yield prepared(kernel)


@pytest.fixture
def declared(one_kernel: Kernel) -> Kernel:
    """The same kernel for all, with a line."""
    one_kernel.run("quickly(); assert line()")
    return one_kernel


def plain(text: str) -> str:
    """Give a traceback without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_many_runs_in_a_script(tmp_path: Path) -> None:
    script = written(
        tmp_path / "script.py",
        SCRIPT
        + """
if __name__ == "__main__":
    quickly(50)
    assert line() and whole() == 50
    for x in range(4):
        for how in ("print", "native", "process"):
            run = flyte.run(says, x=x, how=how)
            assert run.logs() == f"n {x}\\n", run.logs()
    assert line()
    for x in range(3):
        try:
            flyte.run(fails, x=x)
        except flyte.errors.RuntimeUserError as error:
            assert str(error) == f"no {x}" and isinstance(error.__cause__, LookupError), repr(error)
            assert "fails" in error.remote_traceback and error.run
    assert line()
    for x in range(5):
        assert flyte.run(outer, n=6).outputs() == (15,)
    runs = [run for run in records() if run.task == "w.outer"]
    assert [len(run.actions) for run in runs] == [7] * 5
    for x in range(5):
        assert flyte.run(stepped, x=x).outputs() == (x,)
    assert [len(run.actions) for run in records() if run.task == "w.stepped"] == [2] * 5
    whole()
""",
    )
    done = ran([str(script)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"n {x}\n" * 3 for x in range(4)) + "about to fail\n" * 3


def test_prints_in_a_kernel(declared: Kernel) -> None:
    for how in ("print", "native", "process"):
        shown = declared.run(f"for x in range(6): flyte.run(says, x=x, how={how!r})").printed
        assert re.findall(r"n \d", shown) == [f"n {x}" for x in range(6)], shown
    declared.run("assert line(); whole()")
    assert "w.says" in declared.run("%flyte runs").shown


def test_a_failure_is_shown_as_without_a_line(declared: Kernel) -> None:
    quick = plain(declared.run("flyte.run(fails, x=1)", fails=True).error)
    declared.run("assert line()")
    once = plain(declared.run("await flyte.run.aio(fails, x=1)", fails=True).error)
    name = re.compile(r"fails-\w+|In \[\d+\]|await |\.aio")
    assert name.sub("", quick) == name.sub("", once)
    assert "raise LookupError" in quick
    assert "RuntimeUserError (LookupError): no 1" in quick


@pytest.mark.parametrize(("how", "said"), [("kill", "SIGKILL"), ("exit", "exit code 3"), ("segfault", "SIGSEGV")])
def test_a_worker_that_dies(declared: Kernel, how: str, said: str) -> None:
    assert said in plain(declared.run(f"flyte.run(dies, how={how!r})", fails=True).error)
    declared.run("quickly(); whole()")


def test_a_run_that_takes_longer(declared: Kernel) -> None:
    ran = declared.run("flyte.run(waits, seconds=1.2)")
    assert re.findall("begun|done", ran.printed) == ["begun", "done"]
    declared.run("quickly(); assert line(); whole()")


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.6])
def test_an_interrupt(declared: Kernel, seconds: float) -> None:
    of_waits = "[run.phase.value for run in records() if run.task == 'w.waits']"
    before = len(literal_eval(declared.value(of_waits)))
    error = declared.run(
        f"threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start(); flyte.run(waits, seconds=30.0)",
        fails=True,
    )
    assert "KeyboardInterrupt" in plain(error.error)
    assert "at_once" not in plain(error.error)
    declared.run("quickly(); whole()")
    phases = literal_eval(declared.value(of_waits))
    if len(phases) > before:  # on a full machine it may come before the run's record does
        assert "what was running has been cancelled" in plain(error.error)
        assert phases[0] == "aborted"


def test_interrupts_at_any_time(declared: Kernel) -> None:
    """Whenever it comes: the next runs are right, and every record ends."""
    declared.run("""
        import random
        chance = random.Random(7)
        for _ in range(40):
            timer = threading.Timer(chance.random() * 0.008, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                while timer.is_alive():
                    assert flyte.run(same, x=5).outputs() == (5,)
                timer.join()
                time.sleep(0.001)
            except KeyboardInterrupt:
                pass
            quickly(4)
        whole()
    """)


def test_what_changes_between_runs_is_seen(declared: Kernel) -> None:
    declared.run("""
        here = os.getcwd()
        for _ in range(5): assert flyte.run(place).outputs()[0] == ["", here, "False"]
        assert line()
        os.environ["COLOUR"] = "red"
        for _ in range(5): assert flyte.run(place).outputs()[0] == ["red", here, "False"]
        assert line()
        os.mkdir("below")
        os.chdir("below")
        for _ in range(5): assert flyte.run(place).outputs()[0] == ["red", here + "/below", "False"]
        assert line()
        sys.path.insert(0, "/tmp/extra")
        for _ in range(5): assert flyte.run(place).outputs()[0] == ["red", here + "/below", "True"]
        assert line()
        os.chdir(here)
        os.environ.pop("COLOUR")
        sys.path.remove("/tmp/extra")
    """)


def test_a_changed_cell_is_used_at_once(declared: Kernel) -> None:
    for x in range(3):
        declared.run(f"@other.task\ndef changes(x: int) -> int:\n    return x + {x}")
        declared.run(f"for _ in range(6): assert flyte.run(changes, x=1).outputs() == ({x} + 1,)\nassert line()")


def test_a_changed_module_is_used_at_once(declared: Kernel) -> None:
    """As far as it is without a line."""
    folder = Path(declared.value("os.getcwd()").strip("'"))
    (folder / "helper.py").write_text("def helps():\n    return 1\n")
    declared.run("import helper, importlib\n@other.task\ndef helped() -> int:\n    return helper.helps()")
    declared.run("for _ in range(6): assert flyte.run(helped).outputs() == (1,)\nassert line()")
    (folder / "helper.py").write_text("def helps():\n    return 22\n")
    declared.run("importlib.reload(helper)")
    once = declared.run("print((await flyte.run.aio(helped)).outputs())").printed
    again = declared.run("for _ in range(6): run = flyte.run(helped)\nprint(run.outputs())").printed
    assert again == once


def test_threads_and_awaited_runs_between(declared: Kernel) -> None:
    declared.run("""
        found = []
        def work(start):
            for x in range(start, start + 30):
                found.append(flyte.run(same, x=x).outputs()[0] == x)
        threads = [threading.Thread(target=work, args=(n * 100,)) for n in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert found == [True] * 60
        for x in range(10):
            assert (await flyte.run.aio(same, x=x)).outputs() == (x,)
            assert flyte.run(same, x=x).outputs() == (x,)
            run = flyte.with_runcontext(wait=False).run(same, x=x)
            run.wait()
            assert run.outputs() == (x,)
        whole()
    """)


def test_runs_that_call_over_lines_of_their_own(declared: Kernel) -> None:
    declared.run("""
        for _ in range(8):
            assert flyte.run(outer, n=20).outputs() == (190,)
        runs = [run for run in records() if run.task == "w.outer"][:8]
        assert [len(run.actions) for run in runs] == [21] * 8
        assert any("-" in action.id for run in runs for action in run.actions)
        whole()
    """)


def test_a_fork_that_holds_the_lines_ends(declared: Kernel) -> None:
    """A child of the task that holds the worker's end, and outlives it in a session of its own."""
    declared.run("flyte.run(forks)\nfor _ in range(3): flyte.run(same, x=1)")
    assert "SIGKILL" in plain(declared.run("flyte.run(dies, how='kill')", fails=True).error)
    declared.run("quickly(); whole()")


@pytest.mark.parametrize("how", ["kill", "exit", "shut down"])
def test_nothing_is_left_of_a_kernel_with_a_line(bare_kernel: Kernel, tmp_path: Path, how: str) -> None:
    declared = prepared(bare_kernel)
    pid = int(declared.value("os.getpid()"))
    declared.run("quickly(); assert line()")
    if how == "kill":
        os.kill(pid, signal.SIGKILL)
    elif how == "exit":
        declared.client.kc.execute("import IPython; IPython.get_ipython().kernel.do_shutdown(False); exit()")
    else:
        declared.client.kc.shutdown(restart=False)
    assert soon(lambda: not processes(tmp_path), 6), processes(tmp_path)
    assert not list(Path("/dev/shm").glob(f"flyte-nb-*/{pid}-*"))


def test_a_script_killed_with_a_line(tmp_path: Path) -> None:
    script = written(
        tmp_path / "script.py",
        SCRIPT
        + 'if __name__ == "__main__":\n    quickly()\n    print("line", line(), flush=True)\n    time.sleep(60)\n',
    )
    with start([str(script)], tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "line True\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert soon(lambda: not any(w.is_running() and w.status() != "zombie" for w in workers)), workers
