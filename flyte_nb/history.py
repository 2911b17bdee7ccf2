"""History: states that can be gone back to, and forth again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["History"]

T = TypeVar("T")


class History(Generic[T]):
    """The states of something that is edited: those before the one it has, and those that were gone back from."""

    def __init__(self) -> None:
        self._past: list[T] = []
        self._future: list[T] = []
        self._of = ""

    @property
    def can_go_back(self) -> bool:
        """Whether there is a state before."""
        return bool(self._past)

    @property
    def can_go_forth(self) -> bool:
        """Whether a state was gone back from."""
        return bool(self._future)

    @property
    def past(self) -> T:
        """The state before."""
        return self._past[-1]

    @property
    def future(self) -> T:
        """The state that was gone back from last."""
        return self._future[-1]

    def left(self, state: T, of: str = "") -> None:
        """Take note of a state that is left for a new one.

        Parameters
        ----------
        state : object
            What it was.
        of : str, optional
            What changes; changes of the same one after the other are one step, such as those of each key typed.
        """
        if not (of and of == self._of):
            self._past.append(state)
        self._future.clear()
        self._of = of

    def back(self, state: T) -> None:
        """Go to the state before; ``state`` is the one that is left."""
        self._past.pop()
        self._future.append(state)
        self._of = ""

    def forth(self, state: T) -> None:
        """Go to the state that was gone back from; ``state`` is the one that is left."""
        self._future.pop()
        self._past.append(state)
        self._of = ""

    def revise(self, change: Callable[[T], T]) -> None:
        """Change every state, as what they are told of has become another."""
        self._past = [change(state) for state in self._past]
        self._future = [change(state) for state in self._future]
        self._of = ""
