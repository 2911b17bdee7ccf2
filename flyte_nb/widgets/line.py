"""Line: one line in a cell's output that changes, as a display of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.views import Text

__all__ = ["displayed"]


def displayed(line: Text) -> Callable[[Text], None]:
    """Show a line in the running cell's output, and give what changes it there later."""
    from IPython.display import display

    handle: Any = display(line, display_id=True)
    return lambda changed: handle.update(changed) if handle is not None else None
