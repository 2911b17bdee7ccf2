"""Worker: what runs in a replica's process — the start-up hook, then the server, then the shutdown hook, always.

The main thread does that. Another one listens to the engine: it asks the main thread to stop with SIGTERM, as anybody
may, and when the server does not heed that in time it calls the shutdown hook itself and ends the process. When the
engine is gone it does the same, in less time; what is printed goes nowhere then.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from flyte_nb.engine.definition import module_of
from flyte_nb.engine.local.apps.command import CommandEnded, Program
from flyte_nb.engine.local.apps.waiting import LAST_SERVER, LAST_SHUTDOWN
from flyte_nb.engine.local.execution import failure
from flyte_nb.engine.local.link import Link, end_group
from flyte_nb.engine.local.printing import flush
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.delayed_values import io_kind
from flyte_nb.errors import UnknownNameError

__all__ = ["find_app", "serve_app"]

FAILED, STUCK = 1, 70


class Stopped(BaseException):
    """The app was asked to stop."""


def serve_app(link: Link, head: dict[str, Any]) -> int:
    """Serve the app that a ``serve`` frame names, until it ends or is asked to; give the process's exit code.

    Parameters
    ----------
    link : Link
        The engine.
    head : dict
        ``app``, ``module``, ``command`` (empty where a function serves), ``port``, ``used``, ``parameters`` (by name)
        and ``limits``: seconds for the ``server`` and the ``shutdown`` hook to end.
    """
    try:
        app = find_app(head["module"], head["app"]) if head["declared"] else None
    except Exception as error:
        flush()
        link.send({"op": "app", "state": "failed", "stage": "load", **failure(error)})
        return FAILED
    return Life(link, head, app).run()


def find_app(module: str, name: str) -> AppEnvironment:
    """Give the app of a name that a module holds.

    Raises
    ------
    UnknownNameError
        When it holds none.
    """
    found = {v.name: v for v in list(vars(module_of(module)).values()) if isinstance(v, AppEnvironment)}
    if name not in found:
        raise UnknownNameError("app", name, found)
    return found[name]


class Life:
    """The life of one app in this process."""

    def __init__(self, link: Link, head: dict[str, Any], app: AppEnvironment | None) -> None:
        self._link, self._head, self._app = link, head, app
        self._parameters: dict[str, str] = head["parameters"]
        self._server_limit, self._shutdown_limit = head["limits"]["server"], head["limits"]["shutdown"]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._program: Program | None = None
        self._server_over = threading.Event()
        self._is_asked = False
        self._ending = threading.Lock()
        self._stage = "on_startup"

    def run(self) -> int:
        """Live."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._link.gone = self._lose_engine
        threading.Thread(target=self._listen, name="flyte-nb-app", daemon=True).start()
        code = 0
        try:
            self._call("_on_startup")
            self._stage = "server"
            self._serve()
            self._server_over.set()  # from here on nobody interrupts
            self._tell("ended")
        except Stopped:
            pass
        except BaseException as error:  # what a stranger's server raises, sys.exit too
            self._server_over.set()
            code = self._fail(error)
        finally:
            self._server_over.set()
            self._shut_down()
        self._tell("over")
        return code

    def _serve(self) -> None:
        if not self._head["command"]:
            self._tell("serving")
            self._call("_server")
            return
        program = self._program = Program(self._head["command"], self._head["port"], self._head["used"])
        self._tell("serving", process=program.start())
        try:
            program.wait()
        except Stopped:
            program.end(self._server_limit)
            raise

    def _call(self, hook: str) -> None:
        """Call a hook with the parameters it has arguments for; await it in the app's one event loop."""
        function = getattr(self._app, hook, None)
        if function is None:
            return
        value = function(**arguments(function, self._parameters))
        if inspect.isawaitable(value):
            self._await(value)

    def _await(self, value: Any) -> None:
        async def waited() -> None:
            await value

        loop = self._loop = self._loop or asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._task = loop.create_task(waited())
        try:
            loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            raise Stopped from None
        finally:
            self._task = None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Hear SIGTERM: cancel what is awaited, or leave what runs."""
        if self._server_over.is_set() or self._is_asked:
            return
        self._is_asked = True  # what it does to end is not to be broken off by another signal
        if self._task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            return
        raise Stopped

    def _fail(self, error: BaseException) -> int:
        told = failure(error)
        if isinstance(error, CommandEnded):
            told = {**told, "message": str(error), "exit_code": error.code}
        if isinstance(error, SystemExit):
            told = {**told, "message": f"it called sys.exit({error.code!r})", "exit_code": error.code or 0}
        self._tell("failed", stage=self._stage, **told)
        return FAILED

    def _shut_down(self) -> None:
        """Call the shutdown hook, once, and not for ever."""
        with self._ending:
            if self._stage == "over":
                return
            self._stage = "over"
            self._tell("stopping")
            watch = threading.Timer(self._shutdown_limit, self._give_up)
            watch.daemon = True
            watch.start()
            try:
                self._call("_on_shutdown")
            except BaseException as error:
                self._tell("failed", stage="on_shutdown", **failure(error))
            finally:
                watch.cancel()

    def _give_up(self) -> None:
        self._tell("stuck", stage="on_shutdown", limit=self._shutdown_limit)
        flush()
        end_group()

    def _tell(self, state: str, **more: Any) -> None:
        flush()
        try:
            self._link.send({"op": "app", "state": state, **more})
        except OSError:  # the engine is gone, which the other thread hears
            silence()

    # --- the thread that listens ---

    def _listen(self) -> None:
        while True:
            head, _ = self._link.next_request()
            if head["op"] == "stop":
                self._server_limit, self._shutdown_limit = head["server"], head["shutdown"]
                self._end()

    def _lose_engine(self) -> None:
        """Hear that the engine is gone: nobody shall wait long."""
        silence()
        self._server_limit, self._shutdown_limit = LAST_SERVER, LAST_SHUTDOWN
        self._end()
        threading.Event().wait(LAST_SHUTDOWN)
        end_group()

    def _end(self) -> None:
        """Ask the main thread to stop; where it does not, do in this thread what is left to do."""
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGTERM)
        if self._server_over.wait(self._server_limit):
            return
        self._tell("stuck", stage="server", limit=self._server_limit)
        self._loop = None  # the main thread's runs still
        self._server_over.set()
        self._shut_down()
        self._tell("over")
        flush()
        os._exit(STUCK)


def silence() -> None:
    """Let what is printed go nowhere: whoever read it is gone, and a hook that prints is to be called to its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def arguments(function: Callable[..., Any], parameters: dict[str, str]) -> dict[str, Any]:
    """Give those of an app's parameters that a hook has arguments for: all of them to ``**kw``.

    They are text; an argument that is annotated as a File or a Dir gets one.
    """
    taken = _signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    return {
        name: _as(taken[name].annotation if name in taken else str, value)
        for name, value in parameters.items()
        if name in taken or takes_all
    }


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # an annotation may name what is not there
        return inspect.signature(function)


def _as(annotation: Any, value: str) -> Any:
    if isinstance(annotation, type) and io_kind(annotation) is not None:
        return annotation(path=value)
    return value
