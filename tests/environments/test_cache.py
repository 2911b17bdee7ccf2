"""Cache: behaviours, policies and versions."""

from __future__ import annotations

import dataclasses
import functools
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flyte_nb.environments.cache import (
    Cache,
    CachePolicy,
    FunctionBodyPolicy,
    VersionParameters,
    cache_from_request,
)
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError

NOTHING = VersionParameters(func=None)


class Fixed:
    """A policy of the user's own."""

    def __init__(self, version: Any) -> None:
        self.version = version

    def get_version(self, salt: str, params: VersionParameters) -> str:
        if isinstance(self.version, Exception):
            raise self.version
        return self.version  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("given", "behavior"),
    [
        *((word, word) for word in ("auto", "override", "disable")),
        *((word, "auto") for word in ("enable", "enabled", "on", "true", "yes", "ON", "True", "Enabled")),
        *((word, "disable") for word in ("off", "false", "no", "none", "None", "OFF")),
    ],
)
def test_behaviors_and_aliases(given: str, behavior: str) -> None:
    cache = Cache(given)
    assert cache.behavior == behavior
    assert cache.is_enabled() == (behavior != "disable")


@pytest.mark.parametrize("behavior", ["maybe", "", " auto", "AUTO", "Override", None, True, 1])
def test_wrong_behavior(behavior: Any) -> None:
    with pytest.raises(ValueError, match=r"Cache\.behavior.*'auto', 'override', 'disable'.*enabled.*off"):
        Cache(behavior)


def test_the_nearest_behavior_is_suggested() -> None:
    with pytest.raises(DeclarationValueError, match="did you mean 'override'"):
        Cache("overide")


def test_behavior_is_required() -> None:
    with pytest.raises(TypeError):
        Cache()  # type: ignore[call-arg]


def test_positions() -> None:
    policy = Fixed("v")
    cache = Cache("auto", "1", True, ("x",), "s", [policy], 60)
    assert (cache.version_override, cache.serialize, cache.ignored_inputs, cache.salt) == ("1", True, ("x",), "s")
    assert (cache.policies, cache.max_age) == ([policy], timedelta(minutes=1))


def test_ignored_inputs_are_kept_as_given() -> None:
    assert Cache("auto", ignored_inputs="x").ignored_inputs == "x"
    assert Cache("auto", ignored_inputs="x").get_ignored_inputs() == ("x",)
    assert Cache("auto", ignored_inputs=("x", "y")).get_ignored_inputs() == ("x", "y")
    assert Cache("auto", ignored_inputs=["x"]).ignored_inputs == ("x",)  # type: ignore[arg-type]
    assert Cache("auto").get_ignored_inputs() == ()


def test_policies() -> None:
    policy = Fixed("v")
    assert Cache("auto").policies == [FunctionBodyPolicy()]
    assert Cache("auto", policies=policy).policies == [policy]
    assert Cache("auto", policies=(policy,)).policies == [policy]  # type: ignore[arg-type]
    assert Cache("disable").policies is None
    assert Cache("disable", policies=[]).policies == []
    assert Cache("auto", "1", policies=[]).get_version() == "1"
    assert isinstance(policy, CachePolicy)
    assert not isinstance(object(), CachePolicy)


def test_no_policies() -> None:
    with pytest.raises(DeclarationValueError, match=r"Cache\.policies"):
        Cache("auto", policies=[])


@pytest.mark.parametrize("policies", [3, "body", [object()], [Fixed("v"), None], FunctionBodyPolicy, [Fixed]])
def test_policies_that_are_none(policies: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=r"Cache\.policies"):
        Cache("auto", policies=policies)


def test_max_age() -> None:
    assert Cache("auto").max_age is None
    assert Cache("auto", max_age=0).max_age == timedelta(0)
    assert Cache("auto", max_age=timedelta(days=1)).max_age == timedelta(days=1)
    for age in (True, 1.5, "60"):
        with pytest.raises(TypeError):
            Cache("auto", max_age=age)  # type: ignore[arg-type]
    for negative in (-1, timedelta(seconds=-1)):
        with pytest.raises(DeclarationValueError, match=r"Cache\.max_age"):
            Cache("auto", max_age=negative)


@pytest.mark.parametrize(
    "fields", [{"version_override": 1}, {"serialize": "yes"}, {"salt": None}, {"ignored_inputs": 3}]
)
def test_wrong_types(fields: dict[str, Any]) -> None:
    with pytest.raises(DeclarationTypeError):
        Cache("auto", **fields)


def test_equal_unhashable_mutable() -> None:
    cache = Cache("auto")
    assert cache == Cache("on")
    with pytest.raises(TypeError):
        hash(cache)
    cache.salt = "s"
    assert dataclasses.replace(cache, serialize=True).salt == "s"


def test_the_digest_knows_no_addresses() -> None:
    assert Cache("auto", policies=Fixed("1")).digest() == Cache("auto", policies=Fixed("1")).digest()
    assert Cache("auto").to_dict()["policies"] == [{"type": "FunctionBodyPolicy"}]


def test_versions() -> None:
    assert Cache("off").get_version() == ""
    assert Cache("off", version_override="1").get_version(NOTHING) == ""
    assert Cache("auto", "1").get_version() == "1"
    assert Cache("auto", "").get_version() == ""
    with pytest.raises(DeclarationValueError, match="params"):
        Cache("auto").get_version()
    one, two = (Cache("auto", policies=[Fixed(a), Fixed(b)]) for a, b in (("a", "bc"), ("ab", "c")))
    assert one.get_version(NOTHING) == one.get_version(NOTHING)
    assert one.get_version(NOTHING) != two.get_version(NOTHING)


def test_the_version_of_a_pickled_bundle() -> None:
    pickled = VersionParameters(None, code_bundle=SimpleNamespace(pkl="s3://a", computed_version="v7"))
    unpickled = VersionParameters(None, code_bundle=SimpleNamespace(pkl=None, computed_version="v7"))
    assert Cache("auto").get_version(pickled) == "v7"
    assert Cache("auto").get_version(unpickled) == Cache("auto").get_version(NOTHING)


def test_a_policy_that_raises() -> None:
    cause = KeyError("x")
    with pytest.raises(DeclarationValueError, match="KeyError") as told:
        Cache("auto", policies=Fixed(cause)).get_version(NOTHING)
    assert told.value.__cause__ is cause
    with pytest.raises(DeclarationValueError, match="it gave 3"):
        Cache("auto", policies=Fixed(3)).get_version(NOTHING)


def test_a_function_without_source() -> None:
    with pytest.raises(DeclarationValueError, match=r"Cache\.policies"):
        Cache("auto").get_version(VersionParameters(functools.partial(print, 1)))


def test_requests() -> None:
    cache = Cache("override")
    assert cache_from_request(cache) is cache
    assert cache_from_request("auto") == Cache("auto")
    for wrong in ("sometimes", None, 3):
        with pytest.raises(ValueError, match=r"Cache\.behavior"):
            cache_from_request(wrong)  # type: ignore[arg-type]
