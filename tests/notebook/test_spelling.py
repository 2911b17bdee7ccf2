"""Values written as Python: what is written makes an equal value again."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from fastapi import FastAPI
from flyte_nb.app import Domain, Link, Parameter, Port, RunOutput, Scaling, Timeouts
from flyte_nb.environments.base import unannounced
from flyte_nb.errors import UsageError
from flyte_nb.notebook.spelling import Spelling, variable_for
from hypothesis import given
from hypothesis import strategies as st


class Colour(Enum):
    RED = 1


@dataclasses.dataclass
class Config:
    workers: int
    paths: list[Path] = dataclasses.field(default_factory=list)


NAMES = {"Colour": Colour, "Config": Config}
VALUES = [
    None, True, 3, 1.5, float("inf"), "text", "it's \"quoted\"\n", b"\0", 2j,
    [1, "a", None], (1,), (), {"a": [1]}, {1, 2}, set(), frozenset({"x"}),
    Path("/data"), Colour.RED, timedelta(seconds=90), datetime(2026, 1, 2, tzinfo=timezone.utc),
    Config(2, [Path("a")]),
    flyte.Resources(cpu=(1, 2), memory="2Gi", gpu="A100:1"),
    flyte.Resources(gpu=flyte.GPU("A100", 2)),
    flyte.ReusePolicy((1, 3), idle_ttl=60, concurrency=2),
    flyte.Cache("auto", max_age=3600), flyte.Cache("override", version_override="2"),
    flyte.Secret("key"), [flyte.Secret("key", group="g"), "other"], flyte.Secret("a.b", as_env_var="AB"),
    flyte.PodTemplate(labels={"team": "a"}),
    flyte.Image.from_base("img:1"), flyte.Image.from_ref_name("mine"),
    flyte.Image.from_dockerfile("Dockerfile", "reg", "name"),
    flyte.Image.from_debian_base().with_pip_packages("a", "b>=2", pre=True).with_apt_packages("git"),
    flyte.Image.from_debian_base((3, 10), install_flyte=False, registry="r", name="n").with_commands(["a", "b"]),
    flyte.Image.from_base("x").clone(name="n", extendable=True).with_env_vars({"A": "1"}).with_workdir("/w"),
    flyte.Image.from_debian_base(flyte_version="2.0.0").with_requirements("requirements.txt"),
    Scaling((1, 3), metric=Scaling.Concurrency(4), scaledown_after=60), Domain("d"), Port(9000, "h2c"),
    [Link("/docs", "docs", is_relative=True)], Timeouts(5), [Parameter("p", RunOutput(type="file", run_name="r"))],
]  # fmt: skip


def again(value: Any, names: dict[str, Any]) -> tuple[Any, Spelling]:
    """Write a value, and make it again."""
    spelling = Spelling(names)
    text = spelling.value(value)
    scope = dict(names)
    exec("\n".join(spelling.imports), scope)
    return eval(text, scope), spelling


@pytest.mark.parametrize("value", VALUES, ids=[f"{i}-{type(v).__name__}" for i, v in enumerate(VALUES)])
@pytest.mark.parametrize(
    "names", [{}, {"flyte": 1}, {"flyte": flyte, "Resources": flyte.Resources}], ids=["no", "other", "yes"]
)
def test_what_is_written_makes_the_value_again(value: Any, names: dict[str, Any]) -> None:
    made, _ = again(value, {**NAMES, **names})
    assert made == value
    assert type(made) is type(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.integers() | st.text(), inner),
    )
)
def test_plain_data_is_written_as_it_is(value: Any) -> None:
    spelling = Spelling({})
    text = spelling.value(value)
    if not spelling.notices:  # nothing in it looked like a secret
        assert eval(text, {}) == value


def test_an_environment_is_its_variable_or_found_by_its_name() -> None:
    with unannounced():
        env = flyte.TaskEnvironment("here")
    assert Spelling({"long_name": env, "e": env, "_1": env}).value([env]) == "[e]"
    assert Spelling({"flyte": flyte}).value(env) == 'flyte.current_registry().find("here")'


def test_what_cannot_be_written_is_a_variable_or_an_error() -> None:
    app = FastAPI()
    assert Spelling({"web": app}).value(app) == "web"
    with pytest.raises(UsageError, match=r"FastAPI cannot be written as code; accepted: .*bind it to one first"):
        Spelling({}).value(object.__new__(FastAPI))
    image = flyte.Image.from_debian_base().with_source_folder(Path(__file__).parent)
    assert Spelling({"img": image}).value(image) == "img"
    with pytest.raises(UsageError, match="bind the image to a variable first"):
        Spelling({}).value(image)


def test_a_secret_is_not_written() -> None:
    spelling = Spelling({"flyte": flyte})
    text = spelling.value({"LEVEL": "info", "API_KEY": "abc", "URL": "https://me:pw@host"})
    assert text == '{"LEVEL": "info", "API_KEY": os.environ["API_KEY"], "URL": os.environ["URL"]}'
    assert spelling.imports == ["import os"]
    assert "its value is not written" in spelling.notices[0]


def test_derived_settings_are_left_out() -> None:
    spelling = Spelling({"flyte": flyte})
    assert spelling.value(flyte.Secret("my-key")) == 'flyte.Secret(key="my-key")'
    assert spelling.value(flyte.ReusePolicy(2, idle_ttl=60)) == "flyte.ReusePolicy(idle_ttl=60)"


@pytest.mark.parametrize(
    ("name", "variable"),
    [("gpu-env", "gpu_env"), ("taken", "taken_env"), ("class", "env_class"), ("3d", "env_3d"), ("mine", "mine")],
)
def test_a_variable_for_an_environment_stands_for_nothing_else(name: str, variable: str) -> None:
    with unannounced():
        mine = flyte.TaskEnvironment("mine")
    assert variable_for(name, {"taken": 1, "mine": mine}) == variable
