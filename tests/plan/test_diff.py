import json

import pytest
from flyte_nb.plan.diff import FieldChange, NameChange, TaskChange, fields_changed, names_changed, tasks_changed
from hypothesis import given
from hypothesis import strategies as st

RESOURCES = {"type": "Resources", "cpu": 1, "memory": "1Gi"}
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2), st.lists(st.integers(0, 2)))
DATA = st.dictionaries(
    st.sampled_from("abcd"), st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("xyz"), inner))
)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"resources": RESOURCES}, {"resources": {**RESOURCES, "cpu": 2}}, [("resources.cpu", "1", "2", "~")]),
        ({}, {"resources": RESOURCES}, [("resources", "", "Resources(cpu=1, memory='1Gi')", "+")]),
        ({"interruptible": True}, {}, [("interruptible", "True", "", "-")]),
        ({"image": RESOURCES}, {"image": {"type": "Image", "cpu": 1}},
         [("image", "Resources(cpu=1, memory='1Gi')", "Image(cpu=1)", "~")]),
        ({"depends_on": ["a"]}, {"depends_on": ["a", "b"]}, [("depends_on", "['a']", "['a', 'b']", "~")]),
        ({"a": 1}, {"a": True}, [("a", "1", "True", "~")]),
        ({"env_vars": {"TOKEN": "x", "MODE": "1"}}, {"env_vars": {"TOKEN": "y", "MODE": "2"}},
         [("env_vars.TOKEN", "'********'", "'********'", "~"), ("env_vars.MODE", "'1'", "'2'", "~")]),
        ({"secrets": "api-key"}, {"secrets": ["api-key", {"type": "Secret", "key": "other"}]},
         [("secrets", "'api-key'", "['api-key', Secret(key='other')]", "~")]),
    ],
)  # fmt: skip
def test_fields_one_by_one(before, after, told):
    found = fields_changed(before, after)
    assert [(change.field, change.before, change.after, change.sign) for change in found] == told


@given(DATA, DATA)
def test_what_is_the_same_differs_in_nothing_and_what_is_not_in_something(one, other):
    found = fields_changed(one, other)
    assert bool(found) is (json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    back = fields_changed(other, one)
    assert {(c.field, c.before, c.after) for c in found} == {(c.field, c.after, c.before) for c in back}
    for change in found:  # each is a field of one of them
        assert change.field.split(".")[0] in {**one, **other}


def test_names():
    assert names_changed({"a": "1", "b": "1", "…": "1"}, {"a": "2", "c": "1", "…": "2"}) == [
        NameChange("a", "changed"),
        NameChange("b", "is gone"),
        NameChange("c", "is new"),
        NameChange("names further away", "changed"),
    ]
    assert str(NameChange("helper", "changed")) == "helper changed"
    assert names_changed({"a": "1"}, {"a": "1"}) == []


def row(reads, **more):
    return {"inputs": [], "outputs": {}, "interface": "() -> int", "description": "", "reads": reads, **more}


def test_tasks():
    before = {"e.f": row({"e.f": "1", "A": "1"}), "e.same": row({}), "e.gone": row({})}
    after = {
        "e.f": row({"e.f": "2", "A": "2"}, interface="(x: int) -> int", description="New"),
        "e.same": row({}),
        "e.new": row({}),
    }
    assert tasks_changed(before, after) == [
        TaskChange("e.new", "added"),
        TaskChange(
            "e.f",
            "changed",
            (NameChange("f", "changed"), NameChange("A", "changed")),
            (FieldChange("interface", "() -> int", "(x: int) -> int"), FieldChange("description", "''", "'New'")),
        ),
        TaskChange("e.gone", "withdrawn"),
    ]


def test_settings_that_the_environment_tells_are_not_told_again():
    policies = [json.dumps({"resources": {"type": "Resources", "cpu": n}, "retries": n}) for n in (1, 2)]
    one, other = ({"e.f": row({}, policy=policy)} for policy in policies)
    told = [change.field for change in tasks_changed(one, other)[0].fields]
    assert told == ["resources.cpu", "retries"]
    assert [c.field for c in tasks_changed(one, other, ["resources.cpu"])[0].fields] == ["retries"]
    assert tasks_changed(one, other, ["resources.cpu", "retries"]) == []


def test_a_task_that_was_deployed_without_what_it_reads():
    before = {"e.f": {"interface": "() -> int", "description": ""}}
    assert tasks_changed(before, {"e.f": row({"A": "1"})}) == []  # whether A is new cannot be told
