"""Arrays and tables are told by their shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from flyte_nb.environments.declaration import mask_inputs, shorten
from flyte_nb.environments.shapes import shape_of


class Odd:
    @property
    def shape(self) -> int:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.zeros((3, 4)), "ndarray of 3 x 4"),
        (np.zeros(11), "ndarray of 11"),
        (np.zeros(10), ""),
        (np.float64(1), ""),
        (pd.DataFrame({"a": range(6), "b": range(6)}), "DataFrame of 6 x 2"),
        (pd.Series(range(344)), "Series of 344"),
        (pl.DataFrame({"a": range(11)}), "DataFrame of 11 x 1"),
        (pa.table({"a": range(11)}), "Table of 11 x 1"),
        ("text", ""),
        (np.ndarray, ""),
        (Odd(), ""),
    ],
)
def test_shapes(value: Any, told: str) -> None:
    assert shape_of(value) == told


def test_they_stand_in_the_place_of_many_lines() -> None:
    assert mask_inputs({"masses": pd.Series(range(344)), "n": 1}) == "masses=Series of 344, n=1"
    assert shorten(np.arange(3)) == "array([0, 1, 2])"
