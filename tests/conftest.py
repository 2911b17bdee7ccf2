"""What holds for every test, and fixtures for those that need a real kernel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kernels import Kernel, new_kernel

# The tests start hundreds of processes. Where bytecode is not kept, as in many containers, each of them would compile
# the package again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("busy machines", deadline=None)  # an example may take any time
settings.load_profile("busy machines")


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


@pytest.fixture(scope="module")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for those tests of a module that need none of their own; as `kernel` otherwise."""
    with new_kernel(tmp_path_factory.mktemp("shared")) as kernel:
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        yield kernel
