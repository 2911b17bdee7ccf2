"""Tasks: the constructor, calls, effective settings with their level, copies and pickles, user subclasses."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
import pickle
import weakref
from datetime import timedelta
from typing import Any

import pytest
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Image
from flyte_nb.environments.interface import EMPTY, NativeInterface
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy, Timeout
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeclarationError, RuntimeSystemError, RuntimeUserError

NOTHING = NativeInterface({}, {})
env = TaskEnvironment("sums", resources=Resources(cpu=1), env_vars={"A": "1"}, cache="auto", interruptible=True)


@env.task
def add(x: int, y: int = 10) -> str:
    """Add two numbers."""
    if x < 0:
        raise KeyError("negative")
    return str(x + y)


@env.task
async def add_async(x: int) -> int:
    if x < 0:
        raise KeyError("negative")
    return x


# The constructor


def test_every_field_is_a_keyword_with_its_default() -> None:
    parameters = inspect.signature(TaskTemplate).parameters
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    task = TaskTemplate(name="a.b", interface=NOTHING)
    wanted = {
        "short_name": "a.b", "task_type": "python", "task_type_version": 0, "image": Image.from_debian_base(),
        "resources": None, "cache": Cache("disable"), "interruptible": False, "retries": RetryStrategy(0),
        "reusable": None, "docs": None, "env_vars": None, "secrets": None, "service_account": None, "timeout": None,
        "pod_template": None, "report": False, "queue": None, "debuggable": False, "entrypoint": False,
        "produces_artifacts": False, "parent_env": None, "parent_env_name": None, "max_inline_io_bytes": 10485760,
        "triggers": (), "links": (),
    }  # fmt: skip
    assert {name: getattr(task, name) for name in wanted} == wanted
    assert [f.name for f in dataclasses.fields(TaskTemplate)][:2] == ["name", "interface"]
    assert (task.source_file, task.ref, task._call_as_synchronous) == (None, False, False)


def test_a_function_template_adds_its_function() -> None:
    task = AsyncFunctionTaskTemplate(name="a.add", interface=NOTHING, func=add.func)
    assert (task.plugin_config, task.task_resolver, task.debuggable) == (None, None, True)
    with pytest.raises(TypeError):
        AsyncFunctionTaskTemplate(name="a.add", interface=NOTHING)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        TaskTemplate("a.add", NOTHING)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("auto", Image.from_debian_base()), ("img:1", Image.from_base("img:1")), (None, None),
        (Image.from_base("x"), Image.from_base("x")),
    ],
)  # fmt: skip
def test_an_image_is_kept_as_an_image(given: Any, kept: Any) -> None:
    assert TaskTemplate(name="a", interface=NOTHING, image=given).image == kept


def test_objects_that_are_there_already_stay_the_same() -> None:
    image, cache, retries, limit = Image.from_base("x"), Cache("auto"), RetryStrategy(3), Timeout(max_runtime=5)
    task = TaskTemplate(name="a", interface=NOTHING, image=image, cache=cache, retries=retries, timeout=limit)  # type: ignore[arg-type]
    assert (task.image is image, task.cache is cache, task.retries is retries, task.timeout is limit) == (True,) * 4


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("retries", "1"), ("retries", -1), ("service_account", 1), ("cache", "sometimes"), ("cache", None),
        ("timeout", "1"), ("resources", {}), ("env_vars", {"A": 1}), ("secrets", 1), ("report", 1),
        ("triggers", [1]), ("links", [1]), ("name", 1), ("interface", {}), ("docs", "text"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_name(field: str, wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=rf"TaskTemplate\.{field}"):
        TaskTemplate(**{"name": "a", "interface": NOTHING, field: wrong})


# Interfaces


def test_a_task_knows_its_interface() -> None:
    assert add.interface is add.native_interface
    assert add.interface.inputs == {"x": (int, EMPTY), "y": (int, 10)}
    assert add.interface.outputs == {"o0": str}
    assert add.interface.docstring == add.__doc__ == "Add two numbers."
    assert repr(add.interface) == "(x: int, y: int = 10) -> o0: str:"
    assert (add.source_file, add.__name__, add.__module__) == (__file__, "add", __name__)
    assert add.json_schema["required"] == ["x"]
    assert add.json_schema["properties"]["y"]["type"] == "integer"
    assert inspect.signature(add) == inspect.signature(add.func)


# Calls


def test_forward_is_the_plain_function() -> None:
    assert add.forward(1) == "11"
    with pytest.raises(KeyError):
        add.forward(-1)
    assert asyncio.run(add_async.forward(1)) == 1
    with pytest.raises(NotImplementedError):
        TaskTemplate(name="a", interface=NOTHING).forward()


def test_a_call_outside_a_task_is_the_plain_function() -> None:
    assert add(1, y=2) == "3"
    assert asyncio.run(add_async(1)) == 1
    assert asyncio.run(add.aio(1)) == "11"
    assert asyncio.run(add_async.aio(1)) == 1
    assert (add._call_as_synchronous, add_async._call_as_synchronous) == (True, False)


@pytest.mark.parametrize(
    "call",
    [
        lambda: add(-1),
        lambda: asyncio.run(add.aio(-1)),
        lambda: asyncio.run(add_async(-1)),
        lambda: asyncio.run(add_async.aio(-1)),
    ],
)
def test_an_exception_is_told_one_way_with_its_cause(call: Any) -> None:
    with pytest.raises(RuntimeUserError, match="negative") as caught:
        call()
    assert caught.value.code == "KeyError"
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("error", [RuntimeUserError("Mine", "text"), RuntimeSystemError("Theirs", "text")])
def test_an_error_that_is_told_already_passes(error: Exception) -> None:
    @TaskEnvironment("passes").task
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fails()
    assert caught.value is error


def test_the_hooks_of_plugins() -> None:
    task = TaskTemplate(name="a", interface=NOTHING)
    assert asyncio.run(task.pre()) == {}
    assert asyncio.run(task.post(3)) == 3
    with pytest.raises(NotImplementedError):
        asyncio.run(task.execute())
    assert (task.config(None), task.custom_config(None), task.container_args(None)) == ({}, {}, [])
    assert (task.sql(None), task.data_loading_config(None)) == (None, None)
    assert asyncio.run(add.execute(x=1)) == "11"


# Effective settings


def levels(task: TaskTemplate) -> dict[str, tuple[Any, str]]:
    return {setting.name: (setting.value, setting.level) for setting in task.settings()}


def test_each_setting_comes_from_the_most_specific_level() -> None:
    here = TaskEnvironment("here", cache="auto", queue="fast", env_vars={"A": "1"}, interruptible=True)
    task = here.task(cache="override", retries=2, interruptible=False)(add.func)
    assert levels(task) == {
        "cache": (Cache("override"), "task"), "queue": ("fast", "environment"), "retries": (RetryStrategy(2), "task"),
        "env_vars": ({"A": "1"}, "environment"), "interruptible": (False, "task"),
    }  # fmt: skip
    called = task.override(queue="slow", retries=0, timeout=timedelta(seconds=5))
    assert levels(called) == {
        **levels(task), "queue": ("slow", "override"), "retries": (RetryStrategy(0), "override"),
        "timeout": (timedelta(seconds=5), "override"),
    }  # fmt: skip


def test_the_specifications_example_of_the_three_levels() -> None:
    here = TaskEnvironment("three", resources=Resources(cpu=1), env_vars={"A": "1"}, cache="disable")
    task = here.task(cache="auto", retries=3, timeout=60)(add.func).override(resources=Resources(cpu=4))
    assert {name: level for name, (_, level) in levels(task).items()} == {
        "cache": "task", "retries": "task", "timeout": "task", "env_vars": "environment", "resources": "override",
    }  # fmt: skip


def test_a_task_without_settings_has_none() -> None:
    assert TaskEnvironment("none").task(add.func).settings() == []
    assert TaskTemplate(name="a.b", interface=NOTHING).settings() == []


def test_settings_stay_with_copies() -> None:
    task = env.task(retries=2)(add_async.func).override(queue="slow")
    assert copy.copy(task).settings() == task.settings()
    assert copy.deepcopy(task).settings() == task.settings()
    assert set(levels(dataclasses.replace(task, report=True))) == {*levels(task), "report"}


# The declared object


def test_a_task_is_equal_by_its_fields_and_unhashable() -> None:
    assert add == copy.copy(add) == copy.deepcopy(add) == dataclasses.replace(add) == add.override()
    assert add != add.override(queue="slow")
    with pytest.raises(TypeError):
        hash(add)


def test_a_task_travels_without_its_environment() -> None:
    again = pickle.loads(pickle.dumps(add))
    assert again == add
    assert (again.parent_env, again.environment, again.parent_env_name) == (None, None, "sums")
    assert again(1) == "11"
    assert again.func is add.func
    assert isinstance(add.parent_env, weakref.ReferenceType)
    assert add.environment is env


def test_a_task_that_no_module_holds_travels_by_value_or_not_at_all() -> None:
    from cloudpickle import dumps

    @TaskEnvironment("local").task
    def inner() -> int:
        return 7

    assert pickle.loads(dumps(inner))() == 7
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(inner)


def test_an_older_task_of_a_name_keeps_its_function() -> None:
    old = TaskEnvironment("old").task(_named)
    assert copy.deepcopy(old).func is _named
    assert pickle.loads(pickle.dumps(old)).func is _named


def _named() -> int:
    return 1


def test_a_users_template_adds_fields_and_checks() -> None:
    @dataclasses.dataclass(kw_only=True)
    class Query(TaskTemplate):
        statement: str
        task_type: str = "query"

        def __post_init__(self) -> None:
            super().__post_init__()
            self.statement = self.statement.strip()

        def sql(self, sctx: Any) -> str | None:
            return self.statement

    task = Query(name="q", interface=NOTHING, statement=" select 1 ", retries=2, env_vars={"TOKEN": "hunter2"})  # type: ignore[arg-type]
    assert (task.sql(None), task.task_type, task.retries) == ("select 1", "query", RetryStrategy(2))
    assert dataclasses.replace(task, statement="select 2").statement == "select 2"
    assert "hunter2" not in repr(task)
    assert TaskEnvironment.from_task("queries", task).tasks == {"q": task}
    assert type(task.override(queue="slow")) is Query
    with pytest.raises(DeclarationError):
        Query(name="q", interface=NOTHING, statement="", retries="2")  # type: ignore[arg-type]


def test_a_users_function_template_runs_between_its_hooks() -> None:
    seen: list[Any] = []

    @dataclasses.dataclass(kw_only=True)
    class Watched(AsyncFunctionTaskTemplate):
        limit: int = 3

        def __post_init__(self) -> None:
            super().__post_init__()
            self.limit += 1

        async def pre(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            seen.append(kwargs)
            return {}

        async def post(self, return_vals: Any) -> Any:
            return return_vals + self.limit

    task = Watched(name="w", interface=NativeInterface.from_callable(add_async.func), func=add_async.func)
    assert asyncio.run(task.execute(x=1)) == 5
    assert seen == [{"x": 1}]


def test_a_reusable_task_lists_its_policy() -> None:
    task = TaskEnvironment("warm", reusable=ReusePolicy(2)).task(add.func)
    assert levels(task) == {"reusable": (ReusePolicy(2), "environment")}
    assert levels(task.override(reusable="off")) == {"reusable": (None, "override")}


@dataclasses.dataclass(kw_only=True)
class Query(TaskTemplate):
    """A task without a function, such as a plugin's."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return "plain", kwargs


def test_a_task_without_a_function_is_called_too() -> None:
    task = Query(name="e.query", interface=NativeInterface.from_types({"x": int}, {"o0": int}))
    assert task(x=1) == asyncio.run(task.aio(x=1)) == ("plain", {"x": 1})
    told = []

    class Recording:
        async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
            told.append((task.name, inputs))
            return 3

    token = current_runner.set(Recording())  # type: ignore[arg-type]  # it is asked for nothing else
    try:
        assert asyncio.run(task(x=1)) == asyncio.run(task.aio(2)) == 3
    finally:
        current_runner.reset(token)
    assert told == [("e.query", {"x": 1}), ("e.query", {"x": 2})]
    with pytest.raises(RuntimeUserError, match="has no function to call") as caught:
        TaskTemplate(name="a", interface=NOTHING)()
    assert caught.value.code == "NotImplementedError"
