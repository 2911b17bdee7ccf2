"""Notebooks without a front end, in real kernels."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from flyte_nb.errors import NotebookError, ParameterError, UnknownNameError
from flyte_nb.headless import Executed, bound, execute, inject, read, value_of


def notebook(path: Path, *sources: str, tags: dict[int, Sequence[str]] | None = None, **metadata: Any) -> Path:
    """Write a notebook of code cells; a source that begins with ``# md`` is markdown."""
    cells = []
    for n, source in enumerate(sources):
        make = nbformat.v4.new_markdown_cell if source.startswith("# md") else nbformat.v4.new_code_cell
        cells.append(make(source, metadata={"tags": list((tags or {}).get(n, ()))}))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def printed(executed: Executed) -> list[str]:
    return ["".join(o.text for o in c.get("outputs", []) if o.output_type == "stream") for c in executed.notebook.cells]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "home"))
    yield
    assert [p for p in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(p.cmdline())] == []


def test_notebook_runs_in_its_folder_with_parameters_and_progress(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("beside it")
    path = notebook(
        tmp_path / "n.ipynb",
        "# md first",
        "n = 1\nname: str = 'none'",
        "print(n, name, open('data.txt').read())",
        "",
        "1 / 0",
        "import os; print(os.environ['FLYTE_NB_SESSION'])",
        tags={1: ["parameters"], 4: ["raises-exception"]},
    )
    told: list[tuple[int, int, str]] = []
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    done = execute(
        path, {"n": 3, "name": "x'y"}, progress=lambda n, total, state, source: told.append((n, total, state))
    )
    assert done.error is None
    assert printed(done)[3] == "3 x'y beside it\n"
    assert printed(done)[-1] == f"{done.session}\n"
    assert done.notebook.cells[2].metadata.tags == ["injected-parameters"]
    assert done.cells == 5
    assert told == [(n, 5, state) for n in range(1, 6) for state in ("running", "done")]
    assert done.session not in path.read_text()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_failing_cell_ends_the_notebook(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "print('before')", "print('in it')\n{}['key']", "print('after')")
    done = execute(path)
    assert done.error is not None
    assert (done.error.number, done.error.name, done.error.value) == (2, "KeyError", "'key'")
    assert "{}['key']" in done.error.source
    assert str(done.error) == "cell 2 failed: KeyError: 'key'"
    assert printed(done) == ["before\n", "in it\n", ""]
    assert done.cells == 1


@pytest.mark.parametrize("how", ["import os; os._exit(3)", "import time; time.sleep(60)"])
def test_kernel_that_dies_and_cell_that_takes_too_long(tmp_path: Path, how: str) -> None:
    path = notebook(tmp_path / "n.ipynb", "print('before')", f"print('in it')\n{how}", "print('after')")
    saved = nbformat.read(path, 4)
    for cell in saved.cells:  # as it lies in a repository: it ran before
        cell.execution_count = 7
        cell.outputs = [nbformat.v4.new_output("stream", text="stale\n")]
    nbformat.write(saved, path)
    done = execute(path, timeout=3)
    assert done.error is not None
    assert done.error.number == 2
    assert done.error.name in ("DeadKernelError", "CellTimeoutError")
    assert printed(done)[0] == "before\n"
    assert printed(done)[2] == ""


def test_kernel_that_is_not_there(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "1", kernelspec={"name": "no-such", "display_name": "No such"})
    with pytest.raises(NotebookError, match="no-such"):
        execute(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json {", "it is not JSON"),
        ("", "it is not JSON"),
        ("[]", "is not a notebook"),
        ("{}", "is not a notebook"),
        ('"text"', "is not a notebook"),
        ("null", "is not a notebook"),
        ('{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "is not a notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "is not a notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "odd"}]}', "is not a notebook"),
    ],
)
def test_file_that_is_not_a_notebook(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(content)
    with pytest.raises(NotebookError, match=told) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(NotebookError, match="it is not JSON"):
        read(path)


def test_missing_notebook_is_met_with_the_nearest(tmp_path: Path) -> None:
    notebook(tmp_path / "quickstart.ipynb", "1")
    with pytest.raises(UnknownNameError, match=r"no notebook named 'quikstart.ipynb'; did you mean 'quickstart.ipynb'"):
        read(tmp_path / "quikstart.ipynb")
    with pytest.raises(UnknownNameError, match="there is none yet"):
        read(tmp_path / "nowhere" / "n.ipynb")
    with pytest.raises(UnknownNameError):
        read(tmp_path)


def test_older_notebooks_are_read(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "source": "n = 1", "metadata": {"tags": ["parameters"]}, "outputs": [],
            "execution_count": None}  # fmt: skip
    for minor in (2, 5):  # 5 without the ids that it should have
        path = tmp_path / f"{minor}.ipynb"
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": [cell]}))
        made = inject(read(path), {"n": 2}, path)
        nbformat.validate(made)
        assert made.cells[1].source == "n = 2"


def test_parameters_that_do_not_fit(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "number = 1", tags={0: ["parameters"]})
    with pytest.raises(ParameterError, match="has no parameter 'nubmer'; did you mean 'number'"):
        execute(path, {"nubmer": 2})
    bare = notebook(tmp_path / "bare.ipynb", "number = 1")
    with pytest.raises(ParameterError, match="takes no parameters: no cell of it is tagged 'parameters'"):
        execute(bare, {"number": 2})


def test_parameters_injected_once(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "n = 1", "print(n)", tags={0: ["parameters"]})
    nbformat.write(inject(read(path), {"n": 2}, path), path)
    again = inject(read(path), {"n": 3}, path)
    assert [cell.source for cell in again.cells] == ["n = 1", "n = 3", "print(n)"]


def test_names_that_a_parameters_cell_binds() -> None:
    assert bound("a = 1\nb: int = 2\nc, d = 3, 4\nif a:\n    e = 1") == ["a", "b", "c", "d", "e"]
    assert bound("%matplotlib inline\na = 1") == ["a"]
    assert bound("not python at all") == []
    assert bound("squares = [i * i for i in range(3)]\ndef f():\n    inner = 1") == ["squares"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", 1.5), ("[1, 'a']", [1, "a"]), ("true", True), ("False", False), ("none", None), ("a b", "a b"),
     ("'7'", "7"), ("", ""), ("2026-01-01", "2026-01-01"), ("1e999", "1e999"), ("data/x.csv", "data/x.csv")],
)  # fmt: skip
def test_values_of_parameters(text: str, value: Any) -> None:
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)
