"""Observers: those who are told of something while it goes on, one after the other, by whoever changes it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Observers"]

T = TypeVar("T")


class Observers(Generic[T]):
    """Callables that are told of something.

    Telling nobody costs next to nothing. An observer that fails is logged: what it is told of goes on.
    """

    def __init__(self) -> None:
        self._all: tuple[Callable[[T], None], ...] = ()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, observer: Callable[[T], None]) -> Callable[[], None]:
        """Have somebody told from now on; give what ends that."""
        with self._lock:
            self._all = (*self._all, observer)

        def leave() -> None:
            with self._lock:
                if observer in self._all:
                    at = self._all.index(observer)
                    self._all = self._all[:at] + self._all[at + 1 :]

        return leave

    def tell(self, news: T) -> None:
        """Tell all of them, in this thread."""
        for observer in self._all:
            try:
                observer(news)
            except Exception:  # a stranger's callback
                logging.getLogger("flyte").exception("somebody who follows what goes on has failed")
