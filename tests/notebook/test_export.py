import ast
import importlib.util
import sys
import textwrap

import pytest
from flyte_nb.cell_line import rewrite
from flyte_nb.changes import tasks_of
from flyte_nb.environments.base import listen
from flyte_nb.errors import SliceError, UsageError
from flyte_nb.notebook.export import Export, check_target, export_module, write_export
from flyte_nb.notebook.slicing import module_for


@pytest.fixture
def written(kernel):
    """Export everything that the kernel's cells declare."""

    def written(**how):
        environments = list(kernel.registry.values())
        tasks = [task for env in environments for task in tasks_of(env).values()]
        module = module_for(kernel.log, kernel.namespace, tasks=tasks, environments=environments)
        names = tuple(env.name for env in environments)
        return export_module(module, kernel.log, Export(environments=names, **how)), module

    return written


@pytest.fixture
def imported(tmp_path):
    """Import an exported module, as a person would."""

    def imported(source, module):
        path = tmp_path / "exported.py"
        write_export(path, source, module)
        spec = importlib.util.spec_from_file_location("exported", path)
        sys.modules["exported"] = made = importlib.util.module_from_spec(spec)
        before = listen(None)
        try:
            spec.loader.exec_module(made)
        finally:
            listen(before)
        return made

    yield imported
    sys.modules.pop("exported", None)


def magic(line, body=""):
    return "".join(rewrite([f"%%flyte {line}\n", *textwrap.dedent(body).splitlines(keepends=True)]))


ENV = "import flyte_nb as flyte\nenv = flyte.TaskEnvironment('e')\n"


def test_an_export_reads_as_if_written_by_hand(kernel, written):
    kernel.cell("import flyte_nb as flyte\nfrom statistics import mean\nfrom dataclasses import dataclass")
    kernel.cell(
        '# where the work is done\nenv = flyte.TaskEnvironment(\nname="e",\ncache="auto")\n\nFACTOR = 2\nLIMIT = 3'
    )
    kernel.cell("def scale(x):\n    return min(mean(x) * FACTOR, LIMIT)\n")
    kernel.cell("@dataclass\nclass Point:\n    x: float")
    kernel.cell(
        "# one task\n# and why\n@env.task\ndef run(p: 'Point') -> float:\n    return scale([p.x])\nprint('side')"
    )
    assert written(notebook="lesson.ipynb")[0] == textwrap.dedent('''\
        """The environment e.

        Exported from the notebook lesson.ipynb.
        """

        from dataclasses import dataclass
        from statistics import mean

        import flyte_nb as flyte

        # where the work is done
        env = flyte.TaskEnvironment(
            name="e",
            cache="auto",
        )

        FACTOR = 2
        LIMIT = 3


        def scale(x):
            return min(mean(x) * FACTOR, LIMIT)


        @dataclass
        class Point:
            x: float


        # one task
        # and why
        @env.task
        def run(p: 'Point') -> float:
            return scale([p.x])
        ''')


def test_running_cells_again_changes_nothing(kernel, written):
    cells = [ENV, "B = 1", "A = 2", "def helper(): return A + B", "@env.task\ndef f() -> int: return helper()"]
    for cell in cells:
        kernel.cell(cell)
    first = written()[0]
    assert first.index("B = 1") < first.index("A = 2")
    for cell in [cells[2], cells[1], cells[4], cells[0], cells[3]]:
        kernel.cell(cell)
    assert written()[0] == first == written()[0]


def test_marks_tell_the_cells(kernel, written):
    kernel.cell(ENV)
    kernel.cell("\n# why\n@env.task\ndef f() -> int: return 1")
    source = written(marks=True)[0]
    assert "# In [1], line 2\nenv = " in source
    assert "# In [2], line 3\n# why\n@env.task" in source
    assert "# In [" not in written()[0]


def test_a_magic_cell_becomes_a_plain_declaration(kernel, written, imported, monkeypatch):
    monkeypatch.setattr("flyte_nb.session.process_registry", kernel.registry)
    kernel.cell(magic("first --cpu 2", "@task\ndef f() -> int: return 1\n"))
    line = "second --env A=1 --depends-on first --cache auto --description 'a description that makes it long'"
    kernel.cell(magic(line, "@task(retries=2)\ndef g() -> int: return 1\n"))
    source, module = written()
    assert "_flyte" not in source
    assert "registry" not in source
    assert "@env_first.task\ndef f() -> int: return 1\n" in source
    assert "@env.task(retries=2)\ndef g() -> int: return 1\n" in source
    assert 'env_first = flyte.TaskEnvironment("first", resources=flyte.Resources(cpu=2))\n' in source
    assert '    env_vars={"A": "1"},\n    depends_on=[env_first],\n)\n' in source
    made = imported(source, module)
    assert list(made.env.tasks) == ["second.g"]
    assert [env.name for env in made.env.depends_on] == ["first"]


def test_a_short_name_of_the_users_own_stays(kernel, written):
    kernel.cell(f"{ENV}task = env.task\n@task\ndef f() -> int: return 1")
    assert "task = env.task\n\n\n@task\ndef f()" in written()[0]


def test_an_export_is_importable_and_has_what_was_declared(kernel, written, imported):
    kernel.cell(ENV)
    kernel.cell("import enum\nclass Kind(enum.Enum):\n    A = 1\n@env.task\ndef f(k: Kind = Kind.A) -> Kind: return k")
    made = imported(*written())
    assert made.f(made.Kind.A) is made.Kind.A
    assert made.Kind.__module__ == "exported"


# --- captured values ---


def test_a_computed_value_is_refused_with_its_cell_and_the_ways_out(kernel, written):
    kernel.cell(ENV)
    kernel.cell("import time\nstarted = time.time()\n@env.task\ndef f() -> float: return started")
    with pytest.raises(SliceError, match=r"'started' of In \[2\], line 2 .*inside a task.*with_data=True"):
        written()


def test_with_data_it_is_written_beside_and_loaded(kernel, written, imported, tmp_path):
    kernel.cell(f"{ENV}from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int")
    kernel.cell("points = [Point(i) for i in range(2)]\n@env.task\ndef f() -> int: return len(points)")
    source, module = written(data="exported_data")
    assert 'points = _load("points")\n' in source
    made = imported(source, module)
    assert made.points == [made.Point(0), made.Point(1)]
    assert [p.name for p in (tmp_path / "exported_data").iterdir()] == ["points.pkl"]


# --- for the Flyte SDK ---


def test_for_the_sdk_it_imports_the_sdk(kernel, written):
    kernel.cell("import flyte_nb\nimport flyte_nb as fl\nfrom flyte_nb import Resources")
    kernel.cell("env = flyte_nb.TaskEnvironment('e', resources=Resources(cpu=1))\napp = fl.app.AppEnvironment('a')")
    kernel.cell(
        "@env.task\ndef f() -> int:\n    import flyte_nb as flyte\n    from flyte_nb.io import File\n    return 1"
    )
    source = written(target="flyte")[0]
    assert "flyte_nb" not in source
    top = "import flyte\nimport flyte as fl\nimport flyte.app\nfrom flyte import Resources\n"
    assert top in source
    assert "    import flyte\n    from flyte.io import File\n" in source
    assert "env = flyte.TaskEnvironment(" in source
    assert "import flyte_nb as fl\n" in written()[0]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("@env.task\ndef f() -> int: return flyte.deployed('e.g')()", "flyte.deployed"),
        ("clone = env.clone_with('c', reset=['env_vars'])", r"clone_with\(reset=…\)"),
    ],
)
def test_what_the_sdk_does_not_have_is_refused_with_its_cell(kernel, written, cell, told):
    kernel.cell(ENV)
    kernel.cell(cell)
    with pytest.raises(SliceError, match=rf"In \[2\], line 1 uses {told}, which the Flyte SDK does not have"):
        written(target="flyte")
    written()


# --- the file ---


@pytest.mark.parametrize("name", ["pipeline", "pipeline.ipynb", "."])
def test_a_path_that_is_not_a_modules_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="accepted: the name of a Python file"):
        check_target(tmp_path / name)


def test_a_file_that_no_export_wrote_is_left_alone(kernel, written, tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        check_target(tmp_path / "no" / "a.py")
    path = tmp_path / "a.py"
    check_target(path)
    kernel.cell(ENV)
    write_export(path, *written())
    check_target(path)
    path.write_text('"""By hand."""\n')
    with pytest.raises(UsageError, match=r"a\.py is there and no export wrote it"):
        check_target(path)


@pytest.mark.parametrize(
    ("names", "told"),
    [("a", "The environment a"), ("abc", "The environments a, b and c"), ("abcdef", "6 environments")],
)
def test_the_docstring_says_what_and_from_where(kernel, written, names, told):
    kernel.cell("import flyte_nb as flyte\n" + "\n".join(f"{name} = flyte.TaskEnvironment('{name}')" for name in names))
    assert ast.get_docstring(ast.parse(written()[0])) == f"{told}.\n\nExported from a notebook."
    assert '\n\nExported from the notebook a_b.ipynb.\n"""\n' in written(notebook='a"b.ipynb')[0]
