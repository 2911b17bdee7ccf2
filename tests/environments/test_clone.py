"""clone_with, one rule for every kind of environment."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import timedelta
from typing import Any

import flyte_nb as flyte
import pytest
from fastapi import FastAPI
from flyte_nb.app import (
    AppEnvironment,
    ConnectorEnvironment,
    Domain,
    Link,
    Parameter,
    Port,
    RunOutput,
    Scaling,
    Timeouts,
)
from flyte_nb.app.extras import FastAPIAppEnvironment
from flyte_nb.environments.base import Environment
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.image import Image
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeclarationError, DeclarationValueError

DEPENDENCY = Environment("dependency")
APPLICATION = FastAPI()
SHARED: dict[str, Any] = {
    "depends_on": [DEPENDENCY], "pod_template": PodTemplate(labels={"a": "b"}), "description": "text",
    "secrets": [Secret("key"), "other"], "env_vars": {"A": "1"}, "resources": Resources(cpu=1), "interruptible": True,
    "image": Image.from_base("img:1"), "include": ("a.py",), "service_account": "me",
}  # fmt: skip
TASKS = {**SHARED, "cache": Cache("auto", max_age=60), "reusable": ReusePolicy((1, 3)), "queue": "fast"}
APPS = {
    **SHARED, "type": "api", "port": Port(8000), "args": ["x"], "command": ["fserve", "y"], "requires_auth": False,
    "scaling": Scaling((1, 3), scaledown_after=60), "domain": Domain("d"), "links": [Link("/", "home")],
    "parameters": [Parameter("p", RunOutput(type="file", run_name="r"))], "cluster_pool": "pool",
    "timeouts": Timeouts(5),
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "depends_on": [], "pod_template": "other", "description": "", "secrets": [], "env_vars": {},
    "resources": Resources(cpu=2), "interruptible": False, "image": "img:2", "include": ["b.py"],
    "service_account": "you", "cache": "override", "reusable": ReusePolicy(7), "queue": "slow", "type": "web",
    "port": Port(9000), "args": [], "command": ["fserve"], "requires_auth": True, "scaling": Scaling(3),
    "domain": Domain("e"), "links": [], "parameters": [], "cluster_pool": "default", "timeouts": Timeouts(6),
}  # fmt: skip
KINDS: list[tuple[type[Any], dict[str, Any]]] = [
    (TaskEnvironment, TASKS),
    (AppEnvironment, APPS),
    (ConnectorEnvironment, APPS),
    (FastAPIAppEnvironment, {**APPS, "app": APPLICATION, "links": [Link("/docs", "docs", is_relative=True)]}),
]
EACH = [(kind, fields, name) for kind, fields in KINDS for name in fields if name != "app"]
kinds = pytest.mark.parametrize(("kind", "fields"), KINDS, ids=lambda v: v.__name__ if isinstance(v, type) else "")
each = pytest.mark.parametrize(("kind", "fields", "name"), EACH, ids=lambda v: getattr(v, "__name__", str(v))[:20])


def of(env: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(env, name) for name in fields}


@kinds
def test_a_clone_inherits_every_setting(kind: type[Any], fields: dict[str, Any]) -> None:
    env = kind(name="original", **fields)
    clone = env.clone_with("clone")
    assert (type(clone), clone.name) == (kind, "clone")
    assert of(clone, fields) == of(env, fields)
    assert dataclasses.replace(clone, name="original") == env
    settings = {f.name for f in dataclasses.fields(kind) if f.init} - {"name", "plugin_config", "cluster"}
    assert settings - set(fields) <= {"uvicorn_config"}  # or this test misses one


@kinds
def test_a_clone_shares_nothing_mutable(kind: type[Any], fields: dict[str, Any]) -> None:
    env = kind(name="original", **fields)
    clone = env.clone_with("clone")
    for name in fields:
        ours, theirs = getattr(env, name), getattr(clone, name)
        mutable = isinstance(ours, list | dict) or (
            dataclasses.is_dataclass(ours) and not ours.__dataclass_params__.frozen  # type: ignore[attr-defined]
        )
        if name != "app" and mutable:
            assert ours is not theirs, name
    assert clone.secrets[0] is not env.secrets[0] or clone.secrets[0].__dataclass_params__.frozen
    assert clone.depends_on[0] is DEPENDENCY
    if "parameters" in fields:
        assert clone.parameters[0] is not env.parameters[0]
        assert clone.parameters[0].value is not env.parameters[0].value
    if "app" in fields:
        assert clone.app is APPLICATION


@each
def test_a_clone_takes_another_value_of_any_field(kind: type[Any], fields: dict[str, Any], name: str) -> None:
    env = kind(name="original", **fields)
    before = of(env, fields)
    clone = env.clone_with("clone", **{name: OTHERS[name]})
    other = OTHERS[name]
    if name == "links" and "app" in fields:
        assert [link.path for link in clone.links] == ["/docs"]
    else:
        assert getattr(clone, name) == (tuple(other) if name == "include" else other)
    assert of(env, fields) == before
    assert {n: v for n, v in of(clone, fields).items() if n != name} == {n: v for n, v in before.items() if n != name}


@each
def test_none_keeps_a_value(kind: type[Any], fields: dict[str, Any], name: str) -> None:
    clone = kind(name="original", **fields).clone_with("clone", **{name: None})
    kept = None if name == "reusable" else getattr(kind(name="original", **fields), name)
    assert getattr(clone, name) == kept


@each
def test_reset_takes_a_field_back_to_its_default(kind: type[Any], fields: dict[str, Any], name: str) -> None:
    required = {"app": APPLICATION} if "app" in fields else {}
    clone = kind(name="original", **fields).clone_with("clone", reset=(name,))
    assert getattr(clone, name) == getattr(kind(name="original", **required), name)


@kinds
def test_reset_of_several_and_of_one_by_its_name(kind: type[Any], fields: dict[str, Any]) -> None:
    env = kind(name="original", **fields)
    clone = (
        env.clone_with("clone", reset=["env_vars", "resources"], queue=None)
        if kind is TaskEnvironment
        else (env.clone_with("clone", reset=["env_vars", "resources"]))
    )
    assert (clone.env_vars, clone.resources, clone.description) == (None, None, "text")
    assert env.clone_with("clone", reset="env_vars").env_vars is None


@kinds
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"reset": ["env_var"]}, "env_var"), ({"reset": ["name"]}, "name"), ({"reset": ["place"]}, "place"),
        ({"reset": ["env_vars"], "env_vars": {"B": "1"}}, "env_vars"), ({"env_vars": {"B": 1}}, "env_vars"),
        ({"name": "Not A Name"}, "name"), ({"include": "a.py"}, "include"),
    ],
)  # fmt: skip
def test_a_wrong_clone_is_refused_and_not_registered(
    kind: type[Any], fields: dict[str, Any], arguments: dict[str, Any], named: str
) -> None:
    env = kind(name="original", **fields)
    known = set(flyte.current_registry())
    with pytest.raises(DeclarationError, match=named):
        env.clone_with(**{"name": "refused", **arguments})
    assert set(flyte.current_registry()) == known


@kinds
def test_an_unknown_field_is_a_type_error(kind: type[Any], fields: dict[str, Any]) -> None:
    for value in (Resources(), None):
        with pytest.raises(TypeError, match="ressources"):
            kind(name="original", **fields).clone_with("clone", ressources=value)


@kinds
def test_a_clone_is_declared_where_it_is_made(kind: type[Any], fields: dict[str, Any]) -> None:
    env = kind(name="original", **fields)
    clone, line = env.clone_with("clone"), inspect.currentframe().f_lineno  # type: ignore[union-attr]
    assert (clone.place.file, clone.place.line) == (__file__, line)
    assert flyte.current_registry()["clone"] is clone
    assert flyte.current_registry()["original"] is env


def test_the_positional_order_of_clone_with() -> None:
    shared = ["name", "image", "resources", "env_vars", "secrets", "depends_on", "description", "interruptible"]
    for kind, rest in ((TaskEnvironment, ["include", "service_account"]), (AppEnvironment, ["service_account"])):
        parameters = inspect.signature(kind.clone_with).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == ["self", *shared, *rest]
    clone = TaskEnvironment("original").clone_with("clone", "img:1", Resources(cpu=2), {"A": "1"})
    assert (clone.image, clone.resources, clone.env_vars) == ("img:1", Resources(cpu=2), {"A": "1"})


def test_tasks_stay_with_the_environment_they_were_bound_to() -> None:
    env = TaskEnvironment("original")
    task = env.task(lambda: 1)
    clone = env.clone_with("clone")
    assert clone.tasks == {}
    assert clone.task(task.func).name == "clone.<lambda>"
    assert list(env.tasks) == ["original.<lambda>"]


def test_a_plugin_or_a_reuse_policy_but_not_both_in_a_clone() -> None:
    env = TaskEnvironment("original", reusable=ReusePolicy(2))
    with pytest.raises(DeclarationValueError, match="plugin_config"):
        env.clone_with("clone", plugin_config=7)
    clone = env.clone_with("clone", plugin_config=7, reusable=None)
    assert (clone.plugin_config, clone.reusable) == (7, None)
    assert clone.clone_with("other").plugin_config == 7
    assert clone.clone_with("other", reset="plugin_config").plugin_config is None


def test_functions_of_an_app_travel_to_its_clones() -> None:
    for kind, fields in KINDS[1:]:
        env = kind(name="original", **fields)
        functions = [hook(lambda: 1) for hook in (env.on_startup, env.server, env.on_shutdown)]
        clone = env.clone_with("clone")
        assert [clone._on_startup, clone._server, clone._on_shutdown] == functions
        clone.server(len)
        assert env._server is functions[1]


def test_a_clone_of_a_fastapi_app_has_one_link_to_its_documentation() -> None:
    env = FastAPIAppEnvironment(name="original", app=APPLICATION)
    for clone in (env.clone_with("clone"), env.clone_with("clone").clone_with("again"), env.clone_with("c", links=[])):
        assert [link.path for link in clone.links] == ["/docs"]
        assert clone._server.__self__ is clone  # type: ignore[union-attr]


def test_a_cluster_replaces_a_pool_that_is_reset() -> None:
    env = AppEnvironment("original", cluster_pool="pool")
    with pytest.raises(DeclarationValueError, match="cluster"):
        env.clone_with("clone", cluster="c")
    assert env.clone_with("clone", cluster="c", reset="cluster_pool").cluster == "c"


def test_a_clone_of_a_clone_keeps_what_the_first_one_changed() -> None:
    env = TaskEnvironment("original", env_vars={"A": "1"})
    clone = env.clone_with("one", cache=Cache("auto", max_age=timedelta(hours=1))).clone_with("two", queue="fast")
    assert (clone.env_vars, clone.cache, clone.queue) == (
        {"A": "1"}, Cache("auto", max_age=timedelta(hours=1)), "fast",
    )  # fmt: skip


def test_a_plain_environment_has_no_clone() -> None:
    with pytest.raises(NotImplementedError):
        DEPENDENCY.clone_with("clone")
