"""AppHandle: what serving an app gives."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, runtime_checkable

__all__ = ["AppHandle"]


@runtime_checkable
class AppHandle(Protocol):
    """A served app; any object of this shape is one.

    Parameters
    ----------
    name : str
        The app's name.
    url : str
        Where people look at it.
    endpoint : str
        Where it answers.
    """

    name: str
    url: str
    endpoint: str

    def is_active(self) -> bool:
        """Tell whether it answers."""

    def is_deactivated(self) -> bool:
        """Tell whether it was stopped."""

    def activate(self, wait: bool = False) -> AppHandle:
        """Start it, and wait until it answers if ``wait``."""

    def deactivate(self, wait: bool = False) -> AppHandle:
        """Stop it, and wait for its end if ``wait``."""

    def ephemeral_ctx(self) -> AbstractAsyncContextManager[Any]:
        """Start it for an ``async with`` block."""

    def ephemeral_ctx_sync(self) -> AbstractContextManager[Any]:
        """Start it for a ``with`` block."""
