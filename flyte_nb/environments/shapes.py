"""Shapes: words for arrays and tables, whose values would fill many lines."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["shape_of"]

FEW = 10


def shape_of(value: Any) -> str:
    """Word an array or a table by its shape, such as ``"DataFrame of 344 x 8"``.

    Parameters
    ----------
    value : object
        Anything; of whatever library.

    Returns
    -------
    str
        Empty for what has no shape, and for what has a few values only.
    """
    try:
        shape = value.shape if hasattr(type(value), "shape") else None
    except Exception:  # a stranger's property
        return ""
    if not (isinstance(shape, tuple) and all(isinstance(size, int) for size in shape) and math.prod(shape) > FEW):
        return ""
    return f"{type(value).__name__} of {' x '.join(map(str, shape))}"
