"""Runtime tasks: the words with which the container of a Python task starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.context.records import CodeBundle, SerializationContext
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.interface import NativeInterface
from flyte_nb.environments.runtime_task import RuntimeTaskTemplate
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import RuntimeSystemError

env = TaskEnvironment("runtime")


@env.task
def double(x: int) -> int:
    return 2 * x


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_it_stands_between_the_two() -> None:
    assert issubclass(RuntimeTaskTemplate, TaskTemplate)
    assert issubclass(AsyncFunctionTaskTemplate, RuntimeTaskTemplate)
    assert double.task_resolver is None
    bare = TaskTemplate(name="a", interface=NativeInterface({}, {}))
    assert bare.container_args(SerializationContext("v")) == []


def test_the_words_of_a_function() -> None:
    words = double.container_args(SerializationContext("v1"))
    assert words[:5] == ["a0", "--inputs", "{{.input}}", "--outputs-path", "{{.outputPrefix}}"]
    assert [option(words, name) for name in ("--version", "--run-name", "--name")] == [
        "v1", "{{.runName}}", "{{.actionName}}"
    ]  # fmt: skip
    assert words[-4:] == ["mod", __name__, "instance", "double"]
    assert option(words, "--resolver").endswith("DefaultTaskResolver")
    assert {"--tgz", "--pkl", "--dest", "--image-cache"}.isdisjoint(words)
    assert all(isinstance(word, str) for word in words)
    assert double.override(retries=3).container_args(SerializationContext("v1")) == words


def test_code_that_travels() -> None:
    archive = SerializationContext(None, code_bundle=CodeBundle(computed_version="c1", tgz="s3://a.tgz"))
    words = double.container_args(archive)
    assert [option(words, name) for name in ("--version", "--tgz", "--dest")] == ["c1", "s3://a.tgz", "."]
    assert "--resolver" in words
    pickled = CodeBundle(computed_version="c1", pkl="s3://a.pkl", destination="/code")
    words = double.container_args(SerializationContext("v1", code_bundle=pickled))
    assert [option(words, name) for name in ("--version", "--pkl", "--dest")] == ["v1", "s3://a.pkl", "/code"]
    assert "--resolver" not in words


@dataclass
class Resolver:
    """Finds tasks by their names."""

    import_path: str = "my.resolvers.ByName"

    def loader_args(self, task: TaskTemplate, root_dir: Path | None) -> list[str]:
        return [task.name, str(root_dir)]


def test_a_resolver_of_ones_own() -> None:
    task = TaskEnvironment("resolved").task(task_resolver=Resolver())(double.func)
    words = task.container_args(SerializationContext("v1", root_dir=Path("/code")))
    assert words[-4:] == ["--resolver", "my.resolvers.ByName", "resolved.double", "/code"]


def test_a_task_that_no_container_could_find() -> None:
    def local(x: int) -> int:
        return x

    functionless: Any = RuntimeTaskTemplate(name="e.sql", interface=NativeInterface({}, {}))
    for task in (TaskEnvironment("local").task(local), functionless):
        with pytest.raises(RuntimeSystemError, match="no variable of a module holds it") as caught:
            task.container_args(SerializationContext("v1"))
        assert caught.value.code == "SerializationError"
    bundle = CodeBundle(computed_version="c1", pkl="x")
    assert functionless.container_args(SerializationContext("v1", code_bundle=bundle))[-4:-2] == ["--pkl", "x"]
