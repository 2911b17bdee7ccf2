"""Answering: how a warm worker serves the caller at the other end of a line, and reports what it did to the engine."""

from __future__ import annotations

import contextvars
import os
import socket
import struct
import time
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.local.children import ChildRunner, current_call
from flyte_nb.engine.local.execution import Loop, Reply, execute, learn
from flyte_nb.engine.local.line import MANY
from flyte_nb.engine.local.link import Link
from flyte_nb.engine.local.printing import flush, is_unread, printed_over
from flyte_nb.engine.segments import Segment

__all__ = ["answer"]

_CHUNK = 1 << 18
PATIENCE = 0.02  # seconds that a report waits for more
UNREAD = 0.05  # seconds that the engine is given to read what a call has printed


def answer(link: Link, told: dict[str, Any], end: socket.socket, runner: ChildRunner, loop: Loop) -> None:
    """Answer calls that come over a line until it is closed, or nobody listens any more.

    Parameters
    ----------
    told : dict
        The ``line`` frame of the engine: the line's number, the module of the tasks, what the run is.
    end : socket
        This end of the line.
    """
    learn(told)
    os.environ["FLYTE_ATTEMPT_NUMBER"] = "0"
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(PATIENCE * 1e6)))
    line = Answered(link, told, end, runner, loop)
    before, link.first = link.first, line.report
    with end, printed_over(link):
        while line.is_heard and line.take():
            pass
    line.report()
    link.first = before
    link.send({"op": "over", "line": told["line"]})


class Answered:
    """A line that is answered, and what is still to be reported of its calls."""

    def __init__(self, link: Link, told: dict[str, Any], end: socket.socket, runner: ChildRunner, loop: Loop) -> None:
        self._link, self._told, self._end, self._runner, self._loop = link, told, end, runner, loop
        self._line = told["line"]
        self._frames = codec.Frames()
        self._rows: list[list[Any]] = []
        #: whether the caller still takes answers
        self.is_heard = True

    def take(self) -> bool:
        """Carry out what comes next, or report while nothing does; tell whether more may come."""
        try:
            data = self._end.recv(_CHUNK)
        except BlockingIOError:
            self.report()
            return True
        except ConnectionError:
            return False
        for head, parts in self._frames.feed(data) if data else ():
            if self.is_heard:
                self._carry_out(head, parts)
        return bool(data)

    def _carry_out(self, head: dict[str, Any], parts: list[codec.Part]) -> None:
        """Carry out a call and send its answer."""
        started, before = time.time(), self._link.sent
        is_run = "context" in head
        asked = self._of_run(head) if is_run else self._of_task(head)
        reply, encoded = contextvars.copy_context().run(_executed, asked, parts, self._runner, self._loop)
        if self._link.segments is not None:
            encoded = self._link.segments.shared(encoded)
        if is_run:
            reply["told"] = self._link.sent != before or is_unread()
            if reply["told"]:
                self._link.send({"op": "done", "line": self._line, "heard": head["n"]})
        elif reply.get("failed"):  # the caller may ask at once what the record says of it
            self._end_of(head, started, f"{reply['code']}: {reply['message'] or reply['kind']}")
        try:
            for buffer in codec.pack(reply, encoded):
                self._end.sendall(buffer)
        except OSError:  # the caller has ended, and so has what it was to get
            self.is_heard = False
            for part in encoded:
                if isinstance(part, Segment):
                    part.remove()
        if not (is_run or reply.get("failed")):
            self._end_of(head, started, "")

    def _end_of(self, head: dict[str, Any], started: float, error: str) -> None:
        """Take note of a call that has ended, and report it where that cannot wait."""
        over = time.time()
        printed = unread = is_unread()
        while unread and time.time() < over + UNREAD:  # the next one shall not be taken to have printed it
            time.sleep(0.0002)
            unread = is_unread()
        ended = time.time()  # what was read before this is its own
        self._rows.append([head["n"], head["k"], started, ended, head.get("group", ""), error])
        if printed or error or len(self._rows) >= MANY or ended - self._rows[0][3] > PATIENCE:
            self.report(unread)

    def report(self, unread: bool = False) -> None:
        """Tell the engine of the calls that have ended since it was last told.

        Parameters
        ----------
        unread : bool
            Whether the last of them has printed what the engine has not read yet.
        """
        rows, self._rows = self._rows, []
        if rows:
            self._link.send({"op": "done", "line": self._line, "rows": rows, "unread": unread})

    def _of_task(self, head: dict[str, Any]) -> dict[str, Any]:
        """Give the ``call`` frame that a task's call on a line stands for."""
        context: dict[str, Any] = {"run": self._told["run"], "action": f"a{self._line}-{head['n']}", "attempt": 0}
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
