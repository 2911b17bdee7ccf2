"""The kernel's own thread: where cells run, and where what a person presses is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

__all__ = ["own_thread"]


def own_thread() -> Callable[[Callable[[], object]], None]:
    """Give what calls something in this thread when its event loop is free; without a loop it is called at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _at_once

    def call(act: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the kernel ends
            loop.call_soon_threadsafe(act)

    return call


def _at_once(act: Callable[[], object]) -> None:
    act()
