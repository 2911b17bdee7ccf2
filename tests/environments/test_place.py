import dataclasses
import subprocess
import sys

import pytest
from flyte_nb import tracebacks
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.place import Place, here
from flyte_nb.environments.task import TaskEnvironment


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


def line():
    return sys._getframe(1).f_lineno


def run(source, file, **names):
    names = {"Environment": Environment, "TaskEnvironment": TaskEnvironment, **names}
    exec(compile(source, file, "exec"), names)
    return names


def test_here_is_the_nearest_line_of_the_user():
    place, number = here(), line()
    assert (place.file, place.line, place.in_cell, place.at_import) == (__file__, number, False, False)


def test_a_declaration_knows_its_line():
    env, number = Environment("e"), line()
    assert env.place.line == number
    assert dataclasses.replace(env, name="f").place.line == number + 2
    assert TaskEnvironment("t").clone_with("c").place.line == number + 3


def test_a_task_knows_its_line():
    env = TaskEnvironment("e")

    @env.task
    def f() -> None: ...

    assert f.place.file == __file__
    assert f.place.line in range(line() - 6, line())


@pytest.mark.parametrize("file", ["<ipython-input-3-ab12>", "/tmp/ipykernel_1/23.py"])
def test_a_cell(file):
    env = run("\n\nenv = Environment('e')", file)["env"]
    assert env.place == Place(file, 3, in_cell=True, at_import=True)


def test_a_module_and_a_function_of_it(tmp_path):
    file = str(tmp_path / "m.py")
    names = run("env = Environment('e')\ndef make():\n    return Environment('f')\nother = make()", file)
    assert names["env"].place == Place(file, 1, at_import=True)
    assert names["other"].place == Place(file, 3)


def test_the_init_of_a_users_dataclass_is_passed_over():
    source = (
        "from dataclasses import dataclass\n@dataclass\nclass Mine(Environment):\n    x: int = 1\n\nenv = Mine('e')"
    )
    assert run(source, "/a/b.py")["env"].place.line == 6


def test_code_without_a_file():
    assert run("env = Environment('e')", "<string>")["env"].place == Place("<string>", 1, at_import=True)
    code = "from flyte_nb.environments.base import Environment as E\nprint(E('e').place)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "<string>, line 2"


def test_a_place_is_told_in_cells(monkeypatch):
    monkeypatch.setattr(tracebacks, "name_cell", lambda file: "In [3]")
    assert str(Place("<ipython-input-3-ab12>", 2, in_cell=True)) == "In [3], line 2"
    assert str(Place("/a/b.py", 2)) == "/a/b.py, line 2"
