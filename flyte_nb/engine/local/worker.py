"""The worker: a process of its own that loads a module as ``__main__`` and runs tasks of it.

Started with the number of one end of a socket pair and the engine's ``sys.path``. Frames from the engine:
``load``, ``call``, ``result`` (of a child task), ``bye``. Frames to it: ``ready``, ``result``, ``call`` (a child task).
The worker listens to no declarations and ends with whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import importlib
import itertools
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_nb import pickling
from flyte_nb.context.scopes import get_custom_context
from flyte_nb.context.task_context import context_from, entered
from flyte_nb.engine import codec
from flyte_nb.engine.definition import MAIN, definition_of, holds, loading, tasks_in
from flyte_nb.environments import base
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.interface import check_value
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import BaseRuntimeError, RuntimeDataValidationError, RuntimeUserError, UnknownNameError
from flyte_nb.report import Report, current_report
from flyte_nb.report import flush as flush_report


class Link:
    """The worker's end of the pipe: a thread reads, whoever has something to say writes."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)  # what the task starts shall not hold the pipe open
        self._socket = socket.socket(fileno=fd)
        self._writing = threading.Lock()
        self._children: dict[str, Future[codec.Frame]] = {}
        self._numbers = itertools.count(1)
        self.requests: queue.SimpleQueue[codec.Frame] = queue.SimpleQueue()

    def start(self) -> None:
        """Read from now on, in a thread of its own."""
        threading.Thread(target=self._read, name="flyte-nb-link", daemon=True).start()

    def send(self, head: dict[str, Any], parts: Iterable[bytes | memoryview] = ()) -> None:
        """Write one frame."""
        with self._writing:
            for buffer in codec.pack(head, parts):
                self._socket.sendall(buffer)

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Future[codec.Frame]:
        """Ask the engine to run a child task."""
        number = f"c{next(self._numbers)}"
        future = self._children[number] = Future()
        future.set_running_or_notify_cancel()  # whoever stops waiting for it leaves it as it is
        parts, _ = codec.encode(inputs, vars(sys.modules[MAIN]))
        found = holds(module_of(task.__module__), task)
        by_value = () if found else (definition_of(task).pickled,)
        head = {
            "op": "call",
            "id": number,
            "task": task.name,
            "module": task.__module__,
            "by_value": not found,
        }
        self.send({**head, "env_vars": env_vars_of(task), "custom_context": get_custom_context()}, (*by_value, *parts))
        return future

    def _read(self) -> None:
        while (frame := codec.receive(self._socket)) is not None:
            head, _ = frame
            if head["op"] == "result":
                self._children.pop(head["id"]).set_result(frame)
            else:
                self.requests.put(frame)
        end_group()  # the engine is gone, and so is whoever waits for this task


def end_group() -> None:
    """End this process and every process it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class ChildRunner:
    """Runs the tasks that a task calls, through the engine."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task and wait for it."""
        return value_of(self._link.call(task, inputs).result())

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task without blocking the loop."""
        return value_of(await asyncio.wrap_future(self._link.call(task, inputs)))


def value_of(frame: codec.Frame) -> Any:
    """Give the value of a child's result, or raise what failed it."""
    head, parts = frame
    if not head.get("failed"):
        return codec.decode(parts)
    error: BaseException = codec.decode(parts[: head["cause"]])
    error.__cause__ = original(parts[head["cause"] :]) or error.__cause__
    raise error


def original(parts: list[bytes]) -> BaseException | None:
    """Decode the exception that a task raised; None where it did not travel."""
    try:
        value = codec.decode(parts) if parts else None
    except Exception:  # its class may not exist here
        return None
    return value if isinstance(value, BaseException) and not isinstance(value, BaseRuntimeError) else None


def env_vars_of(task: TaskTemplate) -> dict[str, str]:
    """Give the environment variables that a task's process has."""
    return dict(task.env_vars or {})


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


def module_of(name: str) -> ModuleType:
    """Give the main module, or import another."""
    return sys.modules.get(name) or importlib.import_module(name)


def wanted(head: Mapping[str, Any], parts: list[bytes]) -> tuple[TaskTemplate, dict[str, Any]]:
    """Give the task and the inputs that a ``call`` frame names.

    Raises
    ------
    UnknownNameError
        When the module does not hold the task.
    RuntimeDataValidationError
        For an input of the wrong type.
    """
    known = {head["task"]: pickling.loads(parts.pop(0))} if head["by_value"] else tasks_in(module_of(head["module"]))
    if head["task"] not in known:
        raise UnknownNameError("task", head["task"], known)
    task = known[head["task"]]
    inputs = codec.decode(parts)
    if head["texts"]:
        return task, task.interface.complete(**task.interface.parse(inputs))
    kinds = task.interface.get_input_types()
    return task, {n: check_value(f"input {n!r}", value, kinds[n], task.name) for n, value in inputs.items()}


def run(task: TaskTemplate, inputs: dict[str, Any], link: Link) -> Any:
    """Run a task's function, in this thread or in an event loop of its own, and check what it returns."""
    token = current_runner.set(ChildRunner(link))
    try:
        value = task.forward(**inputs)
        if asyncio.iscoroutine(value):
            value = asyncio.run(value)
    finally:
        current_runner.reset(token)
    return checked(value, task)


def checked(value: Any, task: TaskTemplate) -> Any:
    """Check what a task returned against its signature.

    Raises
    ------
    RuntimeDataValidationError
        When it has another type or another number of outputs.
    """
    outputs = task.interface.outputs
    if not outputs:
        if value is not None:
            raise RuntimeDataValidationError(
                "output",
                f"given {value!r:.80}; accepted: None, since the task has no return annotation",
                task.name,
            )
        return None
    if len(outputs) == 1:
        return check_value("output o0", value, next(iter(outputs.values())), task.name)
    if not isinstance(value, tuple) or len(value) != len(outputs):
        raise RuntimeDataValidationError(
            "outputs", f"given {value!r:.80}; accepted: a tuple of {len(outputs)}", task.name
        )
    values = [check_value(f"output {n}", v, k, task.name) for v, (n, k) in zip(value, outputs.items(), strict=True)]
    return type(value)(*values) if hasattr(value, "_fields") else tuple(values)


def answer(link: Link, head: Mapping[str, Any], parts: list[bytes]) -> None:
    """Run what one ``call`` frame asks for and send its result."""
    reply: dict[str, Any] = {"op": "result", "id": head["id"]}
    try:
        task, inputs = wanted(head, parts)
        with entered(context_from(head["context"], Report(task.name))):
            encoded = returned(run(task, inputs, link), task, head["id"])
            if task.report and current_report().has_content():
                flush_report()
        reply["outputs"] = list(task.interface.outputs)
    except BaseException as error:  # sys.exit and KeyboardInterrupt end the task, never the report
        reply.update(failure(error))
        encoded = pickled(error)
    flush()
    link.send(reply, encoded)


def returned(value: Any, task: TaskTemplate, call: str) -> tuple[bytes | memoryview, ...]:
    """Encode what a task returned; several outputs of a run as a plain tuple, since its names travel beside it.

    Raises
    ------
    RuntimeUserError
        When it does not pickle.
    """
    if call == "root" and len(task.interface.outputs) > 1:
        value = tuple(value)
    try:
        return codec.encode(value, vars(sys.modules[MAIN]))[0]
    except Exception as error:  # a stranger's __reduce__ may raise anything
        raise RuntimeUserError(
            "ResultNotPicklable", f"what {task.name} returned cannot be pickled: {error}. Return plain data"
        ) from error


def failure(error: BaseException) -> dict[str, Any]:
    """Describe a failure as JSON data: the class, the message, and the frames outside this package."""
    message = f"the task called sys.exit({error.code!r})" if isinstance(error, SystemExit) else said(error)
    frames = [
        [f.filename, f.lineno or 0, f.name, (f.line or "").strip()] for f in traceback.extract_tb(error.__traceback__)
    ]
    return {"failed": True, "code": error.code if isinstance(error, BaseRuntimeError) else type(error).__name__,
            "kind": type(error).__name__, "message": message, "frames": frames}  # fmt: skip


def said(error: BaseException) -> str:
    """Give the message of an exception, empty where it cannot say it."""
    try:
        return str(error)
    except Exception:  # a stranger's __str__ may raise anything
        return ""


def pickled(error: BaseException) -> tuple[bytes | memoryview, ...]:
    """Encode an exception, or None where it does not pickle and come back."""
    try:
        parts, _ = codec.encode(error.with_traceback(None), vars(sys.modules[MAIN]))
        codec.decode([bytes(p) for p in parts])
    except Exception:  # a stranger's __reduce__ or __init__ may raise anything
        parts, _ = codec.encode(None)
    return parts


def flush() -> None:
    """Let everything printed so far reach the engine before the result does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a task may have closed or replaced them
            stream.flush()


def die_with_parent() -> None:
    """On Linux, ask the kernel to end this process when the thread that started it is gone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    """Serve one engine until it says ``bye`` or is gone."""
    die_with_parent()
    base.listen(None)
    faulthandler.enable()
    link = Link(int(sys.argv[1]))
    link.start()
    head, _ = link.requests.get()
    path = None if head["path"] is None else Path(head["path"])
    sys.argv[:] = [head["path"] or ""]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    loading.set()
    try:
        settle(head.get("folder"), head.get("inside", False))
        load(path, head["main"])
    except BaseException as error:  # the user's definitions may raise anything
        flush()
        link.send({"op": "ready", **failure(error)}, pickled(error))
        return
    loading.clear()
    link.send({"op": "ready"})
    while (request := link.requests.get())[0]["op"] != "bye":
        answer(link, *request)
