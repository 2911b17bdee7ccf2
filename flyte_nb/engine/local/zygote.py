"""The zygote: a warm, clean process that forks the workers, so that starting one costs milliseconds.

It has imported what every worker needs and nothing of the user's, and it runs one thread. Over its socket it is asked
to start workers, each with the file descriptors it shall have, and tells when one has ended. It is their parent: they
end with it, and it ends with its engine, however that ends: at once, but for those that were given some seconds to end
by themselves.

On Linux a process that loses its parent becomes a child of its worker, and then, as the worker ends, of the zygote,
which ends it: so a task leaves nothing behind, whatever sessions and groups its processes have made of themselves.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

from flyte_nb.engine.local.worker import serve
from flyte_nb.environments.base import listen
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.task import TaskEnvironment

__all__ = ["main"]

FDS = 3  # link, stdout, stderr
#: what starts a Python as one worker
ALONE = "import sys; sys.path[:] = sys.argv[2:]; from flyte_nb.engine.local.worker import main; main()"
#: variables that a process reads only when it starts, by their beginnings
AT_START = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "ASAN_", "UBSAN_")
LAST = 5.0  # seconds for all that is left to end
_DEATH_SIGNAL, _SUBREAPER = 1, 36  # options of Linux's prctl


def main() -> None:
    """Serve one engine until it is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    die_with_parent(signal.SIGTERM)
    adopt()
    warm_up()
    graces: dict[int, float] = {}
    try:
        _serve(control, graces)
    finally:
        end_all(graces)


def _serve(control: socket.socket, graces: dict[int, float]) -> None:
    """Start workers and tell of their ends, until the engine has gone; note the seconds that each has then."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    for heard in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(heard, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the engine, which ends what it started
    _tell(control, {"op": "warm"})
    started: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            if signal.SIGTERM in os.read(woken, 4096):
                return
            for pid, code in ended():
                graces.pop(pid, None)
                if pid in started:
                    _tell(control, {"op": "ended", "number": started.pop(pid), "code": code})
            kill(children().difference(started))
        if control.fileno() in ready and not _start_one(control, (woken, wakes), started, graces):
            return


def warm_up() -> None:
    """Declare once what workers will declare, so that no worker pays for what it loads."""
    listen(None)
    resources = Resources(cpu=1, memory="1Gi")
    env = TaskEnvironment(name="warm-up", resources=resources, reusable=ReusePolicy((1, 2)))

    @env.task
    async def task(x: int) -> int:
        return x

    asyncio.run(task.forward(1))
    gc.collect()
    gc.freeze()


def _start_one(
    control: socket.socket, mine: tuple[int, int], started: dict[int, int], graces: dict[int, float]
) -> bool:
    """Start the worker that is asked for; False when the engine has gone."""
    data, fds = _receive(control)
    if not data:
        return False
    asked = json.loads(data)
    pid = os.fork()
    if pid == 0:
        for fd in (control.fileno(), *mine):
            os.close(fd)
        control.detach()
        _become_worker(asked, fds)
    for fd in fds:
        os.close(fd)
    started[pid], graces[pid] = asked["number"], asked["grace"]
    _tell(control, {"op": "started", "number": asked["number"], "pid": pid})
    return True


def _become_worker(asked: dict[str, Any], fds: list[int]) -> NoReturn:
    """Turn the fork into the worker; never returns."""
    link, out, err = fds
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        die_with_parent(signal.SIGKILL)
        adopt()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, fd in enumerate((nothing, out, err)):
            os.dup2(fd, target)
        for fd in (nothing, out, err):
            os.close(fd)
        with contextlib.suppress(OSError):  # the folder may be gone; the worker then stays where the zygote is
            os.chdir(asked["folder"])
        if changes_at_start(asked["env"]):
            os.set_inheritable(link, True)
            words = [sys.executable, "-c", ALONE, str(link), *asked["path"]]
            os.execve(sys.executable, words, asked["env"])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.path[:] = asked["path"]
        code = serve(link)
    except BaseException:
        traceback.print_exc()
    finally:
        _leave(code)


def _leave(code: int) -> NoReturn:
    """End this process as Python ends: threads waited for, ``atexit`` and the streams' buffers heeded."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):  # a task may have closed or replaced them
            stream.flush()
    os._exit(code)


def changes_at_start(env: dict[str, str]) -> bool:
    """Tell whether variables differ from this process's own that only a new program heeds."""
    names = {name for name in {*env, *os.environ} if name.startswith(AT_START)}
    return any(env.get(name) != os.environ.get(name) for name in names)


def ended() -> Iterator[tuple[int, int]]:
    """Give the children that have ended, with their exit codes (a signal's is negative)."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def die_with_parent(death: signal.Signals) -> None:
    """On Linux, ask the system to send this process a signal when the thread that started it is gone."""
    _prctl(_DEATH_SIGNAL, death)


def adopt() -> None:
    """On Linux, become the parent of all that this process's descendants leave behind as they end."""
    _prctl(_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value)


def children() -> set[int]:
    """Give the children of this process, which runs one thread; none where the system does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return set(map(int, file.read().split()))
    except OSError:
        return set()


def kill(numbers: set[int], with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to processes that are this one's children, so that no number can be another process's."""
    for number in numbers:
        with contextlib.suppress(OSError):
            os.kill(number, with_signal)


def end_all(graces: dict[int, float]) -> None:
    """Kill the workers, then whoever becomes this process's child by that, until there is none.

    Parameters
    ----------
    graces : dict of int to float
        The seconds that some have to end by themselves, as they are asked to.
    """
    began = time.monotonic()
    kill({pid for pid, grace in graces.items() if grace}, signal.SIGTERM)
    while (passed := time.monotonic() - began) < LAST:
        for pid, _ in ended():
            graces.pop(pid, None)
        left = children()
        if not left:
            return
        kill({pid for pid in left if graces.get(pid, 0.0) <= passed})
        time.sleep(0.001)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """Read one request: a size, and so many bytes; the descriptors come with the size."""
    try:
        size, fds, _, _ = socket.recv_fds(control, 4, FDS)
        left, data = int.from_bytes(size, "big"), b""
        while len(data) < left:
            more = control.recv(left - len(data))
            if not more:
                return b"", []
            data += more
    except ConnectionError:
        return b"", []
    return data, list(fds)


def _tell(control: socket.socket, told: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the engine is gone, as the next look at the socket says
        control.sendall(json.dumps(told).encode() + b"\n")
