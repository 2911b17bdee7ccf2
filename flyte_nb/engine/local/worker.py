"""The worker: a process of its own that loads a module as ``__main__`` and runs tasks of it.

Frames from the engine: ``load`` first, then ``call``, ``cancel``, ``result`` (of a child task), ``offer`` (a line to
call over), ``line`` (one to answer), ``serve`` (an app) and ``bye``. Frames to it: ``ready``, ``result``, ``call`` (a
child task), ``print``, ``step``, ``app``, and ``done`` and ``over`` of a line. Calls run one by one, each in the main
thread, or, where ``load`` says so, as many async tasks at a time as are sent. The worker listens to no declarations and
ends with whoever started it.
"""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import functools
import logging
import os
import sys
from pathlib import Path
from types import ModuleType

from flyte_nb.engine import codec
from flyte_nb.engine.definition import MAIN, loading
from flyte_nb.engine.local.answering import answer
from flyte_nb.engine.local.apps import port_mapping
from flyte_nb.engine.local.children import ChildRunner, current_call
from flyte_nb.engine.local.execution import Loop, execute, execute_async, failure, pickled
from flyte_nb.engine.local.link import Link
from flyte_nb.engine.local.printing import flush, print_over
from flyte_nb.engine.segments import Segments
from flyte_nb.environments import base

__all__ = ["main", "serve"]

_DECLARATIONS = os.path.dirname(os.path.abspath(base.__file__))


def main() -> None:
    """Serve one engine over the socket whose number is the first argument, in a process started for it."""
    sys.exit(serve(int(sys.argv[1])))


def serve(fd: int) -> int:
    """Serve one engine until it says ``bye`` or is gone; give the exit code of the process.

    Parameters
    ----------
    fd : int
        The file descriptor of a stream socket.
    """
    base.listen(None)
    port_mapping.install()
    logging.getLogger("flyte").addFilter(_is_news)
    faulthandler.enable()
    link = Link(fd)
    head, _ = link.next_request()
    link.segments = Segments(Path(head["segments_in"]))
    sys.argv[:] = [head["path"] or ""]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    loading.set()
    try:
        settle(head["folder"], head["inside"])
        load(None if head["path"] is None else Path(head["path"]), head["main"])
    except BaseException as error:  # the user's definitions may raise anything
        flush()
        link.send({"op": "ready", **failure(error)}, pickled(error))
        return 0
    loading.clear()
    link.send({"op": "ready"})
    if head["at_once"] > 1:
        asyncio.run(serve_at_once(link))
    else:
        return serve_one_by_one(link)
    return 0


def serve_one_by_one(link: Link) -> int:
    """Run calls one after the other, in this thread, or serve an app; give the exit code of the process."""
    runner, loop = ChildRunner(link), Loop()
    while (request := link.next_request())[0]["op"] != "bye":
        head, parts = request
        if head["op"] == "serve":
            from flyte_nb.engine.local.apps.worker import serve_app

            return serve_app(link, head)
        if head["op"] == "line":
            answer(link, head, link.received(), runner, loop)
            continue
        os.environ["FLYTE_ATTEMPT_NUMBER"] = str(head["context"]["attempt"])
        reply, encoded = contextvars.copy_context().run(execute, head, parts, runner, loop)
        flush()
        link.send({**reply, "op": "result", "id": head["id"]}, encoded)
    return 0


async def serve_at_once(link: Link) -> None:
    """Run async tasks as they are asked for, all in one event loop; what they print goes out with their number."""
    runner, calls = ChildRunner(link), dict[str, asyncio.Task[None]]()
    print_over(link)

    async def carry_out(head: dict[str, object], parts: list[codec.Part]) -> None:
        current_call.set(str(head["id"]))
        reply, encoded = await execute_async(head, parts, runner)
        flush()
        link.send({**reply, "op": "result", "id": head["id"]}, encoded)

    async for head, parts in link.arriving():
        if head["op"] == "bye":
            break
        if head["op"] == "cancel":
            if call := calls.get(head["id"]):
                call.cancel()
            continue
        calls[head["id"]] = task = asyncio.create_task(carry_out(head, parts))
        task.add_done_callback(functools.partial(_forget, calls, head["id"]))
    for task in calls.values():
        task.cancel()


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a warning is worth printing here: what there is to say of declarations was said where they ran."""
    return not record.pathname.startswith(_DECLARATIONS)


def _forget(calls: dict[str, asyncio.Task[None]], number: str, _: object) -> None:
    calls.pop(number)


def load(path: Path | None, name: str) -> None:
    """Execute a file as the main module, so that the classes of the notebook are the classes of the kernel."""
    module = ModuleType(name)
    sys.modules[MAIN] = sys.modules[name] = module
    if path is not None:
        module.__file__ = str(path)
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))


def settle(folder: str | None, inside: bool) -> None:
    """Let the modules of a bundle's folder come before all others, and work in it where it holds included files."""
    if folder is not None:
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True  # a bundle stays as it was deployed
        if inside:
            os.chdir(folder)
