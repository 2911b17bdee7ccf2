"""Faults that a test switches on: which calls they strike, and how."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Kind = Literal["fail", "slow", "cut"]


@dataclass
class Fault:
    """One fault.

    Parameters
    ----------
    kind : str
        ``"fail"``: an error with a code; ``"slow"``: an answer after some seconds; ``"cut"``: the connection ends.
    rpc : str
        A call, such as ``"TaskService.DeployTask"``; a service; ``"PUT"``, an upload; ``"*"``, any of them.
    times : int, optional
        How many calls it strikes; all of them by default.
    skip : int, default: 0
        How many calls pass before.
    code : str, default: ""
        The Connect protocol's name of the error, such as ``"invalid_argument"``.
    message : str, default: ""
        What the error says.
    seconds : float, default: 0
        How long a slow answer takes.
    after : int, default: 0
        Of a stream that is cut: how many messages come before. Of an upload: how many bytes are read before the
        connection is reset, half of them for 0; -1 reads all of it, and ends the connection without an answer.
    """

    kind: Kind
    rpc: str
    times: int | None = None
    skip: int = 0
    code: str = ""
    message: str = ""
    seconds: float = 0
    after: int = 0

    def strikes(self, rpc: str) -> bool:
        """Tell whether it strikes this call, and count it."""
        if self.rpc not in (rpc, rpc.partition(".")[0], "*") or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._known: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        self._known.append(fault)

    def clear(self) -> None:
        self._known.clear()

    def striking(self, kind: Kind, rpc: str) -> Fault | None:
        """Give the fault of a kind that strikes a call, which is now one of its calls."""
        with self._lock:
            return next((fault for fault in self._known if fault.kind == kind and fault.strikes(rpc)), None)
