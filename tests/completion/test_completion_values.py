"""What values are offered: each of them is one that a declaration takes."""

from __future__ import annotations

import pytest
from flyte_nb import Resources
from flyte_nb.completion.values import accelerators, amounts, cores, replicas


@pytest.mark.parametrize("typed", ["", "4", "1.5", "4G"])
def test_amounts_can_be_asked_for(typed: str) -> None:
    for amount in amounts(typed):
        Resources(memory=amount, disk=amount)
    assert f"{typed.rstrip('G') or '4'}Gi" in list(amounts(typed))


@pytest.mark.parametrize("typed", ["", "3", "500"])
def test_cores_can_be_asked_for(typed: str) -> None:
    for count in cores(typed):
        Resources(cpu=count)
    assert "500m" in [*cores(""), *cores("500")]


@pytest.mark.parametrize("typed", ["", "A", "A100:", "trn2:", "nosuch:"])
def test_accelerators_can_be_asked_for(typed: str) -> None:
    for text in accelerators(typed):
        Resources(gpu=text)


def test_all_counts_of_the_device_that_is_typed() -> None:
    assert [text for text in accelerators("a100:") if text.startswith("A100:")] == [f"A100:{n}" for n in range(1, 9)]
    assert [text for text in accelerators("") if text.startswith("A100:")] == ["A100:1"]


def test_warm_processes() -> None:
    assert list(replicas("2")) == ["2", "2:3", "2:4", "2:5"]
    assert "1:4" in list(replicas(""))
