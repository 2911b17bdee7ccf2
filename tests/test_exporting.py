"""Exporting a notebook: from a kernel and from a shell, for this package and for the real Flyte SDK."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from kernels import Kernel
from scripts import ROOT, ran
from sdk_process import SDK, WHY, has_sdk

CELLS = [
    "%load_ext flyte_nb\nimport flyte_nb as flyte",
    "factor = 2",
    "%%flyte calc --cpu 1\n@task\ndef scale(x: int) -> int:\n    return x * factor",
]


def notebook(path: Path, *cells: str) -> Path:
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    made[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def export(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ran(["-m", "flyte_nb", "export", *words], folder)


# --- from a kernel ---


def test_export_from_a_kernel(kernel: Kernel, tmp_path: Path) -> None:
    for cell in CELLS:
        kernel.run(cell)
    assert kernel.value("print(flyte.export('one.py'))") == ""
    assert kernel.run("%flyte export two.py calc --marks").shown == "wrote two.py"
    assert (tmp_path / "one.py").read_text() == (
        '"""The environment calc.\n\nExported from a notebook.\n"""\n\nimport flyte_nb as flyte\n\nfactor = 2\n\n'
        'env = flyte.TaskEnvironment("calc", resources=flyte.Resources(cpu=1))\n\n\n'
        "@env.task\ndef scale(x: int) -> int:\n    return x * factor\n"
    )
    assert "# In [4], line 2\n@env.task\n" in (tmp_path / "two.py").read_text()
    assert (tmp_path / "one.py").stat().st_mode & 0o600 == 0o600


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("flyte.export('one.txt')", "accepted: the name of a Python file"),
        ("flyte.export('one.py', 'calc')", "accepted: environments, after the path"),
        ("flyte.export('one.py', for_='ray')", "accepted: 'flyte_nb', 'flyte'"),
        ("flyte.export('one.py')", "nothing to export: no cell declares an environment"),
        ("%flyte export one.py clac", "no environment named 'clac'"),
        ("%flyte export one.py --for ray", "given 'ray'"),
    ],
)
def test_wrong_exports_write_nothing(shared_kernel: Kernel, cell: str, told: str) -> None:
    assert told in shared_kernel.run(cell, fails=True).error
    assert list(shared_kernel.folder.glob("*.py")) == []


def test_a_script_is_a_module_already(tmp_path: Path) -> None:
    done = ran(["-c", "import flyte_nb; flyte_nb.export('a.py')"], tmp_path)
    assert "a script is a module already" in done.stderr


# --- from a shell ---


def test_export_from_a_shell(tmp_path: Path) -> None:
    path = notebook(tmp_path / "lesson.ipynb", "factor = 2", *(cell for cell in CELLS if cell != "factor = 2"))
    assert path.exists()
    done = export(tmp_path, "lesson.ipynb", "out.py")
    assert (done.returncode, done.stdout) == (0, "wrote out.py\n"), done.stderr
    source = (tmp_path / "out.py").read_bytes()
    assert source.startswith(b'"""The environment calc.\n\nExported from the notebook lesson.ipynb.\n"""\n')
    assert export(tmp_path, "lesson.ipynb", "out.py", "-p", "factor=2").returncode == 0
    assert (tmp_path / "out.py").read_bytes() == source
    assert export(tmp_path, "lesson.ipynb", "out.py", "-p", "factor=3", "--for", "flyte").returncode == 0
    assert "import flyte\n" in (tmp_path / "out.py").read_text()
    assert "factor = 3\n" in (tmp_path / "out.py").read_text()


def test_an_export_that_fails_says_why(tmp_path: Path) -> None:
    notebook(tmp_path / "raises.ipynb", "1", "raise OSError('no')")
    done = export(tmp_path, "raises.ipynb", "out.py")
    assert done.returncode == 1
    assert "cell 2:\n    raise OSError('no')" in done.stderr
    computed = CELLS[2].replace("factor", "started")
    notebook(tmp_path / "computed.ipynb", "1", CELLS[0], "import time\nstarted = int(time.time())", computed)
    done = export(tmp_path, "computed.ipynb", "out.py")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("flyte-nb export: SliceError: an export holds definitions")
    assert "'started' of In [3], line 2" in done.stderr
    assert not (tmp_path / "out.py").exists()
    assert export(tmp_path, "computed.ipynb", "out.py", "--with-data").returncode == 0
    found = ran(["-c", "import out; print(out.scale(1) == out.started)"], tmp_path)
    assert found.stdout == "True\n", found.stderr
    done = export(tmp_path, "computed.ipynb", "out.txt")
    assert (done.returncode, "accepted: the name of a Python file" in done.stderr) == (2, True)
    assert "[1/" not in done.stderr


# --- the lessons ---


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the lessons' folder, to work in."""
    folder = tmp_path_factory.mktemp("lessons")
    shutil.copytree(ROOT / "notebooks", folder, dirs_exist_ok=True)
    return folder


def without_docstring(source: str) -> list[str]:
    return [ast.dump(node) for node in ast.parse(source).body[1:]]


def test_the_export_of_a_lesson_is_what_a_person_would_write(lessons: Path) -> None:
    done = export(lessons, "03_cells_to_modules.ipynb", "exported.py")
    assert done.returncode == 0, done.stderr
    by_hand = (ROOT / "notebooks" / "penguins_by_hand.py").read_text()
    assert without_docstring((lessons / "exported.py").read_text()) == without_docstring(by_hand)
    for command in (["format", "--check", "--line-length=120"], ["check", "--select=E,F,I", "--line-length=120"]):
        done = ran(["-m", "ruff", *command, "--isolated", "exported.py"], lessons)
        assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not has_sdk("pydantic"), reason=WHY)
def test_the_flyte_sdk_takes_the_export(lessons: Path) -> None:
    done = export(lessons, "01_quickstart.ipynb", "pipeline.py", "--for", "flyte")
    assert done.returncode == 0, done.stderr
    code = (
        "import sys, flyte, pipeline\n"
        "assert isinstance(pipeline.env, flyte.TaskEnvironment) and 'flyte_nb' not in sys.modules\n"
        "print(sorted(pipeline.env.tasks), pipeline.env.resources.memory, pipeline.process_data.cache.behavior)\n"
        "print(flyte.run(pipeline.process_data, 'x').outputs()[0])\n"
    )
    found = subprocess.run([SDK, "-c", code], capture_output=True, text=True, cwd=lessons)
    names = ["fragile", "process_data", "report", "summarise"]
    told = f"{[f'data-processing.{name}' for name in names]} 4Gi auto\nProcessed x\n"
    assert found.stdout == told, found.stderr
