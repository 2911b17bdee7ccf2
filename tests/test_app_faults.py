"""The faults of the table of apps that no other test provokes in a kernel; each insists on what it comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from app_faults import (
    at_stage,
    disconnects,
    header_injection,
    path_traversal,
    port_taken,
    returns,
    shutdown_raises,
    suspended,
)

pytestmark = pytest.mark.long


@pytest.mark.timeout(300)
def test_faults_of_an_app_leave_the_kernel_and_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    faults = [port_taken, returns, shutdown_raises, path_traversal, header_injection, disconnects]
    outcomes = list(at_stage(tmp_path / "kernel", faults))
    assert len(outcomes) == len(faults)
    assert all(outcome.seen for outcome in outcomes)


@pytest.mark.timeout(300)
def test_a_laptop_that_sleeps_loses_nothing(tmp_path: Path) -> None:
    assert suspended(tmp_path, slept=4).survives == "all: the same replicas, no failed request"
