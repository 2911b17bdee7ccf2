"""``%flyte connect`` in a real kernel: what is known, from where, whether it answers; and connecting to another."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from kernels import Kernel, new_kernel

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")
pytest.importorskip("uvicorn", reason="the stand-in of a control plane needs uvicorn")

from plane import Plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane"), projects=("shop", "lab")) as plane:
        yield plane


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("connecting")
    with new_kernel(folder) as kernel:
        names = ("FLYTECTL_CONFIG", "FLYTE_API_KEY", "FLYTE_ADMIN_ENDPOINT")
        kernel.run(f"import os\nos.environ['HOME'] = {str(folder)!r}\nfor name in {names}: os.environ.pop(name, None)")
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        yield kernel


def test_from_none_to_one_that_answers(kernel: Kernel, plane: Plane) -> None:
    assert kernel.run("%flyte connect").shown.startswith("no cluster is known here. Name one with flyte.init(")
    assert kernel.value("flyte.is_control_plane_available()") == "False"
    shown = kernel.run(f"%flyte connect {plane.endpoint} --insecure").shown
    assert "  project    none  (name both: %flyte connect --project P --domain D)" in shown
    shown = kernel.run("%flyte connect --project shopp --domain development").shown
    assert "  project    shopp/development  (not among its projects; did you mean 'shop'?)" in shown
    cell = kernel.run("%flyte connect --project shop")
    assert cell.shown.splitlines()[0] == f"{plane.endpoint}  (cluster, answers)"
    assert "  project    shop/development\n" in cell.shown
    assert cell.shown.endswith("  projects:\n    shop\n    lab")
    assert "<table" in cell.html
    assert kernel.value("flyte.current_project(), flyte.current_domain(), flyte.is_control_plane_available()") == (
        "('shop', 'development', True)"
    )


def test_one_that_does_not_answer_is_not_connected_to(kernel: Kernel, plane: Plane) -> None:
    with plane.refusing():
        shown = kernel.run("%flyte connect").shown
        assert shown.splitlines()[0] == f"{plane.endpoint}  (cluster, no answer)"
        assert f"  error      listing its projects: {plane.endpoint} does not answer" in shown
    told = kernel.run("%flyte connect localhost:1 --insecure --project other", fails=True).error
    assert "UnionRpcError (Unreachable): listing its projects: http://localhost:1 does not answer" in told
    assert kernel.value("flyte.current_project()") == "'shop'"
    assert "(cluster, answers)" in kernel.run("%flyte connect").shown


def test_a_file_names_one(kernel: Kernel, plane: Plane) -> None:
    (kernel.folder / "lab.yaml").write_text(
        f"admin:\n  endpoint: {plane.endpoint}\n  insecure: true\ntask:\n  project: lab\n  domain: staging\n"
    )
    kernel.run("flyte.init()")
    shown = kernel.run("%flyte connect --config lab.yaml").shown
    assert f"  found in   {kernel.folder / 'lab.yaml'}\n" in shown
    assert "  project    lab/staging\n" in shown
    doctor = kernel.run("%flyte doctor").shown
    assert re.search("✓ ok +projects", doctor)
    assert "2: shop, lab" in doctor
    assert "one of the tested versions" in doctor


def test_wrong_words(kernel: Kernel) -> None:
    told = kernel.run("%flyte connect a.example.com --config lab.yaml", fails=True).error
    assert "given ENDPOINT and --config; accepted: one of them" in told
    assert "did you mean '--project'?" in kernel.run("%flyte connect --projct x", fails=True).error
    assert "nowhere.yaml" in kernel.run("%flyte connect --config nowhere.yaml", fails=True).error
