import pytest
from flyte_nb.magics import rewrite
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.notebook.reading import definitions, imported, reads_of

HEAD = """\
# In [1], line 1
env = flyte.TaskEnvironment("e")


# In [2], line 1
FACTOR = 2


# In [2], line 2
def helper(x):
    import local.part
    return x * FACTOR


# In [3], line 1
@env.task
def f(x: int) -> int:
    return helper(x)
"""


def reads(source, *roots, without=()):
    return reads_of(definitions(Module(source)), roots, frozenset(without))


def test_each_name_with_its_place_and_what_it_reads():
    found = definitions(Module(HEAD))
    assert {key: one.where for key, one in found.items()} == {
        "environment e": "In [1], line 1",
        "FACTOR": "In [2], line 1",
        "helper": "In [2], line 2",
        "e.f": "In [3], line 1",
    }
    assert found["e.f"].reads == {"environment e", "helper"}
    assert (found["e.f"].name, found["e.f"].owners) == ("f", {"environment e"})
    assert list(reads(HEAD, "e.f", without=["environment e"])) == ["FACTOR", "e.f", "helper"]
    assert imported(found, ["e.f"]) == {"local.part"}
    assert imported(found, ["FACTOR"]) == frozenset()


def test_only_the_digest_of_what_changed_changes():
    before, now = reads(HEAD, "e.f"), reads(HEAD.replace("FACTOR = 2", "FACTOR = 3"), "e.f")
    assert {name for name in before if before[name] != now[name]} == {"FACTOR"}


def test_the_numbers_of_cells_do_not_count():
    assert reads(HEAD, "e.f") == reads(HEAD.replace("In [2]", "In [9]"), "e.f")


def test_tasks_of_one_name_are_kept_apart():
    second = (
        HEAD
        + "\n\n# In [4], line 1\nother = flyte.TaskEnvironment('o')\n\n\n# In [4], line 2\n@other.task\ndef f(): ...\n"
    )
    assert reads(second, "e.f") == reads(HEAD, "e.f")
    assert set(reads(second, "o.f")) == {"o.f", "environment o"}


def test_an_environment_and_a_task_of_one_name_are_kept_apart():
    source = HEAD.replace('"e"', '"f"')
    assert reads(source, "f.f", without=["environment f"]).keys() == {"f.f", "helper", "FACTOR"}


def test_a_variable_that_the_slice_renamed_changes_nothing():
    assert reads(HEAD.replace("env", "env_e"), "e.f") == reads(HEAD, "e.f")


def test_the_names_of_a_magic_cell():
    cell = "".join(rewrite(["%%flyte e\n", "@task\n", "def f(): ...\n"]))
    assert set(reads(f"# In [1], line 1\n{cell}", "e.f")) == {"_flyte", "e.f", "environment e"}


def test_a_captured_value_counts_by_its_bytes():
    source = "# In [1], line 1\ndef g(): return x\n\n\nx = _captured('x')  # list\n"
    one, two = (
        reads_of(definitions(Module(source, (Captured("x", data, "In [7], line 1"),))), ["g"]) for data in (b"1", b"2")
    )
    assert one["g"] == two["g"]
    assert one["x"] != two["x"]


def test_of_very_many_names_the_nearest_are_told_and_the_rest_counts_as_one():
    def source(last):
        links = [f"def f{n}(): return f{n + 1}()" for n in range(300)]
        return "\n".join([*links, f"def f300(): return {last}"])

    before, now = reads(source(1), "f0"), reads(source(2), "f0")
    assert len(before) == 201
    assert {name for name in before if before[name] != now[name]} == {"…"}


@pytest.mark.parametrize("text", ["x = (\n", "\0", '# In [1], line 1\nx = """\n# In [2], line 1\n"""\n'])
def test_what_cannot_be_told_apart_never_fails(text):
    definitions(Module(text))


def test_a_text_that_holds_a_mark_is_one_statement():
    found = definitions(Module('# In [1], line 1\nx = """\n# In [2], line 1\n"""\ny = x\n'))
    assert found.keys() == {"x", "y"}


def test_what_a_script_does_when_it_is_run_does_not_count():
    script = "def f(): ...\nif __name__ == '__main__':\n    f()\n"
    assert reads(script, "f") == reads(script + "    print(f)\n", "f")


def test_an_environment_that_nothing_is_bound_to():
    source = "import flyte_nb as flyte\nflyte.TaskEnvironment('bare')\nenv = flyte.TaskEnvironment('e')\n"
    found = definitions(Module(source))
    assert found.keys() == {"flyte", "environment bare", "environment e"}
    assert reads(source.replace("'bare'", "'bare', cpu=1"), "environment e") == reads(source, "environment e")
