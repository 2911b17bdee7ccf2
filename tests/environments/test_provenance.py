"""Where the settings of a clone come from."""

from __future__ import annotations

import copy
import pickle

import flyte_nb as flyte
from flyte_nb.environments.provenance import Origin, settings_of


def told(env: flyte.Environment) -> dict[str, tuple[str, str]]:
    return {row.field: (row.how, row.source) for row in settings_of(env) if row.how != "default"}


def test_settings_tell_where_they_come_from_up_the_chain() -> None:
    base = flyte.TaskEnvironment("base", queue="q", image="img:1", env_vars={"A": "1"})
    middle = base.clone_with("middle", image="img:2", description="d")
    last = middle.clone_with("last", queue="r", reset=("env_vars",))
    after = last.clone_with("after")
    assert told(base) == {"queue": ("set", "base"), "image": ("set", "base"), "env_vars": ("set", "base")}
    assert told(last) == {
        "queue": ("overridden", "last"),
        "image": ("inherited", "middle"),
        "description": ("inherited", "middle"),
        "env_vars": ("reset", "last"),
    }
    assert told(after)["env_vars"] == ("inherited", "last")
    assert told(after)["image"] == ("inherited", "middle")
    assert told(after)["queue"] == ("inherited", "last")
    assert {row.field for row in settings_of(after)} >= {"resources", "cache", "reusable", "depends_on"}


def test_the_origin_changes_neither_equality_nor_digest_nor_repr() -> None:
    clone = flyte.TaskEnvironment("base", queue="q").clone_with("clone", image="i")
    made = flyte.TaskEnvironment("clone", queue="q", image="i")
    assert clone.origin == Origin("base", frozenset({"image"}))
    assert made.origin is None
    assert clone == made
    assert (clone.digest(), repr(clone), clone.to_dict()) == (made.digest(), repr(made), made.to_dict())
    assert clone.diff(made) == []


def test_the_origin_is_kept_in_copies() -> None:
    clone = flyte.TaskEnvironment("base").clone_with("clone", image="i")
    assert copy.deepcopy(clone).origin == clone.origin
    assert pickle.loads(pickle.dumps(clone)).origin == clone.origin


def test_a_policy_taken_away_is_reset_and_an_added_dependency_overridden() -> None:
    base = flyte.TaskEnvironment("base", reusable=flyte.ReusePolicy(2))
    clone = base.clone_with("clone", reusable=None)
    clone.add_dependency(base)
    assert told(clone) == {"reusable": ("reset", "clone"), "depends_on": ("overridden", "clone")}


def test_every_kind_remembers() -> None:
    app = flyte.app.AppEnvironment("app", port=8001)
    assert told(app.clone_with("other", port=8002))["port"] == ("overridden", "other")
    connector = flyte.app.ConnectorEnvironment("con").clone_with("con2", description="d")
    assert told(connector) == {"description": ("overridden", "con2")}
