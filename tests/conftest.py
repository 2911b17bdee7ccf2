"""Fixtures for the tests that need a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel, new_kernel


@pytest.fixture
def bare_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in an empty folder, without the extension."""
    with new_kernel(tmp_path) as kernel:
        yield kernel


@pytest.fixture
def kernel(bare_kernel: Kernel) -> Kernel:
    """A kernel with the extension loaded and ``flyte`` imported, as cell 1."""
    bare_kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
    return bare_kernel
