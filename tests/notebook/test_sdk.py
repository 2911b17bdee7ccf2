"""What an export for the Flyte SDK imports."""

from __future__ import annotations

import pytest
from flyte_nb.errors import SliceError
from flyte_nb.notebook.sdk import spelled_module


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("from flyte_nb.plugins.ray import RayJobConfig", "from flyteplugins.ray import RayJobConfig"),
        ("import flyte_nb.plugins.spark as sp", "import flyteplugins.spark as sp"),
        ("from flyte_nb.plugins import dask", "from flyteplugins import dask"),
        ("from flyte_nb.io import File", "from flyte.io import File"),
        ("import flyte_nb as flyte", "import flyte"),
    ],
)
def test_imports_are_those_of_the_sdk_and_of_its_plugins(ours: str, theirs: str) -> None:
    assert spelled_module(f"{ours}\nx = 1", "module").splitlines()[0] == theirs


def test_a_plugin_as_an_attribute_of_the_package_is_refused() -> None:
    source = "import flyte_nb as flyte\nimport flyte_nb.plugins.ray\nconfig = flyte.plugins.ray.RayJobConfig([])"
    with pytest.raises(SliceError, match=r"module, line 3 uses flyte\.plugins"):
        spelled_module(source, "module")
