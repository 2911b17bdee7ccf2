"""What an environment becomes with other values."""

from __future__ import annotations

from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.app import AppEnvironment, Scaling
from flyte_nb.environments.editing import with_part, with_values
from flyte_nb.errors import DeclarationError, UnknownNameError
from flyte_nb.registry import process_registry


def test_nobody_hears_of_it_and_nothing_is_shared() -> None:
    env = flyte.TaskEnvironment("edit-a", env_vars={"A": "1"}, depends_on=[])
    made = with_values(env, {"queue": "q"})
    assert process_registry["edit-a"] is env
    assert (made.queue, env.queue, made.place) == ("q", None, env.place)
    assert made.env_vars is not env.env_vars
    assert made.depends_on is not env.depends_on


def test_it_says_what_the_source_does_not() -> None:
    env = flyte.TaskEnvironment("edit-b", queue="q", image="i")
    once = with_values(env, {"queue": "r", "image": "i"})
    assert once.unwritten == {"queue": "q"}
    twice = with_values(once, {"queue": "s"}, ["image"])
    assert twice.unwritten == {"queue": "q", "image": "i"}
    assert with_values(twice, {"queue": "q", "image": "i"}).unwritten == {}
    assert once == flyte.TaskEnvironment("edit-b", queue="r", image="i")


def test_the_functions_of_an_app_come_along() -> None:
    app = AppEnvironment("edit-app")

    @app.server
    def serve() -> None: ...

    made = with_values(app, {"scaling": Scaling(2)})
    assert isinstance(made, AppEnvironment)
    assert made._server is serve


def test_a_clone_tells_what_was_edited() -> None:
    clone = flyte.TaskEnvironment("edit-base", queue="q", image="i").clone_with("edit-c", image="j")
    made = with_values(clone, {"queue": "r"}, ["image"])
    assert made.origin is not None
    assert (made.origin.overridden, made.origin.reset) == (frozenset({"queue"}), frozenset({"image"}))


def test_the_tasks_have_to_fit() -> None:
    env = flyte.TaskEnvironment("edit-d")

    @env.task
    def plain() -> None: ...

    with pytest.raises(DeclarationError, match="concurrency"):
        with_values(env, {"reusable": flyte.ReusePolicy(2, concurrency=3)})
    assert with_values(env, {"reusable": flyte.ReusePolicy(2)}).reusable is not None  # type: ignore[attr-defined]
    assert env.reusable is None


@pytest.mark.parametrize(
    ("settings", "path", "value", "after"),
    [
        ({}, "resources.memory", "8Gi", flyte.Resources(memory="8Gi")),
        ({"resources": flyte.Resources(cpu=1)}, "resources.memory", "8Gi", flyte.Resources(cpu=1, memory="8Gi")),
        ({}, "env_vars.A.B", "1", {"A.B": "1"}),
        ({"env_vars": {"A": "1"}}, "env_vars.B", "2", {"A": "1", "B": "2"}),
        ({}, "reusable.concurrency", 2, flyte.ReusePolicy(concurrency=2)),
    ],
)
def test_a_part_of_a_field(settings: dict[str, Any], path: str, value: Any, after: Any) -> None:
    field, *parts = path.split(".")
    assert with_part(flyte.TaskEnvironment("edit-e", **settings), field, parts, value) == after


def test_a_part_within_a_part() -> None:
    app = AppEnvironment("edit-f", scaling=Scaling((1, 2), metric=Scaling.Concurrency(3)))
    assert with_part(app, "scaling", ["metric", "val"], 5) == Scaling((1, 2), metric=Scaling.Concurrency(5))


def test_a_part_goes_back() -> None:
    env = flyte.TaskEnvironment("edit-g", env_vars={"A": "1"}, resources=flyte.Resources(cpu=1, memory="1Gi"))
    assert with_part(env, "env_vars", ["A"], None, reset=True) is None
    assert with_part(env, "resources", ["cpu"], None, reset=True) == flyte.Resources(memory="1Gi")


@pytest.mark.parametrize("path", ["queue.x", "image.name", "depends_on.a"])
def test_what_has_no_parts_says_so(path: str) -> None:
    field, *parts = path.split(".")
    env = flyte.TaskEnvironment("edit-h", queue="q", image=flyte.Image.from_base("x"))
    with pytest.raises(DeclarationError, match="whole value"):
        with_part(env, field, parts, 1)


def test_an_unknown_part_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'memory'"):
        with_part(flyte.TaskEnvironment("edit-i", resources=flyte.Resources()), "resources", ["memry"], 1)
