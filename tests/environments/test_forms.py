from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest
from flyte_nb.environments.base import listen
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.forms import apply, from_dict, from_json, json_schema
from flyte_nb.environments.policies import Backoff, RetryStrategy, ReusePolicy, Timeout
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeclarationError, UnknownNameError
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,4})?", fullmatch=True)
RESOURCES = st.builds(
    Resources,
    cpu=st.none() | st.integers(0, 8) | st.just("500m") | st.just((1, 2)),
    memory=st.none() | st.just("1Gi") | st.just(("1Gi", "2Gi")),
    gpu=st.none() | st.just("T4:1") | st.integers(0, 8),
)
ENVIRONMENTS = st.builds(
    TaskEnvironment,
    name=NAMES,
    description=st.none() | st.text(max_size=300),
    env_vars=st.none() | st.dictionaries(st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.text("abc ", max_size=5)),
    resources=st.none() | RESOURCES,
    secrets=st.none() | st.just("KEY") | st.just([Secret("a"), "b"]) | st.just(Secret("k", mount="/etc/flyte/secrets")),
    image=st.sampled_from(["auto", "python:3.11"]) | st.none(),
    include=st.lists(st.just("a.txt"), max_size=2).map(tuple),
    interruptible=st.booleans(),
    cache=st.sampled_from(["auto", "disable"]) | st.just(Cache("auto", ignored_inputs=("x",), max_age=60)),
    reusable=st.none() | st.just(ReusePolicy((1, 3), idle_ttl=60)),
)


@given(ENVIRONMENTS)
def test_json_round_trip(env: TaskEnvironment) -> None:
    again = from_json(env.to_json())
    assert again == env
    assert again.to_json() == env.to_json()
    assert again.digest() == env.digest()


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_a_difference_applied_gives_the_other(one: TaskEnvironment, other: TaskEnvironment) -> None:
    assert apply(one, one.diff(other)) == other
    assert one.diff(one) == []


@pytest.mark.parametrize(
    "declared",
    [
        Timeout(max_runtime=timedelta(minutes=5), deadline=3600),
        RetryStrategy(3, Backoff(timedelta(seconds=1), 2.0, timedelta(seconds=9))),
        Secret("k", group="g"),
        ReusePolicy(2),
    ],
)
def test_every_declaration_comes_back(declared: object) -> None:
    assert from_dict(declared.to_dict()) == declared  # type: ignore[attr-defined]


def test_dependencies_come_back_by_name() -> None:
    base = TaskEnvironment("base")
    env = TaskEnvironment("top", depends_on=[base])
    assert from_dict(env.to_dict(), {"base": base}.__getitem__).depends_on == [base]  # type: ignore[attr-defined]
    with pytest.raises(UnknownNameError, match="base"):
        from_dict(env.to_dict())


def test_nothing_made_from_data_is_announced() -> None:
    class Listener:
        def declared(self, env: object) -> None:
            raise AssertionError("announced")

    env = TaskEnvironment("quiet")
    before = listen(Listener())  # type: ignore[arg-type]
    try:
        from_dict(env.to_dict())
        apply(env, [])
    finally:
        listen(before)


@pytest.mark.parametrize(
    "data",
    [{}, {"type": "Nothing"}, {"type": "Resources", "cpus": 1}, {"type": "Resources", "cpu": "x"}, {"type": "Secret"}],
)
def test_wrong_data_is_a_declaration_error(data: dict[str, object]) -> None:
    with pytest.raises(DeclarationError):
        from_dict(data)


def test_schema_can_build_a_form() -> None:
    schema = json_schema(TaskEnvironment)
    json.dumps(schema)
    assert schema["required"] == ["name"]
    name = schema["properties"]["name"]
    assert name["pattern"]
    assert "lower-case" in name["description"]
    assert schema["properties"]["interruptible"] == {"title": "interruptible", "type": "boolean", "default": False}
    assert "cpu" in json.dumps(schema["properties"]["resources"])
    assert schema["properties"]["env_vars"]["default"] is None


def test_digest_is_the_same_in_another_process() -> None:
    code = (
        "import flyte_nb as f; print(f.TaskEnvironment('a', env_vars={'B': '1', 'A': '2'}, "
        "resources=f.Resources(cpu=1)).digest())"
    )
    made = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)}
    assert made == {TaskEnvironment("a", env_vars={"A": "2", "B": "1"}, resources=Resources(cpu=1)).digest() + "\n"}
