"""What travels with a deployment, typed into a real kernel: the declaring file, included files, local modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernels import Kernel
from scripts import ran, written

ENV = 'env = flyte.TaskEnvironment("pages", include=["templates/*.html"])'
TASKS = """
import helpers

@env.task
def page(name: str) -> str:
    from package import words
    with open("templates/a.html") as file:
        return helpers.shout(file.read()) + words.GREETING + name

@env.task
def where() -> tuple[str, str]:
    import os
    return os.getcwd(), helpers.__file__

@env.task
def calls(name: str) -> str:
    return page(name)
"""


def value(kernel: Kernel, expression: str) -> str:
    """Give the repr of an expression, whatever is shown of the runs that it takes."""
    return kernel.run(f"print(repr({expression}))").printed.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "helpers.py": "from package.style import MARK\n\ndef shout(text): return text.strip() + MARK\n",
        "package/__init__.py": "",
        "package/style.py": 'MARK = "!"\n',
        "package/words.py": 'GREETING = " hello "\n',
        "templates/a.html": "<p>\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


# --- the rows "declaring file" and "clone" of what the SDK gets wrong in a notebook ---


def test_the_declaring_file_of_a_cell_is_a_module_that_holds_it(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(ENV)
    assert kernel.value("env._get_declaring_file() == env._declaring_file") == "True"
    file = Path(kernel.run("print(env._declaring_file)").printed.strip())
    assert file.is_relative_to(tmp_path / ".flyte_nb" / "modules")
    assert ENV in file.read_text()
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['env'].name)"
    assert ran(["-c", code, str(file)], tmp_path).stdout == "pages\n"


def test_the_declaring_file_needs_no_extension(bare_kernel: Kernel, tmp_path: Path) -> None:
    bare_kernel.run(f"import flyte_nb as flyte\n{ENV}")
    assert ENV in bare_kernel.run("print(open(env._declaring_file).read())").printed


def test_the_declaring_file_of_a_clone_is_where_the_clone_was_made(kernel: Kernel, tmp_path: Path) -> None:
    written(tmp_path / "bases.py", 'import flyte_nb as flyte\nbase = flyte.TaskEnvironment("base")\n'
                                   'def made():\n    return base.clone_with("made")\n')  # fmt: skip
    kernel.run("import bases\nclone = bases.base.clone_with('clone')")
    kernel.run("files = [bases.base._declaring_file, bases.made()._declaring_file, clone._declaring_file]")
    base, made, clone = eval(kernel.value("files"))
    assert base == made == str(tmp_path / "bases.py")
    assert "bases.base.clone_with('clone')" in Path(clone).read_text()


# --- the row "includes" ---


def test_included_files_and_local_modules_travel(
    kernel: Kernel, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kernel.run(f"{ENV}{TASKS}")
    here = value(kernel, "flyte.run(page, name='you').outputs()[0]")
    assert here == "'<p>! hello you'"
    assert kernel.run("print(*flyte.run(where).outputs())").printed.split() == [str(folder), str(folder / "helpers.py")]
    shown = kernel.run("%flyte deploy --dry-run").shown
    assert "+ templates/a.html  4 bytes, included by 'pages' (templates/*.html)" in shown
    assert "+ package/words.py  21 bytes, imported by In [2], line 6" in shown
    kernel.run("flyte.deploy(env)")
    (folder / "helpers.py").write_text("raise ImportError")
    (folder / "templates" / "a.html").unlink()
    assert value(kernel, "flyte.deployed('pages.page')(name='you')") == here
    assert value(kernel, "flyte.deployed('pages.calls')(name='you')") == here
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    words = ["-m", "flyte_nb", "call"]
    done = ran([*words, "pages.page", "--name", "you"], elsewhere, FLYTE_NB_HOME=str(folder / ".flyte_nb"))
    assert (done.stdout, done.stderr) == ("<p>! hello you\n", "")
    cwd, file = ran([*words, "pages.where"], elsewhere, FLYTE_NB_HOME=str(folder / ".flyte_nb")).stdout.split()
    assert Path(cwd) == Path(file).parent
    assert Path(cwd).parent == folder / ".flyte_nb" / "bundles"
    assert sorted(p.name for p in Path(cwd).iterdir()) == ["cells.py", "helpers.py", "manifest.json", "package",
                                                            "templates"]  # fmt: skip


def test_without_includes_a_deployed_task_runs_where_it_is_called(kernel: Kernel, folder: Path) -> None:
    kernel.run(f"{ENV.partition(', ')[0]}){TASKS}")
    kernel.run("flyte.deploy(env)")
    assert value(kernel, "flyte.deployed('pages.where')()[0]") == repr(str(folder))


def test_a_local_module_that_changed_is_another_version(kernel: Kernel, folder: Path) -> None:
    kernel.run(f"{ENV}{TASKS}\nfirst = flyte.deploy(env)[0].version")
    assert value(kernel, "flyte.deploy(env)[0].unchanged") == "True"
    (folder / "package" / "words.py").write_text('GREETING = " hi "\n')
    assert value(kernel, "flyte.deploy(env)[0].version != first") == "True"
    assert value(kernel, "flyte.deployed('pages.page')(name='you')") == "'<p>! hi you'"


@pytest.mark.parametrize("path", ["templates/b.html", "link.txt"])
def test_what_cannot_be_included_deploys_nothing(kernel: Kernel, folder: Path, path: str) -> None:
    (folder / "link.txt").symlink_to("/etc/hostname")
    kernel.run(f"{ENV}{TASKS}".replace("templates/*.html", path))
    error = kernel.run("flyte.deploy(env)", fails=True).error
    assert "DeploymentError" in error
    assert path in error
    assert kernel.value("get_ipython().run_line_magic('flyte', 'list').text()").count("deployed") == 0


def test_an_environment_of_an_imported_module_deploys_from_a_notebook(kernel: Kernel, folder: Path) -> None:
    written(folder / "pipeline.py", f"import flyte_nb as flyte\n{ENV}{TASKS}")
    kernel.run("from pipeline import env\nimport pipeline\nmine = flyte.TaskEnvironment('mine', depends_on=[env])\n"
               "@mine.task\ndef g(x: str) -> str: return pipeline.calls(x)")  # fmt: skip
    kernel.run("flyte.deploy(mine)")
    assert value(kernel, "flyte.deployed('mine.g')('you')") == "'<p>! hello you'"
    assert value(kernel, "flyte.deployed('pages.page')('you')") == "'<p>! hello you'"
    assert kernel.value("env._declaring_file") == repr(str(folder / "pipeline.py"))


def test_the_notebook_can_be_stated(kernel: Kernel, folder: Path) -> None:
    assert kernel.run("%flyte notebook").shown == f"the notebook lies in {folder} (the working directory)"
    kernel.run(f"{ENV}{TASKS}\nimport os, sys\nsys.path.insert(0, {str(folder)!r})\nos.chdir('/')")
    assert "templates" in kernel.run("flyte.deploy(env)", fails=True).error
    (folder / "lesson.ipynb").write_text("{}")
    told = kernel.run(f"%flyte notebook {folder / 'lesson.ipynb'}").shown
    assert told == f"the notebook is {folder / 'lesson.ipynb'} (stated)"
    assert value(kernel, "[d.environment for d in flyte.deploy(env)]") == "['pages']"
    assert "no notebook or folder named" in kernel.run("%flyte notebook nowhere.ipynb", fails=True).error


def test_a_script_travels_with_what_lies_beside_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    written(folder / "script.py", f"import flyte_nb as flyte\n{ENV}{TASKS}\nif __name__ == '__main__':\n"
                                  "    print([f.why for f in flyte.deploy(env).files])\n")  # fmt: skip
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    home = {"FLYTE_NB_HOME": str(folder / "home")}
    done = ran([str(folder / "script.py")], elsewhere, **home)
    assert "imported by script.py, line 3" in done.stdout, done.stderr
    (folder / "helpers.py").unlink()
    done = ran(["-m", "flyte_nb", "call", "pages.page", "--name", "you"], elsewhere, **home)
    assert done.stdout == "<p>! hello you\n", done.stderr


def test_a_headless_run_tells_where_the_notebook_is(tmp_path: Path) -> None:
    import nbformat
    from flyte_nb.headless import execute

    cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext flyte_nb", "%flyte notebook")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "lesson.ipynb")
    executed = execute(tmp_path / "lesson.ipynb")
    shown = executed.notebook.cells[1].outputs[0].data["text/plain"]
    assert shown == f"the notebook is {tmp_path / 'lesson.ipynb'} (the headless run)"


def test_what_a_cell_has_declared_so_far_can_be_used_in_it(kernel: Kernel, folder: Path) -> None:
    ran = kernel.run(f"{ENV}{TASKS}\nprint(open(env._declaring_file).read())\nprint(flyte.deploy(env).files[0].path)")
    assert ENV in ran.printed
    assert ran.printed.endswith("helpers.py\n")
    kernel.run("again = await flyte.run.aio(page, 'you')\nfor n in [1]:\n    flyte.run(page, 'me')")
    cell = [
        "FACTOR = 2",
        "@env.task",
        "def f() -> int: return FACTOR",
        "assert flyte.run(f).outputs() == (2,)",
        "FACTOR = 3",
        "assert flyte.run(f).outputs() == (3,)",
        "assert (await flyte.run.aio(f)).outputs() == (3,)",
    ]
    kernel.run("\n".join(cell))


# --- what is out of date ---


def test_a_helper_that_changed_is_marked_after_a_run_and_a_deployment(kernel: Kernel, folder: Path) -> None:
    kernel.run("FACTOR = 2\ndef helper(x): return x * FACTOR\nenv = flyte.TaskEnvironment('calc')")
    kernel.run("import helpers\n@env.task\ndef double(x: int) -> int:\n    return helper(x)\n"
               "@env.task\ndef shout(x: str) -> str:\n    return helpers.shout(x)")  # fmt: skip
    assert "out of date" not in kernel.run("%flyte list").shown
    kernel.run("flyte.run(double, 1)")
    assert "out of date" not in kernel.run("%flyte list").shown
    kernel.run("FACTOR = 3")
    told = "FACTOR (In [7], line 1) changed since the last run of double"
    assert f"out of date: {told}" in kernel.run("%flyte list").shown
    kernel.run("flyte.run(double, 1)\nflyte.deploy(env)")
    assert "out of date" not in kernel.run("%flyte show calc").shown
    kernel.run("def helper(x): return x + FACTOR")
    (folder / "package" / "style.py").write_text('MARK = "?"\n')
    for shown in (kernel.run("%flyte show calc").shown, kernel.run("env").html):
        assert "helper (In [11], line 1) changed since the last run of double and the deployment" in shown
        assert "package/style.py changed since the deployment" in shown
    kernel.run("del helper")
    assert "'helper'" in kernel.run("%flyte list").shown


def test_what_a_draft_changed_is_out_of_date_until_it_is_deployed(kernel: Kernel) -> None:
    kernel.run('drafted = flyte.TaskEnvironment("drafted", env_vars={"A": "1"})\nflyte.deploy(drafted)')
    kernel.run('drafted = flyte.draft(drafted).set("env_vars.A", "2").apply()')
    told = "out of date: env_vars changed by a draft since the deployment"
    assert told in kernel.run("%flyte list").shown
    kernel.run("flyte.deploy(drafted)")
    assert told not in kernel.run("%flyte list").shown


def test_a_dependency_that_a_failed_cell_added_does_not_travel(kernel: Kernel) -> None:
    kernel.run('kept = flyte.TaskEnvironment("kept")\nkept.description = "as it was"\nflyte.deploy(kept)')
    failed = kernel.run(
        'more = flyte.TaskEnvironment("more", depends_on=[kept])\nkept.add_dependency(more)\nflyte.deploy(more)',
        fails=True,
    )
    assert "in a circle" in failed.error
    assert "out of date" not in kernel.run("%flyte list").shown
    assert "= kept  unchanged" in kernel.run("flyte.deploy(kept)").shown
