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
from flyte_nb.engine.local.printing import amount_printed, flush, is_unread, printed_over

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
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(PATIENCE * 1e6)))
    line, frames = Answered(link, told, end, runner, loop), codec.Frames()
    with end, printed_over(link):
        while True:
            try:
                data = end.recv(_CHUNK)
            except BlockingIOError:
                line.report()
                continue
            except ConnectionError:
                break
            if not data:
                break
            for head, parts in frames.feed(data):
                line.answer(head, parts)
    line.report()
    link.send({"op": "over", "line": told["line"]})


class Answered:
    """A line that is answered, and what is still to be reported of its calls."""

    def __init__(self, link: Link, told: dict[str, Any], end: socket.socket, runner: ChildRunner, loop: Loop) -> None:
        self._link, self._told, self._end, self._runner, self._loop = link, told, end, runner, loop
        self._line = told["line"]
        self._rows: list[list[Any]] = []

    def answer(self, head: dict[str, Any], parts: list[codec.Part]) -> None:
        """Carry out a call and send its answer."""
        started, before = time.time(), amount_printed()
        asked = self._of_run(head) if "context" in head else self._of_task(head)
        reply, encoded = contextvars.copy_context().run(_executed, asked, parts, self._runner, self._loop)
        if self._link.segments is not None:
            encoded = self._link.segments.shared(encoded)
        if "context" in head:
            reply["printed"] = amount_printed() != before or is_unread()
            if reply["printed"]:
                self._link.send({"op": "done", "line": self._line, "heard": head["n"]})
        for buffer in codec.pack(reply, encoded):
            self._end.sendall(buffer)
        if "context" not in head and not reply.get("failed"):  # the caller tells the engine of a failure
            self._rows.append([head["n"], head["k"], started, time.time(), head.get("group", "")])
            if len(self._rows) >= MANY or self._rows[-1][3] - self._rows[0][3] > PATIENCE:
                self.report()

    def report(self) -> None:
        """Tell the engine of the calls that have ended since it was last told."""
        if self._rows:
            self._link.send({"op": "done", "line": self._line, "rows": self._rows})
            self._rows = []

    def _of_task(self, head: dict[str, Any]) -> dict[str, Any]:
        """Give the ``call`` frame that a task's call on a line stands for."""
        context: dict[str, Any] = {"run": self._told["run"], "action": f"a{self._line}-{head['n']}", "attempt": 0}
        if "of_run" in self._told:
            context["of_run"] = self._told.pop("of_run")
        if "custom_context" in head:
            context["custom_context"] = head["custom_context"]
        return self._frame(head, f"{self._line}.{head['n']}.{head['k']}", context, root=False)

    def _of_run(self, head: dict[str, Any]) -> dict[str, Any]:
        """Give the ``call`` frame that a run on a line stands for."""
        return self._frame(head, f"{self._line}.{head['n']}.0", head["context"], root=True)

    def _frame(self, head: dict[str, Any], number: str, context: dict[str, Any], root: bool) -> dict[str, Any]:
        return {"id": number, "task": head["t"], "module": self._told["module"], "by_value": False, "texts": False,
                "root": root, "context": context}  # fmt: skip


def _executed(asked: dict[str, Any], parts: list[codec.Part], runner: ChildRunner, loop: Loop) -> Reply:
    current_call.set(asked["id"])
    reply = execute(asked, parts, runner, loop)
    flush()
    return reply
