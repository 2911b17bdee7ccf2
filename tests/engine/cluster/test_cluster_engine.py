"""The cluster engine, from a real kernel against the stand-in of a control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel, new_kernel

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")
pytest.importorskip("uvicorn", reason="the stand-in of a control plane needs uvicorn")

from plane import Plane

DECLARED = """
up = flyte.TaskEnvironment("up", image="python:3.11")
env = flyte.TaskEnvironment("calc", image="python:3.11", depends_on=[up], env_vars={"A": "b"})

@up.task
def base() -> int:
    return 3

@env.task
def double(x: int) -> int:
    print("doubling", x)
    return 2 * x
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def kernel(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("cluster")
    with new_kernel(folder) as kernel:
        kernel.run(f"import os\nos.environ['HOME'] = {str(folder / 'home')!r}\nos.makedirs(os.environ['HOME'])")
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        kernel.run(f"flyte.init(endpoint={plane.endpoint!r}, insecure=True, project='shop', domain='development')")
        kernel.run(DECLARED)
        yield kernel


def test_deploying_makes_one_bundle_and_one_upload(kernel: Kernel, plane: Plane) -> None:
    ran = kernel.run("made = flyte.deploy(env, engine='cluster')\nmade")
    print(ran.printed, ran.shown)
    print(plane.told())
    assert 0
