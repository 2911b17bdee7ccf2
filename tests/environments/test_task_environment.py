"""TaskEnvironment and what it has from Environment: fields, the decorator, tasks, registration."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
import pickle
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import flyte_nb as flyte
import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.image import Image
from flyte_nb.environments.interface import EMPTY, NativeInterface
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import Documentation, RetryStrategy, ReusePolicy, Timeout
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.environments.triggers import Cron, Trigger, TriggerTime
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError

BASE = [
    "name", "depends_on", "pod_template", "description", "secrets", "env_vars", "resources", "interruptible",
    "image", "include", "service_account",
]  # fmt: skip
FIELDS = [*BASE, "cache", "reusable", "plugin_config", "queue"]
picklable = TaskEnvironment("picklable", env_vars={"A": "1"})


@picklable.task
def travels(x: int) -> int:
    return x


def full(name: str = "full") -> TaskEnvironment:
    """Make an environment with every field at another value than its default, by position."""
    return TaskEnvironment(
        name, [Environment("dep")], "template", "text", ["key", Secret("k")], {"A": "1"}, Resources(cpu=1), True,
        "img:1", ["a.txt", "b/"], "account", "auto", ReusePolicy(3), None, "fast",
    )  # fmt: skip


# Fields


@pytest.mark.parametrize(("kind", "fields"), [(Environment, BASE), (TaskEnvironment, FIELDS)])
def test_the_fields_are_positional_in_their_order(kind: type, fields: list[str]) -> None:
    assert list(inspect.signature(kind).parameters) == fields
    assert [f.name for f in dataclasses.fields(kind) if f.init] == fields


def test_every_field_is_kept() -> None:
    env = full()
    given = [env.name, env.depends_on[0].name, env.pod_template, env.description, env.secrets, env.env_vars]
    assert given == ["full", "dep", "template", "text", ["key", Secret("k")], {"A": "1"}]
    assert (env.resources, env.interruptible, env.image) == (Resources(cpu=1), True, "img:1")
    assert (env.include, env.service_account) == (("a.txt", "b/"), "account")
    assert (env.cache, env.reusable, env.plugin_config, env.queue) == ("auto", ReusePolicy(3), None, "fast")


def test_the_defaults() -> None:
    env = TaskEnvironment("a")
    assert {f: getattr(env, f) for f in FIELDS} == {
        **dict.fromkeys(FIELDS), "name": "a", "depends_on": [], "interruptible": False, "image": "auto",
        "include": (), "cache": "disable",
    }  # fmt: skip
    assert env.tasks == {}
    assert TaskEnvironment("b").depends_on is not env.depends_on


@pytest.mark.parametrize("name", ["a", "0", "a1", "a-b_c", "snake_case", "kebab-case", "a" * 253])
def test_a_name_of_groups_joined_by_one_joiner(name: str) -> None:
    assert TaskEnvironment(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "-", "a-", "-a", "_a", "a_", "a--b", "a__b", "a-_b", "A", "aB", "a b", "a.b", "a\n", "ä", "a/b", "a" * 254],
)
def test_another_name_is_refused_and_quoted(name: str) -> None:
    with pytest.raises(DeclarationValueError, match=r"TaskEnvironment\.name") as caught:
        TaskEnvironment(name)
    assert repr(name)[:20] in str(caught.value)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", None), ("name", 1), ("name", b"a"),
        ("depends_on", None), ("depends_on", ["a"]), ("depends_on", "a"), ("depends_on", [None]),
        ("pod_template", 1), ("pod_template", {}), ("description", 1),
        ("secrets", ("a",)), ("secrets", {"a"}), ("secrets", [1]), ("secrets", 1),
        ("env_vars", []), ("env_vars", "A=1"), ("env_vars", {"A": 1}), ("env_vars", {1: "a"}),
        ("env_vars", {"A": None}),
        ("resources", {}), ("resources", "1"), ("interruptible", "no"), ("interruptible", 1), ("interruptible", None),
        ("image", 0), ("image", []), ("image", False), ("include", "a.txt"), ("include", b"a"), ("include", 1),
        ("include", None), ("include", [1]), ("service_account", 1),
        ("cache", 1), ("cache", True), ("cache", ["auto"]), ("reusable", 1), ("reusable", "on"), ("queue", 1),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_refused_by_name(field: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"TaskEnvironment\.{field}: given .*; accepted: ") as caught:
        TaskEnvironment(**{"name": "a", field: wrong})
    assert isinstance(caught.value, DeclarationTypeError)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("include", [""]), ("include", ["  "]), ("env_vars", {"": "x"}), ("env_vars", {"A=B": "x"}),
        ("env_vars", {"A B": "x"}), ("env_vars", {"A": "x\0"}), ("image", ""), ("image", " "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(field: str, wrong: Any) -> None:
    with pytest.raises(DeclarationValueError, match=rf"TaskEnvironment\.{field}"):
        TaskEnvironment(**{"name": "a", field: wrong})


def test_an_unknown_field_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        TaskEnvironment("a", ressources=Resources())  # type: ignore[call-arg]


@pytest.mark.parametrize("given", [["b", "a"], ("b", "a"), iter(["b", "a"]), (x for x in "ba"), {"b": 1, "a": 2}])
def test_include_is_kept_as_a_tuple_in_order(given: Any) -> None:
    assert TaskEnvironment("a", include=given).include == ("b", "a")


@pytest.mark.parametrize("path", ["../x", "..", "a/../../x", "/etc/passwd", "/proc/self/environ", "/a/../etc/shadow"])
def test_an_included_path_stays_with_the_code(path: str) -> None:
    with pytest.raises(DeclarationValueError, match=r"TaskEnvironment\.include"):
        TaskEnvironment("a", include=[path])


@pytest.mark.parametrize("path", ["a/../b", "./a", "..a", "/home/me/a.txt", "C:\\a.txt"])
def test_other_included_paths_are_kept_as_given(path: str) -> None:
    assert TaskEnvironment("a", include=[path]).include == (path,)


def test_objects_that_are_there_already_stay_the_same() -> None:
    given = {
        "pod_template": PodTemplate(), "secrets": [Secret("a")], "resources": Resources(cpu=1),
        "image": Image.from_base("x:1"), "cache": Cache("auto"), "reusable": ReusePolicy(3), "env_vars": {"A": "1"},
    }  # fmt: skip
    env = TaskEnvironment("a", **given)
    for name, value in given.items():
        assert getattr(env, name) is value or getattr(env, name) == value
    assert env.resources is given["resources"]
    assert env.secrets is not None
    assert env.secrets[0] is given["secrets"][0]


def test_a_long_description_is_cut_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert TaskEnvironment("a", description="x" * 255).description == "x" * 255
    assert not caplog.records
    cut = TaskEnvironment("a", description="x" * 256).description or ""
    assert (len(cut), cut[:247], cut[247:].strip("x")) == (255, "x" * 247, cut[247:])
    assert "256" in caplog.text


def test_an_unknown_word_for_cache_warns_and_its_tasks_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    env = TaskEnvironment("a", cache="sometimes")
    assert env.cache == "sometimes"
    assert "sometimes" in caplog.text
    with pytest.raises(DeclarationValueError, match="sometimes"):
        env.task(lambda: 1)
    assert env.tasks == {}
    caplog.clear()
    for known in ("auto", "override", "disable", "ON", "false"):
        TaskEnvironment("a", cache=known)
    assert not caplog.records


def test_reusable_excludes_a_plugin() -> None:
    for config in (3, {}, object()):
        with pytest.raises(DeclarationValueError, match=r"plugin_config"):
            TaskEnvironment("a", reusable=ReusePolicy(3), plugin_config=config)


# The declared object


def test_an_environment_is_mutable_equal_by_value_and_unhashable() -> None:
    env = full()
    assert env == full() == copy.deepcopy(env) == copy.copy(env) == dataclasses.replace(env)
    assert env != full("other")
    assert env != TaskEnvironment("full")
    env.queue = None
    assert env != full()
    with pytest.raises(TypeError):
        hash(env)


def test_replace_makes_a_checked_and_registered_environment() -> None:
    env = dataclasses.replace(full(), name="replaced", queue="slow")
    assert (env.name, env.queue, env.cache) == ("replaced", "slow", "auto")
    assert env.place.file == __file__
    assert flyte.current_registry()["replaced"] is env
    with pytest.raises(DeclarationError):
        dataclasses.replace(env, queue=1)


def test_a_deep_copy_shares_nothing_and_is_not_registered() -> None:
    env = full("copied")
    task = env.task(_coroutine)
    again = copy.deepcopy(env)
    assert again.env_vars == env.env_vars
    assert again.env_vars is not env.env_vars
    assert again.tasks["copied._coroutine"] is not task
    assert again.tasks["copied._coroutine"].environment is again
    assert task.environment is env
    assert flyte.current_registry()["copied"] is env


def test_a_copy_leaves_the_tasks_with_their_environment() -> None:
    env = TaskEnvironment("copied")
    task = env.task(_coroutine)
    copied = copy.copy(env)
    assert copied == env
    assert task.environment is env


def test_an_environment_travels_with_its_tasks() -> None:
    again = pickle.loads(pickle.dumps(picklable))
    assert again == picklable
    assert again.tasks["picklable.travels"](3) == 3
    assert again.tasks["picklable.travels"].environment is again
    assert again.place == picklable.place
    assert flyte.current_registry()["picklable"] is picklable


def test_a_subclass_adds_fields_and_checks() -> None:
    heard: list[str] = []

    @dataclasses.dataclass
    class Owned(TaskEnvironment):
        team: str = ""

        def __post_init__(self) -> None:
            super().__post_init__()
            if not self.team:
                raise ValueError("an owner, please")
            self.env_vars = {**(self.env_vars or {}), "TEAM": self.team}

    before = listen(SimpleNamespace(declared=lambda env: heard.append(env.name), binding=lambda env, task: None))
    try:
        env = Owned("owned", team="birds", env_vars={"PASSWORD": "hunter2"})
        with pytest.raises(ValueError, match="an owner, please"):
            Owned("nobody")
        with pytest.raises(DeclarationError):
            Owned("owned", team="birds", queue=1)
        clone = env.clone_with("clone", team="fish")
    finally:
        listen(before)
    assert heard == ["owned", "clone"]
    assert (type(clone), clone.team, clone.env_vars) == (Owned, "fish", {"PASSWORD": "hunter2", "TEAM": "fish"})
    assert env.task(_function).name == "owned._function"
    assert "hunter2" not in repr(env)
    assert "team='birds'" in repr(env)
    assert list(inspect.signature(Owned).parameters) == [*FIELDS, "team"]


def test_the_place_is_where_it_was_declared() -> None:
    env, line = TaskEnvironment("a"), inspect.currentframe().f_lineno  # type: ignore[union-attr]
    assert (env.place.file, env.place.line) == (__file__, line)
    assert env._declaring_file == __file__


def test_what_an_environment_gives_to_its_kind() -> None:
    assert TaskEnvironment("a")._get_kwargs() == {"depends_on": [], "image": "auto"}
    env = full()
    given = env._get_kwargs()
    assert list(given) == [
        "depends_on", "image", "resources", "secrets", "service_account", "env_vars", "pod_template", "description",
        "include",
    ]  # fmt: skip
    assert given["depends_on"] == env.depends_on
    assert given["depends_on"] is not env.depends_on


# Dependencies


def test_dependencies_are_added_once_in_order() -> None:
    env, one, two = TaskEnvironment("env"), Environment("one"), TaskEnvironment("two")
    env.add_dependency(one, two, one)
    env.add_dependency(two)
    assert env.depends_on == [one, two]


def test_another_object_than_an_environment_is_no_dependency() -> None:
    env = TaskEnvironment("env")
    for wrong in ("one", None, Environment):
        with pytest.raises(DeclarationTypeError, match="add_dependency"):
            env.add_dependency(Environment("one"), wrong)  # type: ignore[arg-type]
    assert env.depends_on == []


def test_an_environment_does_not_depend_on_itself() -> None:
    env = TaskEnvironment("env")
    for itself in (env, TaskEnvironment("env")):
        with pytest.raises(DeclarationValueError, match="itself"):
            env.add_dependency(itself)


# Registration


def test_only_what_is_valid_is_registered() -> None:
    registry = flyte.current_registry()
    for wrong in ({"cache": 1}, {"queue": 1}, {"reusable": ReusePolicy(3), "plugin_config": 1}, {"include": "a"}):
        with pytest.raises(DeclarationError):
            TaskEnvironment("never-valid", **wrong)
    assert "never-valid" not in registry
    env = TaskEnvironment("now-valid")
    assert registry["now-valid"] is env
    newer = TaskEnvironment("now-valid")
    assert registry["now-valid"] is newer


# The decorator


def _function(x: int) -> int:
    """Double."""
    return 2 * x


async def _coroutine(x: int) -> int:
    return x


def test_the_settings_of_the_decorator() -> None:
    parameters = inspect.signature(TaskEnvironment.task).parameters
    assert {name: p.default for name, p in list(parameters.items())[2:]} == {
        "short_name": None, "cache": None, "retries": 0, "timeout": 0, "docs": None, "pod_template": None,
        "report": False, "interruptible": None, "max_inline_io_bytes": 10 * 1024 * 1024, "queue": None,
        "service_account": None, "triggers": (), "links": (), "task_resolver": None, "entrypoint": False,
        "produces_artifacts": False,
    }  # fmt: skip
    assert {p.kind for p in list(parameters.values())[2:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_task_takes_the_settings_of_its_environment() -> None:
    task = full().task(_coroutine)
    assert task.name == "full._coroutine"
    assert (task.short_name, task.parent_env_name, task.task_type) == ("_coroutine", "full", "python")
    assert task.image == Image.from_base("img:1")
    assert (task.resources, task.env_vars, task.secrets) == (Resources(cpu=1), {"A": "1"}, ["key", Secret("k")])
    assert (task.cache, task.interruptible, task.reusable) == (Cache("auto"), True, ReusePolicy(3))
    assert (task.service_account, task.pod_template, task.queue) == ("account", "template", "fast")
    assert (task.retries, task.timeout, task.docs, task.report) == (RetryStrategy(0), 0, None, False)
    assert (task.triggers, task.links, task.debuggable, task.ref) == ((), (), True, False)


def test_a_task_has_settings_of_its_own() -> None:
    env = TaskEnvironment("env", cache="auto", interruptible=True, queue="fast", pod_template="one")
    trigger = Trigger("nightly", Cron("0 0 * * *"), inputs={"x": TriggerTime})
    task = env.task(
        short_name="twice", cache="override", retries=3, timeout=timedelta(minutes=1), docs=Documentation("text"),
        pod_template="two", report=True, interruptible=False, max_inline_io_bytes=1, queue="slow",
        service_account="me", triggers=trigger, links=[], task_resolver=7, entrypoint=True, produces_artifacts=True,
    )(_function)  # fmt: skip
    assert (task.short_name, task.cache, task.retries) == ("twice", Cache("override"), RetryStrategy(3))
    assert (task.timeout, task.docs, task.pod_template) == (timedelta(minutes=1), Documentation("text"), "two")
    assert (task.report, task.interruptible, task.max_inline_io_bytes) == (True, False, 1)
    assert (task.queue, task.service_account, task.triggers) == ("slow", "me", (trigger,))
    assert (task.links, task.task_resolver, task.entrypoint, task.produces_artifacts) == ((), 7, True, True)
    assert env.tasks == {"env._function": task}


@pytest.mark.parametrize("setting", ["cache", "queue", "pod_template", "service_account", "short_name"])
def test_an_empty_setting_is_the_environments(setting: str) -> None:
    env = TaskEnvironment("env", cache="auto", queue="fast", pod_template="one", service_account="me")
    plain = env.task(_function)
    task = TaskEnvironment("env", cache="auto", queue="fast", pod_template="one", service_account="me").task(
        **{setting: ""}
    )(_function)
    assert getattr(task, setting) == getattr(plain, setting)
    assert setting not in task.own_settings


@pytest.mark.parametrize("setting", ["name", "image", "resources", "env_vars", "secrets", "reusable", "plugin_config"])
def test_what_belongs_to_the_environment_is_no_setting_of_the_decorator(setting: str) -> None:
    with pytest.raises(TypeError):
        TaskEnvironment("env").task(**{setting: None})(_function)


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("retries", "3"), ("retries", 1.5), ("retries", True), ("retries", -1), ("retries", None),
        ("timeout", "5"), ("timeout", -1), ("timeout", True), ("cache", "sometimes"), ("cache", 1),
        ("docs", "text"), ("report", "yes"), ("interruptible", "no"), ("max_inline_io_bytes", "1"),
        ("queue", 1), ("service_account", 1), ("triggers", None), ("triggers", "daily"), ("triggers", [1]),
        ("links", None), ("links", "https://a"), ("entrypoint", 1), ("produces_artifacts", 1), ("pod_template", 1),
        ("short_name", 1),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_the_decorator_is_refused_by_name(setting: str, wrong: Any) -> None:
    env = TaskEnvironment("env")
    with pytest.raises(DeclarationError, match=setting):
        env.task(**{setting: wrong})(_function)
    assert env.tasks == {}


def test_the_decorator_works_bare_called_and_on_any_function() -> None:
    class Model:
        def predict(self, x: int) -> int:
            return x

    env = TaskEnvironment("env")
    names = [env.task(f).name for f in (_function, lambda: 1, Model.predict, Model().predict)]
    assert names == ["env._function", "env.<lambda>", "env.predict", "env.predict"]
    assert env.task()(_coroutine).name == "env._coroutine"


def test_a_second_function_of_one_name_is_refused() -> None:
    env = TaskEnvironment("env")

    @env.task
    def twice() -> int:
        return 1

    with pytest.raises(DeclarationValueError, match="bound at"):

        @env.task
        def twice() -> int:
            return 2

    assert env.tasks["env.twice"].forward() == 1
    assert env.task(report=True)(twice.func) is env.tasks["env.twice"]


def test_a_signature_has_named_inputs() -> None:
    env = TaskEnvironment("env")

    def many(*args: int) -> None: ...

    def named(**kwargs: int) -> None: ...

    def unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def only(*, x: int = 3, y) -> None: ...  # type: ignore[no-untyped-def]

    for wrong in (many, named):
        with pytest.raises(ValueError, match="named inputs"):
            env.task(wrong)
    with pytest.raises(NameError):
        env.task(unknown)
    assert env.task(only).interface.inputs == {"x": (int, 3), "y": (EMPTY, EMPTY)}


class Pair(NamedTuple):
    left: int
    right: str


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (None, {}), (int, {"o0": int}), (tuple[int, str], {"o0": int, "o1": str}), (Pair, {"left": int, "right": str}),
        (list[int], {"o0": list[int]}), ((int, str), {"o0": int, "o1": str}),
    ],
)  # fmt: skip
def test_the_outputs_of_a_signature(annotation: Any, outputs: dict[str, Any]) -> None:
    def function() -> None: ...

    function.__annotations__["return"] = annotation
    assert NativeInterface.from_callable(function).outputs == outputs


@pytest.mark.parametrize("annotation", [tuple[int], tuple[int, ...]])
def test_a_tuple_of_one_or_any_number_is_no_output(annotation: Any) -> None:
    def function() -> None: ...

    function.__annotations__["return"] = annotation
    with pytest.raises(TypeError):
        TaskEnvironment("env").task(function)


def test_a_trigger_gives_inputs_that_the_task_has() -> None:
    env = TaskEnvironment("env")
    with pytest.raises(ValueError, match="when"):
        env.task(triggers=Trigger("nightly", Cron("0 0 * * *"), inputs={"when": TriggerTime}))(_function)
    assert env.tasks == {}


# Reuse


def test_a_sync_function_does_not_share_its_worker() -> None:
    shared = TaskEnvironment("shared", reusable=ReusePolicy(2, concurrency=2))
    with pytest.raises(DeclarationValueError, match="async"):
        shared.task(_function)
    assert shared.task(_coroutine).reusable == ReusePolicy(2, concurrency=2)
    assert TaskEnvironment("alone", reusable=ReusePolicy(2)).task(_function).reusable == ReusePolicy(2)


def test_a_reusable_environment_keeps_its_pod_template_and_account() -> None:
    env = TaskEnvironment("env", reusable=ReusePolicy(2), service_account="me", pod_template="one")
    with pytest.raises(DeclarationValueError, match="pod_template"):
        env.task(pod_template="two")(_function)
    with pytest.raises(DeclarationValueError, match="service_account"):
        env.task(service_account="you")(_function)
    assert env.task(service_account="me")(_function).pod_template == "one"


def test_a_reusable_environment_may_have_secrets() -> None:
    env = TaskEnvironment("env", reusable=ReusePolicy(2), secrets="key")
    assert env.task(_function).secrets == "key"


# from_task


def container(name: str = "count", image: Any = "img:1") -> TaskTemplate:
    return TaskTemplate(name=name, interface=NativeInterface({}, {}), image=image)


def test_an_environment_of_tasks_without_one() -> None:
    one, two, dep = container("one"), container("two"), Environment("dep")
    env = TaskEnvironment.from_task("boxes", one, two, depends_on=[dep])
    assert env.tasks == {"one": one, "two": two}
    assert [t.environment for t in (one, two)] == [env, env]
    assert (one.parent_env_name, env.image, env.depends_on) == ("boxes", Image.from_base("img:1"), [dep])
    assert flyte.current_registry()["boxes"] is env


def test_an_environment_of_no_task() -> None:
    env = TaskEnvironment.from_task("boxes")
    assert (env.image, env.tasks, env.depends_on) == ("auto", {}, [])


def test_tasks_of_an_environment_are_not_taken() -> None:
    with pytest.raises(DeclarationValueError, match="belongs to 'picklable'"):
        TaskEnvironment.from_task("never-made", container(), travels)
    with pytest.raises(DeclarationValueError, match="images differ"):
        TaskEnvironment.from_task("never-made", container(), container("other", "img:2"))
    with pytest.raises(DeclarationTypeError):
        TaskEnvironment.from_task("never-made", _function)  # type: ignore[arg-type]
    assert "never-made" not in flyte.current_registry()


def test_a_timeout_may_be_an_object() -> None:
    limit = Timeout(max_runtime=5)
    assert TaskEnvironment("env").task(timeout=limit)(_function).timeout is limit


@pytest.fixture(autouse=True)
def _warnings_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flyte")
