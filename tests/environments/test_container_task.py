"""ContainerTask: a command in a container."""

from __future__ import annotations

import dataclasses

import flyte_nb as flyte
import pytest
from flyte_nb.extras import ContainerTask


def make(**settings: object) -> ContainerTask:
    return ContainerTask("hello", "alpine:3", ["echo", "{{.inputs.name}}"], {"name": str}, **settings)  # type: ignore[arg-type]


def test_positions_and_defaults() -> None:
    task = ContainerTask("t", "alpine:3", ["a"], {"x": int}, ["--x"], {"y": str})
    assert (task.command, task.arguments, task.inputs, task.outputs) == (["a"], ["--x"], {"x": int}, {"y": str})
    assert (task.input_data_dir, task.output_data_dir) == ("/var/inputs", "/var/outputs")
    assert (task.metadata_format, task.local_logs, task.file_input_layout) == ("JSON", True, "DIRECT")
    assert task.image == flyte.Image.from_base("alpine:3")
    assert task.interface.get_input_types() == {"x": int}
    assert task.interface.outputs == {"y": str}


@pytest.mark.parametrize("words", [["a", 1], "a", 3, [None]])
def test_words_are_str(words: object) -> None:
    with pytest.raises(ValueError, match=r"ContainerTask\.command"):
        ContainerTask("t", "i", words)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"ContainerTask\.arguments"):
        ContainerTask("t", "i", ["a"], arguments=words)  # type: ignore[arg-type]


def test_the_form_of_the_metadata_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="'YAML'"):
        make(metadata_format="XML")


def test_it_has_the_settings_of_every_task() -> None:
    task = make(resources=flyte.Resources(cpu=1), retries=2)
    assert task.resources == flyte.Resources(cpu=1)
    assert task.override(retries=3).retries.count == 3
    assert dataclasses.replace(task, short_name="x").short_name == "x"
    with pytest.raises(TypeError):
        make(nonsense=1)


def test_it_gets_its_environment_from_from_task() -> None:
    task = make()
    assert task.environment is None
    env = flyte.TaskEnvironment.from_task("container-env", task)
    assert list(env.tasks.values()) == [task]
    assert env.image == task.image
    assert task.parent_env_name == "container-env"
    with pytest.raises(ValueError, match="belongs to 'container-env'"):
        flyte.TaskEnvironment.from_task("another", task)


def test_it_has_no_function_to_call() -> None:
    with pytest.raises(NotImplementedError):
        make().forward()


def test_a_container_task_keeps_its_settings_in_its_environment() -> None:
    task = ContainerTask(
        "c", "alpine", ["a"], resources=flyte.Resources(cpu=2), env_vars={"A": "b"}, interruptible=True
    )
    env = flyte.TaskEnvironment.from_task("e", task)
    assert (env.tasks["c"].resources, env.tasks["c"].env_vars) == (flyte.Resources(cpu=2), {"A": "b"})
    assert env.tasks["c"].interruptible
