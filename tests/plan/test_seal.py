"""The seal of a bundle: what was edited on disk is refused, by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.files import shipped
from flyte_nb.plan.seal import insist_whole, is_whole, seal_of


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    page = tmp_path / "page.html"
    page.write_text("page")
    return Bundle(
        "v1", Module("x = 1\n", (Captured("a", b"1", "In [1]"),)), (), (shipped("pages/page.html", page, "i"),)
    )


def test_what_was_written_is_whole(tmp_path: Path, bundle: Bundle) -> None:
    home = bundle.write(tmp_path / "bundles")
    insist_whole(home, seal_of(home))
    insist_whole(tmp_path / "nowhere", "")  # of an older flyte_nb: nothing is known
    assert is_whole(home)
    assert is_whole(home, seal_of(home), bundle.manifest())
    (home / "written-by-a-task.csv").write_text("1")
    (home / "__pycache__").mkdir()
    (home / "__pycache__" / "cells.cpython-311.pyc").write_bytes(b"")
    assert is_whole(home)


@pytest.mark.parametrize("path", ["cells.py", "captured/a.pkl", "pages/page.html", "manifest.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_each_file_counts(tmp_path: Path, bundle: Bundle, path: str, how: str) -> None:
    home = bundle.write(tmp_path / "bundles")
    seal = seal_of(home)
    if how == "gone":
        (home / path).unlink()
    else:
        os.chmod(home / path, 0o600)
        (home / path).write_text("{}")
    with pytest.raises(DeploymentError, match=rf"bundles/v1-\w+ is not what was deployed: {path} is {how}; "):
        insist_whole(home, seal)
    assert not is_whole(home, seal)
    assert not is_whole(home, like=bundle.manifest())


@pytest.mark.parametrize("path", ["json.py", "pages/__init__.py", "numpy.so"])
def test_a_module_that_was_added_counts(tmp_path: Path, bundle: Bundle, path: str) -> None:
    home = bundle.write(tmp_path / "bundles")
    (home / path).write_text("")
    with pytest.raises(DeploymentError, match=f"{path} is added; remove it, or deploy again"):
        insist_whole(home, seal_of(home))


def test_numbers_of_cells_do_not_count(tmp_path: Path) -> None:
    one, two = (Bundle("v1", Module(f"# In [{n}], line 1\nx = 1\n"), ()) for n in (1, 7))
    home = one.write(tmp_path)
    there = home.stat().st_ino
    assert two.write(tmp_path) == home
    assert home.stat().st_ino == there
    other = Bundle("v1", Module("x = 2\n"), ())
    assert not is_whole(home, like=other.manifest())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}', '{"files": [1]}'])
def test_a_manifest_of_something_else_is_written_anew(tmp_path: Path, bundle: Bundle, text: str) -> None:
    home = bundle.write(tmp_path)
    (home / "manifest.json").write_text(text)
    assert not is_whole(home)
    assert bundle.write(tmp_path) == home
    assert is_whole(home, like=bundle.manifest())
