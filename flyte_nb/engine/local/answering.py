"""Answering: how a warm worker serves the caller at the other end of a line, and reports what it did to the engine."""

from __future__ import annotations

import contextvars
import socket
import struct
import time
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.local.children import ChildRunner, current_call
from flyte_nb.engine.local.execution import Loop, Reply, execute
from flyte_nb.engine.local.link import Link
from flyte_nb.engine.local.printing import flush, printed_over

__all__ = ["answer"]

_CHUNK = 1 << 18
MANY = 100  # calls that are reported at once
PATIENCE = 0.02  # seconds that a report waits for more


def answer(link: Link, told: dict[str, Any], end: socket.socket, runner: ChildRunner, loop: Loop) -> None:
    """Answer calls that come over a line until it is closed.

    Parameters
    ----------
    told : dict
        The ``line`` frame of the engine: the line's number, the module of the tasks, what the run is.
    end : socket
        This end of the line.
    """
    reports = _Reports(link, told["line"])
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(PATIENCE * 1e6)))
    frames = codec.Frames()
    with end, printed_over(link):
        while True:
            try:
                data = end.recv(_CHUNK)
            except BlockingIOError:
                reports.send()
                continue
            except ConnectionError:
                break
            if not data:
                break
            for head, parts in frames.feed(data):
                _answer(link, told, end, head, parts, (reports, runner, loop))
    reports.send()
    link.send({"op": "over", "line": told["line"]})


def _answer(
    link: Link,
    told: dict[str, Any],
    end: socket.socket,
    head: dict[str, Any],
    parts: list[codec.Part],
    around: tuple[_Reports, ChildRunner, Loop],
) -> None:
    reports, runner, loop = around
    started = time.time()
    asked = _asked(told, head)
    reply, encoded = contextvars.copy_context().run(_executed, asked, parts, runner, loop)
    if link.segments is not None:
        encoded = link.segments.shared(encoded)
    for buffer in codec.pack(reply, encoded):
        end.sendall(buffer)
    if not reply.get("failed"):  # the caller tells the engine of a failure
        reports.add([head["n"], head["k"], started, time.time(), head.get("group", "")])


def _asked(told: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """Give the ``call`` frame that a call on a line stands for."""
    context: dict[str, Any] = {"run": told["run"], "action": f"a{told['line']}-{head['n']}", "attempt": 0}
    if "of_run" in told:
        context["of_run"] = told.pop("of_run")
    if "custom_context" in head:
        context["custom_context"] = head["custom_context"]
    return {"id": f"{told['line']}.{head['n']}.{head['k']}", "task": head["t"], "module": told["module"],
            "by_value": False, "texts": False, "root": False, "context": context}  # fmt: skip


def _executed(asked: dict[str, Any], parts: list[codec.Part], runner: ChildRunner, loop: Loop) -> Reply:
    current_call.set(asked["id"])
    reply = execute(asked, parts, runner, loop)
    flush()
    return reply


class _Reports:
    """What the engine is told of calls that have ended, many at a time."""

    def __init__(self, link: Link, line: int) -> None:
        self._link, self._line = link, line
        self._rows: list[list[Any]] = []

    def add(self, row: list[Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= MANY or row[3] - self._rows[0][3] > PATIENCE:
            self.send()

    def send(self) -> None:
        if self._rows:
            self._link.send({"op": "done", "line": self._line, "rows": self._rows})
            self._rows = []
