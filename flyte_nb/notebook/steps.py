"""Steps: work that needs other work first, carried out without the stack that recursion would take."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

__all__ = ["Steps", "take"]

#: yields the steps that have to be carried out before it goes on; returns what they are for
Steps = Generator["Steps", Any, Any]


def take(steps: Steps) -> Any:
    """Carry out steps and the steps that they need first; a long chain of definitions does not use up the stack."""
    running, answer = [steps], None
    while running:
        try:
            needed = running[-1].send(answer)
        except StopIteration as done:
            running.pop()
            answer = done.value
        else:
            running.append(needed)
            answer = None
    return answer
