import functools
import importlib
import sys

import pytest
from flyte_nb.changes import same_task, tasks_of
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DuplicateEnvironmentError, UnknownNameError
from flyte_nb.registry import Registry, Source
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule


def cell(key, number=1):
    return Source(key, f"In [{number}]", is_cell=True)


@pytest.fixture
def registry():
    made = Registry()
    before = listen(made)
    yield made
    listen(before)


def run(registry, source, body):
    registry.begin(source)
    try:
        value = body()
    except BaseException:
        registry.rollback()
        raise
    return registry.commit(), value


def add(x: int) -> int:
    return x + 1


def names(environments):
    return [env.name for env in environments]


# --- a mapping ---


def test_it_is_a_mapping(registry):
    one, two = TaskEnvironment("one"), Environment("two")
    assert dict(registry) == {"one": one, "two": two}
    assert len(registry) == 2
    assert registry["one"] is one
    assert "three" not in registry
    with pytest.raises(KeyError):
        registry["three"]
    assert repr(registry) == "<Registry of 2 environments: 'one', 'two'>"


def test_its_repr_is_bounded(registry):
    for number in range(50):
        Environment(f"e{number}")
    assert len(repr(registry)) < 200


def test_find_suggests(registry):
    Environment("training")
    with pytest.raises(UnknownNameError, match="no environment named 'trainin'; did you mean 'training'"):
        registry.find("trainin")
    assert registry.find("training").name == "training"


def test_find_task(registry):
    one, two = TaskEnvironment("one"), TaskEnvironment("two")
    task = one.task(add)
    assert registry.find_task("one.add") is registry.find_task("add") is task
    two.task(add)
    with pytest.raises(UnknownNameError, match=r"'two\.add' or 'one\.add'"):
        registry.find_task("add")
    with pytest.raises(UnknownNameError, match=r"'one\.add'"):
        registry.find_task("one.ad")


def test_newest_and_source(registry):
    old = Environment("e")
    new = Environment("e")
    other = Environment.__new__(Environment)
    other.name = "never-declared"
    assert registry.newest(old) is new
    assert registry.newest(other) is other
    assert registry.source_of("e").key.endswith("test_registry.py")
    assert registry.source_of("nothing") is None


def test_a_refused_declaration_is_not_registered(registry):
    with pytest.raises(ValueError, match="name"):
        Environment("Not A Name")
    assert len(registry) == 0


# --- cells ---


def test_a_cell_says_what_it_did(registry):
    changes, _ = run(registry, cell("c"), lambda: TaskEnvironment("e"))
    assert names(changes.added) == ["e"]
    assert bool(changes)
    changes, _ = run(registry, cell("c"), lambda: TaskEnvironment("e"))
    assert names(changes.same) == ["e"]
    assert not changes
    changes, _ = run(registry, cell("c"), lambda: TaskEnvironment("e", description="new"))
    (change,) = changes.changed
    assert [(c.field, c.before, c.after) for c in change.fields] == [("description", None, "new")]
    changes, _ = run(registry, cell("c"), lambda: None)
    assert names(changes.withdrawn) == ["e"]
    assert len(registry) == 0


def test_a_cell_with_nothing_to_say(registry):
    assert not run(registry, cell("c"), lambda: None)[0]
    assert not registry.commit()
    registry.rollback()


def test_another_cell_replaces_with_a_notice(registry):
    run(registry, cell("a", 1), lambda: Environment("e"))
    changes, _ = run(registry, cell("b", 2), lambda: Environment("e"))
    assert changes.notices == ["environment 'e' of In [1] is replaced by the one in In [2]"]
    changes, _ = run(registry, cell("a", 3), lambda: None)
    assert "e" in registry
    assert not changes


def test_tasks_are_added_changed_and_withdrawn(registry):
    _, env = run(registry, cell("env"), lambda: TaskEnvironment("e"))
    changes, _ = run(registry, cell("t"), lambda: env.task(add))
    assert [c.tasks_added for c in changes.changed] == [["e.add"]]
    assert not run(registry, cell("t"), lambda: env.task(add))[0]

    def other():
        def add(x: int) -> int:
            return x + 2

        env.task(add)

    assert [c.tasks_changed for c in run(registry, cell("t"), other)[0].changed] == [["e.add"]]
    assert [c.tasks_withdrawn for c in run(registry, cell("t"), lambda: None)[0].changed] == [["e.add"]]
    assert env.tasks == {}


def test_tasks_of_other_cells_stay_with_an_environment_declared_again(registry):
    run(registry, cell("env"), lambda: TaskEnvironment("e"))
    _, task = run(registry, cell("t"), lambda: registry["e"].task(add))
    changes, new = run(registry, cell("env"), lambda: TaskEnvironment("e", interruptible=True))
    assert new.tasks == {"e.add": task}
    assert task.environment is new
    assert changes.changed[0].tasks_withdrawn == []


def test_its_own_tasks_go_with_an_environment_declared_again(registry):
    def both():
        TaskEnvironment("e").task(add)

    run(registry, cell("c"), both)
    changes, env = run(registry, cell("c"), lambda: TaskEnvironment("e"))
    assert env.tasks == {}
    assert changes.changed[0].tasks_withdrawn == ["e.add"]


def test_a_task_bound_to_a_stale_object_belongs_to_the_newest(registry):
    _, stale = run(registry, cell("env"), lambda: TaskEnvironment("e"))
    _, newest = run(registry, cell("env"), lambda: TaskEnvironment("e"))
    _, task = run(registry, cell("t"), lambda: stale.task(add))
    assert newest.tasks == {"e.add": task}
    assert task.environment is newest


def test_a_task_of_another_cell_is_replaced_with_a_notice(registry):
    run(registry, cell("env"), lambda: TaskEnvironment("e"))
    run(registry, cell("a", 2), lambda: registry["e"].task(add))
    changes, _ = run(registry, cell("b", 3), lambda: registry["e"].task(add))
    assert changes.notices == ["task 'e.add' of In [2] is replaced by the one in In [3]"]
    run(registry, cell("a", 4), lambda: None)
    assert "e.add" in registry["e"].tasks


def test_dependencies_added_later_are_a_change(registry):
    run(registry, cell("a"), lambda: (Environment("base"), Environment("e")))
    changes, _ = run(registry, cell("b"), lambda: registry["e"].add_dependency(registry["base"]))
    assert [(c.field, c.before, c.after) for c in changes.changed[0].fields] == [("depends_on", [], ["base"])]


# --- failing cells ---


def fails(*steps):
    def body():
        for step in steps:
            step()
        raise RuntimeError("boom")

    return body


def test_a_cell_that_fails_leaves_everything_as_it_was(registry):
    run(registry, cell("env"), lambda: (Environment("base"), TaskEnvironment("e")))
    env = registry["e"]
    _, task = run(registry, cell("t"), lambda: env.task(add))
    with pytest.raises(RuntimeError, match="boom"):
        run(
            registry,
            cell("c"),
            fails(
                lambda: Environment("new"),
                lambda: TaskEnvironment("e", description="other"),
                lambda: registry["e"].task(len_of),
                lambda: env.add_dependency(registry["base"]),
            ),
        )
    assert list(registry) == ["base", "e"]
    assert registry["e"] is env
    assert env.tasks == {"e.add": task}
    assert task.environment is env
    assert env.depends_on == []


def len_of(x: str) -> int:
    return len(x)


def test_a_failed_cell_does_not_take_a_task_over(registry):
    _, env = run(registry, cell("env"), lambda: TaskEnvironment("e"))
    run(registry, cell("a"), lambda: env.task(add))
    with pytest.raises(RuntimeError):
        run(registry, cell("b"), fails(lambda: env.task(add)))
    changes, _ = run(registry, cell("a"), lambda: None)
    assert changes.changed[0].tasks_withdrawn == ["e.add"]


def test_a_failed_cell_keeps_no_task_source(registry):
    _, env = run(registry, cell("env"), lambda: TaskEnvironment("e"))
    with pytest.raises(RuntimeError):
        run(registry, cell("b"), fails(lambda: env.task(add)))
    changes, _ = run(registry, cell("c", 7), lambda: env.task(add))
    assert changes.notices == []


# --- modules ---


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "declares_env.py"
    path.write_text("from flyte_nb.environments.base import Environment\nenv = Environment('e')\n")
    yield path
    sys.modules.pop("declares_env", None)


def load():
    if "declares_env" in sys.modules:
        return importlib.reload(sys.modules["declares_env"])
    return importlib.import_module("declares_env")


def test_a_cell_and_a_module_may_not_share_a_name(registry, module):
    run(registry, cell("c", 5), lambda: Environment("e"))
    with pytest.raises(DuplicateEnvironmentError, match=r"'e' is declared in .*declares_env.py, line 2 and in In"):
        run(registry, cell("d", 6), load)
    assert registry.source_of("e").is_cell


def test_a_module_and_then_a_cell(registry, module):
    run(registry, cell("c", 1), load)
    with pytest.raises(DuplicateEnvironmentError, match=r"declared in In \[2\] and in .*declares_env.py"):
        run(registry, cell("d", 2), lambda: Environment("e"))


def test_a_module_outlives_the_cell_that_imported_it(registry, module):
    run(registry, cell("c"), load)
    changes, _ = run(registry, cell("c"), lambda: None)
    assert not changes
    assert registry.source_of("e").key == str(module)


def test_a_module_loaded_again_replaces_without_a_notice(registry, module):
    run(registry, cell("c"), load)
    module.write_text(module.read_text().replace("'e'", "'e', description='new'"))
    changes, _ = run(registry, cell("d"), load)
    assert changes.notices == []
    assert [c.field for c in changes.changed[0].fields] == ["description"]


# --- observers ---


def test_observers_hear_of_changes_until_they_stop(registry):
    heard = []
    stop = registry.observe(heard.append)
    run(registry, cell("c"), lambda: Environment("e"))
    run(registry, cell("c"), lambda: Environment("e"))
    Environment("outside")
    assert [names(changes.added) for changes in heard] == [["e"], ["outside"]]
    stop()
    stop()
    Environment("unheard")
    assert len(heard) == 2


def test_observers_hear_nothing_of_a_failed_cell(registry):
    heard = []
    registry.observe(heard.append)
    with pytest.raises(RuntimeError):
        run(registry, cell("c"), fails(lambda: Environment("e")))
    assert heard == []


# --- tasks compared ---


def task_from(source, **settings):
    space = {"functools": functools}
    exec(compile(source, "<cell>", "exec"), space)
    before = listen(None)
    try:
        return TaskEnvironment("e").task(**settings)(space["f"])
    finally:
        listen(before)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(): return 1", "\n\ndef f():\n    # new\n    return 1", True),
        ("def f(): return 1", "def f(): return True", False),
        ("def f(): return (1, 0.0)", "def f(): return (1, -0.0)", False),
        ("def f(): return (1,)", "def f(): return (True,)", False),
        ("def f(): return a", "def f(): return b", False),
        ("def f(x: int): return x", "def f(x: str): return x", False),
        ("def f(x=1): return x", "def f(x=2): return x", False),
        ("def f(): return lambda: 1", "def f(): return lambda: 2", False),
        ("def f(): return lambda: 1", "def f():\n\n  return lambda: 1", True),
        ("def f(): pass", "async def f(): pass", False),
        ("def f(): return {1, 2}", "def f(): return {1, 2}", True),
    ],
)
def test_same_task(one, other, same):
    assert same_task(task_from(one), task_from(other)) is same


def test_the_function_inside_a_wrapper_counts():
    wrapper = "def d(g):\n @functools.wraps(g)\n def w(): return g()\n return w\n@d\ndef f(): return {}"
    assert same_task(task_from(wrapper.format(1)), task_from(wrapper.format(1)))
    assert not same_task(task_from(wrapper.format(1)), task_from(wrapper.format(2)))


def test_settings_count():
    source = "def f(): return 1"
    assert not same_task(task_from(source), task_from(source, retries=1))
    assert same_task(task_from(source, retries=1), task_from(source, retries=1))


# --- at random: the registry is always what the cells that succeeded last say ---


class Cells(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.registry = Registry()
        self.before = listen(self.registry)
        self.bodies = {}
        self.owners = {}

    @rule(key=st.sampled_from("abc"), declares=st.sets(st.sampled_from(["x", "y", "z"])), ok=st.booleans())
    def run(self, key, declares, ok):
        def body():
            for name in sorted(declares):
                TaskEnvironment(name)
            if not ok:
                raise RuntimeError("boom")

        try:
            run(self.registry, cell(key), body)
        except RuntimeError:
            return
        for name in [name for name, owner in self.owners.items() if owner == key]:
            del self.owners[name]
        self.owners.update(dict.fromkeys(declares, key))

    @invariant()
    def holds_what_the_cells_say(self):
        assert {name: self.registry.source_of(name).key for name in self.registry} == self.owners

    def teardown(self):
        listen(self.before)


TestCells = Cells.TestCase
TestCells.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)


@pytest.mark.long
def test_a_thousand_cells(registry):
    for number in range(1_000):
        run(registry, cell(str(number)), lambda n=number: TaskEnvironment(f"e{n}").task(add))
    assert len(registry) == 1_000
    assert sum(len(tasks_of(env)) for env in registry.values()) == 1_000


def test_a_failed_cell_takes_its_assignments_back(registry):
    env = run(registry, cell("a"), lambda: TaskEnvironment(name="kept", description="before", env_vars={"A": "1"}))[1]
    other = run(registry, cell("b"), lambda: TaskEnvironment(name="other"))[1]

    def assign():
        env.description, env.queue = "after", "fast"
        env.env_vars["B"] = "2"
        other.env_vars = {"C": "3"}
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(registry, cell("c"), assign)
    assert (env.description, env.queue, env.env_vars) == ("before", None, {"A": "1"})
    assert not other.env_vars
    assert registry["kept"] is env


def test_a_cell_that_succeeds_keeps_its_assignments(registry):
    env = run(registry, cell("a"), lambda: TaskEnvironment(name="kept"))[1]
    run(registry, cell("b"), lambda: setattr(env, "description", "after"))
    assert env.description == "after"
