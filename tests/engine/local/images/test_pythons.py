"""The interpreters of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.local.images.pythons import find_python
from flyte_nb.environments.image_fields import running_python
from flyte_nb.errors import ImageBuildError


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine where interpreters are looked for in one folder of PATH first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    find_python.cache_clear()
    yield folder
    find_python.cache_clear()


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_running_interpreter_is_itself() -> None:
    found = find_python(running_python())
    assert found.is_running
    assert str(found.path) == sys.executable


def test_an_interpreter_on_the_path_is_found(only: Path) -> None:
    there = program(only / "python3.77", "echo 3.77.5")
    found = find_python((3, 77))
    assert (found.path, found.version, found.is_running) == (there, "3.77.5", False)


def test_pyenv_has_its_own_place_and_a_shim_comes_last(
    only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "shims" / "python3.77", "exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{only}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    (tmp_path / "pyenv" / "versions" / "3.77.1").mkdir(parents=True)
    there = program(tmp_path / "pyenv" / "versions" / "3.77.1" / "bin" / "python3.77", "echo 3.77.1")
    assert find_python((3, 77)).path == there


@pytest.mark.parametrize("script", ["exit 127", "echo 3.7.7", "echo nonsense"])
def test_what_does_not_say_the_version_is_none(only: Path, script: str) -> None:
    program(only / "python3.77", script)
    with pytest.raises(ImageBuildError, match=r"Python 3\.77, which is not installed here"):
        find_python((3, 77))


def test_the_error_names_those_that_are_there(only: Path) -> None:
    program(only / "python3.66", "echo 3.66.0")
    program(only / "python3.9", "echo 3.9.0")
    with pytest.raises(ImageBuildError) as told:
        find_python((3, 77))
    running = ".".join(map(str, running_python()))
    there = str(told.value).partition("Found: ")[2].partition(". Install")[0].split(", ")
    assert {running, "3.66"} <= set(there)
    assert "3.9" not in there  # no image can ask for it
