"""Printing: where what is printed goes while several tasks run in one process."""

from __future__ import annotations

import contextlib
import fcntl
import io
import sys
import termios
from collections.abc import Iterator

from flyte_nb.engine.local.children import current_call
from flyte_nb.engine.local.link import Link

__all__ = ["flush", "is_unread", "print_over", "printed_over"]

_NOTHING = bytes(4)


class Attributed(io.TextIOBase):
    """A stream that sends each line with the number of the call that prints it.

    Parameters
    ----------
    name : str
        ``"stdout"`` or ``"stderr"``.
    plain : TextIO
        Takes what is printed outside any call.
    """

    def __init__(self, name: str, plain: io.TextIOBase, link: Link) -> None:
        self._name, self._plain, self._link = name, plain, link
        self._pending: dict[str, str] = {}

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the plain stream."""
        return str(self._plain.encoding)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def fileno(self) -> int:
        """Give the file descriptor of the plain stream."""
        return self._plain.fileno()

    def write(self, text: str) -> int:
        """Take text; whole lines go out at once."""
        call = current_call.get()
        if not call:
            return self._plain.write(text)
        pending = self._pending.pop(call, "") + text
        lines, end, rest = pending.rpartition("\n")
        if end:
            self._send(call, lines + end)
        if rest:
            self._pending[call] = rest
        return len(text)

    def flush(self) -> None:
        """Send what is left of the running call's last line."""
        call = current_call.get()
        if rest := self._pending.pop(call, ""):
            self._send(call, rest)
        self._plain.flush()

    def _send(self, call: str, text: str) -> None:
        self._link.send({"op": "print", "id": call, "stream": self._name, "text": text})


def print_over(link: Link) -> None:
    """Let ``sys.stdout`` and ``sys.stderr`` say which call prints."""
    sys.stdout = Attributed("stdout", sys.stdout, link)  # type: ignore[arg-type]
    sys.stderr = Attributed("stderr", sys.stderr, link)  # type: ignore[arg-type]


@contextlib.contextmanager
def printed_over(link: Link) -> Iterator[None]:
    """Let them say it in the block."""
    before = sys.stdout, sys.stderr
    print_over(link)
    ours = sys.stdout, sys.stderr
    try:
        yield
    finally:
        if sys.stdout is ours[0]:
            sys.stdout = before[0]
        if sys.stderr is ours[1]:
            sys.stderr = before[1]


def flush() -> None:
    """Let everything printed so far reach the engine before the result does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a task may have closed or replaced them
            stream.flush()


def is_unread() -> bool:
    """Tell whether the engine has not read all that was printed in another way, by native code or a process."""
    try:
        return (
            fcntl.ioctl(1, termios.FIONREAD, _NOTHING) != _NOTHING
            or fcntl.ioctl(2, termios.FIONREAD, _NOTHING) != _NOTHING
        )
    except OSError:  # the task has closed them; who knows
        return True
