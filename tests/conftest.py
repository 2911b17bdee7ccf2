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

#: the files that take longest; they begin first, so that none of them is left alone at the end
LONGEST = (
    "test_browser", "test_deploying", "test_deployment", "test_notebooks", "test_exporting", "test_serving",
    "test_magics", "test_images", "test_session", "test_cli", "test_lines", "test_connectors_of_cells",
    "test_proxy_faults", "test_plan_commands", "test_planning", "test_map", "test_faults", "test_travelling",
    "test_gateway", "test_limits", "test_store_faults", "test_clone_commands", "test_run_context", "test_pool",
    "test_oddities", "test_registry", "test_connected_tasks", "test_surroundings", "test_guard",
    "test_connector_server", "test_deploy_commands", "test_plan_is_kept", "test_direct", "test_stress",
    "test_specification",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest-xdist keep the order of the files; it would begin with those that have most tests, the quick ones."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; within a file the order stays."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", metavar="DIR", help="keep the pictures of the tests in a browser in a folder")


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


@pytest.fixture
def plane_for_notebook(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A stand-in for a cluster, for a notebook that connects to its reader's own: the environment variables for it."""
    pytest.importorskip("connectrpc", reason="the stand-in control plane needs the Flyte SDK")
    from plane import Plane
    from sdk_process import SDK

    with Plane(tmp_path / "plane", SDK) as plane:
        yield plane.settings(tmp_path / "home")
