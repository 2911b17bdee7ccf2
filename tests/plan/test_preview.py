import json

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.plan.bundle import bundle_for
from flyte_nb.plan.preview import planned


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


def bundle(factor=2, cpu=1, **given):
    base = TaskEnvironment("base", resources=Resources(cpu=cpu))

    @base.task
    def f() -> int:
        return 1

    source = (
        f'base = TaskEnvironment("base", resources=Resources(cpu={cpu}))\nFACTOR = {factor}\n'
        "@base.task\ndef f(): return FACTOR\n"
    )
    captured = (Captured("data", b"12345", "In [4], line 1"),)
    return bundle_for([base, Environment("top", depends_on=[base])], Module(source, captured), **given)


def deployed(made, version="v0"):
    return {row["environment"]: {**row, "version": version} for row in made.environments}


def plan(made, before=None, unchanged=()):
    targets = {row["environment"]: (made.version, row["environment"] in unchanged) for row in made.environments}
    return planned(made, targets, before or {})


def test_what_is_not_deployed_is_created():
    made = plan(bundle())
    assert made.order == ("base", "top")
    assert [(c.environment, c.what, c.deployed, c.has_tasks) for c in made.changes] == [
        ("base", "create", "", ("base.f",)),
        ("top", "create", "", ()),
    ]
    assert made.groups == (("base", "top"),)
    assert made.counts == {"create": 2, "update": 0, "same": 0}
    assert made
    assert [(value.path, value.size) for value in made.values] == [("data", 5)]
    assert made.size == sum(file.size for file in made.files) > 5
    assert str(made) == f"<Plan of 2 environments: 2 to create, version {made.version}>"


def test_what_is_deployed_as_it_is_stays_the_same():
    before = deployed(bundle())
    made = plan(bundle(), before, unchanged=("base", "top"))
    assert not made
    assert {c.what for c in made.changes} == {"same"}


def test_what_changed_is_told_by_field_and_by_name():
    made = plan(bundle(factor=3, cpu=2), deployed(bundle()), unchanged=("top",))
    base, top = made.changes
    assert (top.what, base.what, base.deployed) == ("same", "update", "v0")
    assert [(f.field, f.before, f.after) for f in base.fields] == [("resources.cpu", "1", "2")]
    assert [(t.task, t.what, [str(n) for n in t.names]) for t in base.tasks] == [
        ("base.f", "changed", ["FACTOR changed"])
    ]
    assert base.names == ()  # its own declaration is told by its fields
    assert base.note == ""


def test_the_same_content_under_a_new_name_says_so():
    made = plan(bundle(version="v1"), deployed(bundle()))
    assert [c.note for c in made.changes] == ["the same content under the version v1"] * 2


def test_what_was_deployed_without_digests_says_so():
    before = {name: {"version": "old", "declaration": row["declaration"], "tasks": row["tasks"]}
              for name, row in deployed(bundle()).items()}  # fmt: skip
    made = plan(bundle(), before)
    assert {c.note for c in made.changes} == {"what was deployed does not tell what it was made of"}


def test_what_an_older_flyte_nb_deployed_is_compared_in_what_it_told():
    before = {name: {**row, "version": "old", "digest": "", "reads": {},
                     "tasks": {task: {k: v for k, v in told.items() if k != "reads"}
                               for task, told in row["tasks"].items()}}
              for name, row in deployed(bundle()).items()}  # fmt: skip
    made = plan(bundle(), before)
    assert {c.note for c in made.changes} == {"what was deployed does not tell what it was made of"}
    assert [(c.names, c.tasks) for c in made.changes] == [((), ())] * 2


def test_the_same_input_has_the_same_digest():
    assert plan(bundle()).digest == plan(bundle()).digest
    assert plan(bundle()).to_json() == plan(bundle()).to_json()
    others = [plan(bundle(factor=3)), plan(bundle(), deployed(bundle())), plan(bundle(version="v1"))]
    assert len({plan(bundle()).digest, *(other.digest for other in others)}) == 4


def test_as_json():
    told = json.loads(plan(bundle(factor=3), deployed(bundle()), unchanged=("top",)).to_json())
    assert told["counts"] == {"create": 0, "update": 1, "same": 1}
    assert told["changes"][0]["tasks"][0]["names"] == [{"name": "FACTOR", "what": "changed"}]
    assert told["order"] == ["base", "top"]
