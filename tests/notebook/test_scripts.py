"""In a real kernel: what magics and ``%run`` execute is source as much as the cells are."""

import nbformat
import pytest

from kernels import new_kernel

SHOW = """
from flyte_nb.session import current_session
def sliced(*names):
    module = current_session().workbook.module(names=names)
    print(module.source)
    print("captured:", [value.name for value in module.captured])
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "helpers.py").write_text("# -*- coding: latin-1 -*-\nimport math\nLIMIT = 3\nx = 'é'\n\n"
                                       "def area(r):\n    return math.floor(r) * LIMIT\n", "latin-1")  # fmt: skip
    (folder / "fails.py").write_text("def before(): return 1\n1 / 0\ndef after(): return 2\n")
    (folder / "options.py").write_text("import sys\ndef given(): return ARGS\nARGS = list(sys.argv[1:])\n")
    (folder / "shell.ipy").write_text("%time\ndef from_ipy(): return 1\n")
    (folder / "moving.py").write_text("def now(): return 1\n")
    cells = [nbformat.v4.new_code_cell("def from_nb(n):\n    return n + more"), nbformat.v4.new_markdown_cell("more"),
             nbformat.v4.new_code_cell("more = 4")]  # fmt: skip
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "other.ipynb")
    with new_kernel(folder) as made:
        made.folder = folder
        made.run("%load_ext flyte_nb\nimport flyte_nb as flyte\nenv = flyte.TaskEnvironment('scripts')")
        made.run(SHOW)
        yield made


def test_a_script_that_was_run_is_source(kernel):
    kernel.run("%run helpers.py")
    kernel.run("def twice(r): return area(r) * 2")
    text = kernel.run("sliced('twice')").printed
    assert "helpers.py, line 6\ndef area(r):" in text
    assert "helpers.py, line 3\nLIMIT = 3" in text
    assert "import math" in text
    assert "captured: []" in text


def test_a_task_that_calls_what_a_script_defined(kernel):
    kernel.run("%run helpers.py\n@env.task\ndef use(r: float) -> int: return area(r)")
    assert kernel.value("flyte.run(use, 2.5).outputs()") == "(6,)"


def test_a_traceback_tells_the_script(kernel):
    kernel.run("%run helpers.py\n@env.task\ndef bad(r: str) -> int: return area(r)")
    assert "helpers.py, line 7" in kernel.run("flyte.run(bad, 'x')", fails=True).error


def test_a_script_that_changed_since_is_as_it_ran(kernel):
    kernel.run("%run moving.py")
    (kernel.folder / "moving.py").write_text("def now(): return 2\n")
    assert "return 1" in kernel.run("sliced('now')").printed
    kernel.run("%run moving.py")
    assert "return 2" in kernel.run("sliced('now')").printed


def test_a_script_that_fails_half_way(kernel):
    kernel.run("%run fails.py", fails=True)
    assert "def before" in kernel.run("sliced('before')").printed
    assert "'after', which no cell has bound" in kernel.run("sliced('after')", fails=True).error


def test_options_and_arguments_of_run(kernel):
    kernel.run("name = 'options'\n%run -i {name} a 'b c'")
    text = kernel.run("sliced('given')").printed
    assert "def given(): return ARGS" in text
    assert "captured: ['ARGS']" in text


def test_notebooks_and_ipy_scripts(kernel):
    kernel.run("%run other.ipynb\n%run shell.ipy")
    text = kernel.run("sliced('from_nb', 'from_ipy')").printed
    assert "other.ipynb cell 1, line 1\ndef from_nb(n):" in text
    assert "more = 4" in text
    assert "def from_ipy" in text


def test_a_script_that_is_not_there(kernel):
    assert "not found" in kernel.run("%run nowhere.py", fails=True).error
    kernel.run("%run helpers.py")


@pytest.mark.parametrize("magic", ["%%time", "%%capture out", "%%prun -q"])
def test_cells_under_a_magic(kernel, magic):
    kernel.run(f"{magic}\nfactor = 7\ndef scaled(x):\n    return x * factor")
    text = kernel.run("sliced('scaled')").printed
    assert "line 3\ndef scaled(x):" in text
    assert "factor = 7" in text
    assert "captured: []" in text


def test_a_line_under_a_magic(kernel):
    kernel.run("y = 1\n%time seven = 3 + 4")
    text = kernel.run("sliced('seven')").printed
    assert "line 2\nseven = 3 + 4" in text


def test_what_timeit_and_other_magics_bind_is_nothing(kernel):
    kernel.run("%%timeit -n1 -r1\ninside = 3")
    assert "inside" in kernel.run("sliced('inside')", fails=True).error
    kernel.run("%%writefile written.txt\ndef not_python(: pass")
    kernel.run("%%bash\necho hi")


def test_shell_lines_and_line_magics_beside_definitions(kernel):
    kernel.run("!true\nfiles = !echo one two\n%matplotlib --list\ndef first(): return files[0]\nhere = %pwd")
    text = kernel.run("sliced('first', 'here')").printed
    assert "def first(): return files[0]" in text
    assert "captured: ['files', 'here']" in text


def test_shell_output_reaches_a_task(kernel):
    kernel.run("files = !echo one two\n@env.task\ndef names() -> list[str]: return list(files)")
    assert kernel.value("flyte.run(names).outputs()") == "(['one two'],)"


def test_autoreload(kernel):
    (kernel.folder / "lib_a.py").write_text("def f(): return 1\n")
    kernel.run("%load_ext autoreload\n%autoreload 2\nimport lib_a\nfrom lib_a import f as lib_f")
    kernel.run("@env.task\ndef both() -> int: return lib_a.f() + lib_f()")
    text = kernel.run("sliced('both')").printed
    assert "import lib_a" in text
    assert "from lib_a import f as lib_f" in text
    assert "captured: []" in text


def test_await_and_async_at_the_top_of_a_cell(kernel):
    kernel.run("import asyncio\nasync def get():\n    await asyncio.sleep(0)\n    return [5]\ngot = await get()")
    kernel.run("async with asyncio.Lock() as lock:\n    held = 3\nasync def reads(): return got, held, await get()")
    text = kernel.run("sliced('reads')").printed
    assert "async def get" in text
    assert "captured: ['got', 'held']" in text


def test_cells_that_ran_before_anyone_watched(kernel, tmp_path):
    (tmp_path / "early.py").write_text("def early(): return base\nbase = 1\n")
    with new_kernel(tmp_path) as late:
        late.run("%run early.py")
        late.run("%%time\ndef timed(): return early()")
        late.run("%load_ext flyte_nb")
        late.run(SHOW)
        text = late.run("sliced('timed')").printed
    assert "early.py, line 1\ndef early(): return base" in text
    assert "captured: []" in text


def test_what_a_cell_bound_before_it_failed_under_a_magic_travels_by_value(kernel):
    kernel.run("def again(): return 1")
    kernel.run("%%time\nbefore_it = 1\n1 / 0\ndef again(): return 2", fails=True)
    text = kernel.run("sliced('before_it', 'again')").printed
    assert "captured: ['before_it']" in text
    assert "def again(): return 1" in text
