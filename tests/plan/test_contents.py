from types import FunctionType

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.notebook.module import Module
from flyte_nb.plan.bundle import bundle_for
from flyte_nb.plan.files import shipped
from flyte_nb.plan.local_modules import local_modules


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


SOURCE = """\
import shared
HELP = 1
OTHER = 2
IMAGE = "x"
a = TaskEnvironment("a", description=IMAGE)
b = TaskEnvironment("b")
@a.task
def f(): return HELP
@b.task
def g(): return OTHER, shared
@b.hook
def ready(): ...
"""


def rows(source=SOURCE, names=("a", "b"), **given):
    made = []
    for name, task in (("a", "f"), ("b", "g")):
        env = TaskEnvironment(name)
        env.task(FunctionType((lambda: 1).__code__, {}, task))
        made += [env] if name in names else []
    return {row["environment"]: row for row in bundle_for(made, Module(source), **given).environments}


def test_an_environment_is_the_same_whatever_else_is_in_the_bundle():
    assert rows(names=("a",))["a"] == rows()["a"]
    assert rows(SOURCE.replace("OTHER = 2", "OTHER = 3"))["a"] == rows()["a"]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [("HELP = 1", "HELP = 2", "a"), ("OTHER = 2", "OTHER = 3", "b"), ("ready(): ...", "ready(): 1", "b"),
     ('"x"', '"y"', "a"), ("return HELP", "return HELP,", "a")],
)  # fmt: skip
def test_what_one_reads_changes_the_digest_of_that_one_only(old, new, changed):
    before, now = rows(), rows(SOURCE.replace(old, new))
    assert [name for name in before if before[name]["digest"] != now[name]["digest"]] == [changed]


def test_a_task_does_not_read_the_declaration_of_its_own_environment():
    assert set(rows()["a"]["tasks"]["a.f"]["reads"]) == {"a.f", "HELP"}
    assert set(rows()["a"]["reads"]) == {"environment a", "IMAGE"}
    assert set(rows()["b"]["reads"]) == {"environment b", "b.ready"}


def test_a_local_module_belongs_to_the_environments_that_import_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for text in ("import inner", "import inner  # more"):
        (tmp_path / "shared.py").write_text(text)
        (tmp_path / "inner.py").write_text(text[:1])
        files = local_modules(SOURCE, str)
        assert {file.path for file in files} == {"shared.py", "inner.py"}
        digests.append({name: row["digest"] for name, row in rows(files=files).items()})
    assert digests[0]["a"] == digests[1]["a"]
    assert digests[0]["b"] != digests[1]["b"]


def test_an_included_file_belongs_to_whoever_includes_it(tmp_path):
    found = []
    for text in ("1", "22"):
        (tmp_path / "page.html").write_text(text)
        file = shipped("page.html", tmp_path / "page.html", "included by 'a'", is_included=True)
        found.append({name: row["digest"] for name, row in rows(files=[file], included={"a": [file]}).items()})
    assert found[0]["a"] != found[1]["a"]
    assert found[0]["b"] == found[1]["b"]


def test_what_cannot_be_told_apart_reads_everything():
    env = Environment("made-in-a-loop")
    before, now = (
        bundle_for([env], Module(source)).environments[0]["digest"] for source in (SOURCE, SOURCE.replace("2", "3"))
    )
    assert before != now
