import asyncio
import functools
import gc
import inspect
import pickle

import pytest
from flyte_nb.environments.base import listen
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.task import TaskEnvironment, rebind
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.registry import Registry


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


@pytest.fixture
def env():
    return TaskEnvironment("e")


def add(x: int, y: int = 1) -> int:
    """Add two numbers."""
    return x + y


async def later(x: int) -> int:
    return x * 2


class Recording:
    """A runner that says what it was asked to run."""

    def call(self, task, inputs):
        return ("sync", task.name, inputs)

    async def acall(self, task, inputs):
        return ("async", task.name, inputs)


@pytest.fixture
def runner():
    token = current_runner.set(Recording())
    yield
    current_runner.reset(token)


def test_a_task_knows_its_name_interface_and_environment(env):
    task = env.task(add)
    assert isinstance(task, AsyncFunctionTaskTemplate)
    assert (task.name, task.short_name, task.parent_env_name) == ("e.add", "add", "e")
    assert task.environment is env
    assert task.parent_env() is env
    assert str(task.interface) == "(x: int, y: int = 1) -> int"
    assert task.native_interface is task.interface
    assert env.tasks == {"e.add": task}
    assert repr(task) == "AsyncFunctionTaskTemplate('e.add', (x: int, y: int = 1) -> int)"


def test_a_task_looks_like_its_function(env):
    task = env.task(add)
    assert (task.__name__, task.__doc__, task.__module__) == ("add", "Add two numbers.", __name__)
    assert inspect.signature(task) == inspect.signature(add)
    assert inspect.getsource(task).startswith("def add")
    assert task.source_file == __file__


def test_settings_are_the_tasks_own(env):
    task = env.task(short_name="plus", retries=3, timeout=60, cache="auto")(add)
    assert (task.short_name, task.retries.count, task.timeout, task.name) == ("plus", 3, 60, "e.add")
    assert env.task(add).retries.count == 0


def test_a_setting_that_does_not_exist(env):
    with pytest.raises(TypeError, match="colour"):
        env.task(colour="red")(add)
    assert env.tasks == {}


def test_a_function_whose_inputs_have_no_names_is_not_bound(env):
    with pytest.raises(ValueError, match="named inputs"):
        env.task(lambda *args: None)
    assert env.tasks == {}


def test_binding_again_replaces(env):
    env.task(add)
    second = env.task(add)
    assert env.tasks == {"e.add": second}


# --- calls ---


def test_without_a_runner_a_call_is_a_plain_call(env):
    task, coroutine = env.task(add), env.task(later)
    assert task(1, y=2) == 3
    assert asyncio.run(coroutine(2)) == 4
    assert task.forward(1) == 2
    assert asyncio.run(task.aio(1)) == 2
    assert asyncio.run(coroutine.aio(3)) == 6
    assert (task.is_async, coroutine.is_async) == (False, True)
    assert (task._call_as_synchronous, coroutine._call_as_synchronous) == (True, False)


@pytest.mark.usefixtures("runner")
def test_with_a_runner_a_call_becomes_a_child(env):
    task, coroutine = env.task(add), env.task(later)
    assert task(1, y=2) == ("sync", "e.add", {"x": 1, "y": 2})
    assert asyncio.run(coroutine(2)) == ("async", "e.later", {"x": 2})
    assert asyncio.run(task.aio(5)) == ("async", "e.add", {"x": 5})
    assert task.forward(1) == 2


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize("call", [lambda t: t(), lambda t: t(1, x=1), lambda t: t(1, 2, 3), lambda t: t(z=1)])
def test_with_a_runner_inputs_are_checked_first(env, call):
    with pytest.raises(ValueError, match="input"):
        call(env.task(add))


def test_a_wrapped_function(env):
    @functools.wraps(add)
    def wrapper(*args, **kwargs):
        return add(*args, **kwargs) * 10

    task = env.task(wrapper)
    assert task.name == "e.add"
    assert task(1) == 20


def test_a_template_without_a_function(env):
    task = TaskTemplate(name="e.remote", interface=env.task(add).interface)
    assert task.short_name == "e.remote"
    assert task.environment is None
    with pytest.raises(NotImplementedError, match="TaskTemplate has no function"):
        task.forward()


# --- which environment ---


def test_rebind_moves_a_task(env):
    task, newer = env.task(add), TaskEnvironment("e")
    rebind(task, newer)
    assert task.environment is newer
    assert newer.tasks == {"e.add": task}


def test_a_task_does_not_keep_its_environment_alive():
    env = TaskEnvironment("short-lived")
    task = env.task(add)
    del env
    gc.collect()
    assert task.environment is None


def test_the_listener_hears_before_the_task_is_bound():
    heard = []

    class Refusing(Registry):
        def binding(self, env, task):
            heard.append(dict(env.tasks))
            raise RuntimeError("refused")

    before = listen(Refusing())
    try:
        env = TaskEnvironment("e")
        with pytest.raises(RuntimeError, match="refused"):
            env.task(add)
    finally:
        listen(before)
    assert heard == [{}]
    assert env.tasks == {}


def test_a_task_pickles_without_its_environment(env):
    task = env.task(later)
    copy = pickle.loads(pickle.dumps(task))
    assert copy == task
    assert copy.environment is None
    assert copy.parent_env_name == "e"


def test_tasks_are_compared_by_what_they_are(env):
    assert env.task(add) == TaskEnvironment("e").task(add)
    assert env.task(add) != env.task(retries=1)(add)


def test_a_thousand_tasks_of_one_environment(env):
    for number in range(1_000):
        function = eval(f"lambda x=({number}): x")
        function.__name__ = f"f{number}"
        env.task(function)
    assert len(env.tasks) == 1_000
