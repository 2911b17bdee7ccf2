from pathlib import Path

import pytest
from flyte_nb.errors import UnknownNameError
from flyte_nb.notebook.location import VARIABLE, find_location, stated_location


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "work" / "lesson.ipynb"
    path.parent.mkdir()
    path.write_text("{}")
    return path


@pytest.mark.parametrize("told", [VARIABLE, "JPY_SESSION_NAME"])
def test_a_variable_tells(notebook, told):
    location = find_location({}, {told: str(notebook)}, Path("/"))
    assert (location.file, location.folder) == (notebook, notebook.parent)


def test_a_servers_path_is_relative_to_its_own_root(notebook):
    location = find_location({}, {"JPY_SESSION_NAME": "work/lesson.ipynb"}, notebook.parent)
    assert (location.file, location.told) == (notebook, "Jupyter")


def test_vs_code_tells_in_the_kernel(notebook):
    location = find_location({"__vsc_ipynb_file__": str(notebook)}, {}, Path("/"))
    assert (location.file, location.told) == (notebook, "VS Code")


@pytest.mark.parametrize("hint", ["console-1", "gone.ipynb", "/gone/lesson.ipynb", ""])
def test_without_a_hint_that_holds_it_is_the_working_directory(tmp_path, monkeypatch, hint):
    monkeypatch.chdir(tmp_path)
    location = find_location({"__vsc_ipynb_file__": 3}, {"JPY_SESSION_NAME": hint}, tmp_path)
    assert (location.file, location.folder) == (None, tmp_path)
    assert str(location) == f"{tmp_path} (the working directory)"


def test_it_can_be_stated(notebook):
    assert stated_location(notebook).folder == stated_location(notebook.parent).folder == notebook.parent
    with pytest.raises(UnknownNameError, match=r"no notebook or folder named .*lesso\.ipynb.*lesson\.ipynb"):
        stated_location(notebook.with_name("lesso.ipynb"))
