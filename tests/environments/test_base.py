import copy
import dataclasses
from dataclasses import dataclass

import pytest
from flyte_nb.environments.base import Environment, listen, suggest_name
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


class Ear:
    def __init__(self):
        self.heard = []

    def declared(self, env):
        if env.name == "refused":
            raise RuntimeError("refused")
        self.heard.append(("declared", env.name))

    def binding(self, env, task):
        self.heard.append(("binding", env.name, task.name))

    def depending(self, env):
        self.heard.append(("depending", env.name))


@pytest.fixture
def ear():
    made = Ear()
    before = listen(made)
    yield made
    listen(before)


def test_defaults():
    env = Environment("e")
    assert env.to_dict() == {"type": "Environment", "name": "e"}
    assert (env.depends_on, env.include, env.interruptible) == ([], (), False)
    assert (env.description, env.secrets, env.env_vars, env.resources) == (None, None, None, None)
    assert env.place.file == __file__


@pytest.mark.parametrize("name", ["a", "a1", "train-large", "a_b-c", "1", "a" * 253])
def test_names(name):
    assert Environment(name).name == name


@pytest.mark.parametrize("name", ["", "A", "a--b", "-a", "a-", "a.b", "a b", "ä", "a__b", "a\n", "a" * 254])
def test_names_that_are_refused(name):
    with pytest.raises(DeclarationValueError, match=r"^Environment.name"):
        Environment(name)


@pytest.mark.parametrize(("name", "better"), [("MyEnv", "my-env"), ("a b!", "a-b"), ("", "my-env"), ("GPU 2", "gpu-2")])
def test_a_better_name_is_suggested(name, better):
    with pytest.raises(DeclarationValueError, match=f"for example to '{better}'"):
        Environment(name)


@given(st.text(max_size=300))
def test_what_is_suggested_is_accepted(text):
    suggested = suggest_name(text)
    before = listen(None)
    try:
        assert Environment(suggested).name == suggested
    finally:
        listen(before)


def test_a_long_description_is_cut():
    assert len(Environment("e", description="x" * 300).description) == 255
    assert Environment("e", description="x" * 300).description.endswith("...(cut)")
    assert Environment("e", description="x" * 255).description == "x" * 255


@pytest.mark.parametrize(
    ("given", "kept"), [(["a", "b"], ("a", "b")), (("a",), ("a",)), ((), ()), (iter(["a"]), ("a",))]
)
def test_include(given, kept):
    assert Environment("e", include=given).include == kept


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("a.py", DeclarationTypeError),
        (3, DeclarationTypeError),
        ([1], DeclarationTypeError),
        ([" "], DeclarationValueError),
    ],
)
def test_include_that_is_refused(given, error):
    with pytest.raises(error, match="include"):
        Environment("e", include=given)


@pytest.mark.parametrize("variables", [{"1A": "x"}, {"A B": "x"}, {"": "x"}, {"A": "x\0y"}])
def test_variables_that_are_refused(variables):
    with pytest.raises(DeclarationValueError, match="env_vars"):
        Environment("e", env_vars=variables)


# --- who hears of it ---


def test_a_declaration_is_announced_once_it_is_valid(ear):
    Environment("e")
    with pytest.raises(DeclarationValueError):
        Environment("E")
    assert ear.heard == [("declared", "e")]


def test_the_check_of_a_subclass_comes_first(ear):
    @dataclass
    class Picky(Environment):
        def __post_init__(self):
            super().__post_init__()
            raise ValueError("picky")

    with pytest.raises(ValueError, match="picky"):
        Picky("e")
    assert ear.heard == []


def test_who_hears_may_refuse(ear):
    with pytest.raises(RuntimeError, match="refused"):
        Environment("refused")


def test_listen_gives_who_heard_before(ear):
    other = Ear()
    assert listen(other) is ear
    Environment("e")
    assert listen(ear) is other
    assert (other.heard, ear.heard) == ([("declared", "e")], [])


def test_replace_announces_and_copy_does_not(ear):
    env = Environment("e")
    assert dataclasses.replace(env, name="f").place.file == __file__
    copy.copy(env)
    assert ear.heard == [("declared", "e"), ("declared", "f")]


# --- dependencies ---


def test_dependencies_are_added_once(ear):
    env, one, two = Environment("e"), Environment("one"), Environment("two")
    env.add_dependency(one, two, one)
    env.add_dependency(two)
    env.add_dependency()
    assert env.depends_on == [one, two]
    assert ear.heard.count(("depending", "e")) == 1


def test_dependencies_that_are_refused():
    env, one = Environment("e"), Environment("one")
    with pytest.raises(DeclarationTypeError, match="add_dependency"):
        env.add_dependency(one, "two")
    with pytest.raises(DeclarationValueError, match="itself"):
        env.add_dependency(one, env)
    with pytest.raises(DeclarationValueError, match="itself"):
        env.add_dependency(Environment("e"))
    assert env.depends_on == []


def test_to_dict_gives_dependencies_by_name():
    env = Environment("e", depends_on=[Environment("base")], resources=Resources(cpu=1))
    assert env.to_dict() == {
        "type": "Environment",
        "name": "e",
        "resources": {"type": "Resources", "cpu": 1},
        "depends_on": ["base"],
    }


def test_where_it_was_declared_is_no_part_of_it():
    assert Environment("e") == Environment("e")
    assert Environment("e").digest() == Environment("e").digest()


# --- clones ---


def whole():
    return TaskEnvironment("e", env_vars={"A": "1"}, resources=Resources(cpu=1), interruptible=True, include=("a",),
                           depends_on=[Environment("base")], secrets=["s"])  # fmt: skip


def test_a_clone_inherits_and_shares_nothing_mutable():
    env = whole()
    clone = env.clone_with("c")
    assert [change.field for change in env.diff(clone)] == ["name"]
    clone.env_vars["B"] = "2"
    clone.secrets.append("t")
    clone.depends_on.append(env)
    assert env == whole()
    assert clone.depends_on[0] is env.depends_on[0]


def test_none_keeps_and_anything_else_replaces():
    env = whole()
    assert env.clone_with("c", env_vars=None).env_vars == {"A": "1"}
    assert env.clone_with("c", interruptible=False).interruptible is False
    assert env.clone_with("c", env_vars={}).env_vars == {}


def test_reset_goes_back_to_the_default():
    clone = whole().clone_with("c", reset=("env_vars", "depends_on", "interruptible"))
    assert (clone.env_vars, clone.depends_on, clone.interruptible) == (None, [], False)
    assert whole().clone_with("c", reset="include").include == ()


@pytest.mark.parametrize("reset", ["name", "nothing", "_tasks", "place"])
def test_what_cannot_be_reset(reset):
    with pytest.raises(DeclarationValueError, match="reset"):
        whole().clone_with("c", reset=[reset])


def test_reset_and_a_value_at_once_is_refused():
    with pytest.raises(DeclarationValueError, match="in the same call"):
        whole().clone_with("c", reset=["image"], image="x")


def test_a_required_field_of_a_subclass_cannot_be_reset():
    @dataclass(kw_only=True)
    class Mine(TaskEnvironment):
        team: str

    env = Mine(name="e", team="a")
    assert env.clone_with("c").team == "a"
    assert env.clone_with("c", team="b").team == "b"
    with pytest.raises(DeclarationValueError, match="reset"):
        env.clone_with("c", reset=["team"])


def test_a_clone_is_announced_where_it_was_made(ear):
    clone = whole().clone_with("c")
    assert clone.place.file == __file__
    assert clone.place.line > 0
    assert ear.heard[-1] == ("declared", "c")
    assert clone.tasks == {}
