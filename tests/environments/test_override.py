"""task.override: the third level of settings."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeclarationError, DeclarationValueError

STARTED_WITH = {
    "resources": Resources(cpu=2), "env_vars": {"A": "2"}, "secrets": "other", "service_account": "you",
    "pod_template": "other",
}  # fmt: skip


class Page:
    """A link."""

    name, icon_uri = "page", ""

    def get_link(self, *args: Any, **kwargs: Any) -> str:
        return "https://a"


PAGE = Page()


async def work(x: int = 1) -> int:
    return x


def task_of(**settings: Any) -> TaskTemplate:
    """Make a task of an environment with every overridable setting set."""
    env = TaskEnvironment(
        "env", resources=Resources(cpu=1), cache="auto", env_vars={"A": "1"}, secrets="key", service_account="me",
        pod_template="one", queue="fast", interruptible=True, **settings,
    )  # fmt: skip
    return env.task(retries=3, timeout=60, links=PAGE, entrypoint=True, produces_artifacts=True)(work)


def warm() -> TaskTemplate:
    return TaskEnvironment("warm", reusable=ReusePolicy(2)).task(work)


def test_every_setting_is_a_keyword_that_keeps_by_default() -> None:
    parameters = list(inspect.signature(TaskTemplate.override).parameters.values())[1:]
    assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == [
        "short_name", "resources", "cache", "retries", "timeout", "reusable", "env_vars", "secrets", "service_account",
        "max_inline_io_bytes", "pod_template", "queue", "interruptible", "entrypoint", "produces_artifacts", "links",
        "plugin_config",
    ]  # fmt: skip
    assert {p.default for p in parameters if p.kind is p.KEYWORD_ONLY} == {None}
    assert task_of().override(**{p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}) == task_of()


@pytest.mark.parametrize(
    ("setting", "given", "kept"),
    [
        ("short_name", "other", "other"), ("resources", Resources(cpu=2), Resources(cpu=2)),
        ("cache", "override", Cache("override")), ("cache", "off", Cache("disable")),
        ("retries", 5, RetryStrategy(5)), ("timeout", timedelta(minutes=1), timedelta(minutes=1)),
        ("reusable", ReusePolicy(2), ReusePolicy(2)), ("env_vars", {"B": "2"}, {"B": "2"}),
        ("secrets", Secret("s"), Secret("s")), ("service_account", "you", "you"), ("max_inline_io_bytes", 7, 7),
        ("pod_template", "two", "two"), ("queue", "slow", "slow"), ("interruptible", False, False),
        ("entrypoint", False, False), ("produces_artifacts", False, False), ("links", (), ()),
        ("report", True, True), ("triggers", (), ()), ("debuggable", False, False),
    ],
)  # fmt: skip
def test_a_setting_is_replaced_in_a_new_task(setting: str, given: Any, kept: Any) -> None:
    task = task_of()
    env = task.environment
    called = task.override(**{setting: given})
    assert getattr(called, setting) == kept
    assert (type(called), called.name, called.func is task.func) == (type(task), task.name, True)  # type: ignore[attr-defined]
    assert task == task_of()
    assert env is None or env.tasks == {"env.work": task}


@pytest.mark.parametrize(
    ("setting", "empty", "kept"),
    [
        ("retries", 0, RetryStrategy(0)), ("timeout", 0, 0), ("env_vars", {}, {}), ("secrets", [], []),
        ("queue", "", ""), ("links", (), ()), ("links", [], ()), ("retries", RetryStrategy(0), RetryStrategy(0)),
    ],
)  # fmt: skip
def test_an_empty_value_resets(setting: str, empty: Any, kept: Any) -> None:
    assert getattr(task_of().override(**{setting: empty}), setting) == kept


def test_overrides_follow_each_other() -> None:
    task = task_of().override(queue="slow").override(retries=1)
    assert (task.queue, task.retries, sorted(task.override_settings)) == (
        "slow",
        RetryStrategy(1),
        ["queue", "retries"],
    )


@pytest.mark.parametrize("setting", ["name", "image", "docs", "interface"])
@pytest.mark.parametrize("value", [None, "x"])
def test_what_one_call_does_not_change(setting: str, value: Any) -> None:
    with pytest.raises(DeclarationValueError, match=rf"override\({setting}=\)"):
        task_of().override(**{setting: value})


def test_an_unknown_setting_is_a_type_error_that_lists_the_known() -> None:
    with pytest.raises(TypeError, match=r"'cpu'; accepted: .*resources"):
        task_of().override(cpu=2)


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("resources", {}), ("cache", "sometimes"), ("retries", -1), ("timeout", "5"), ("reusable", "on"),
        ("env_vars", {"A": 1}), ("secrets", 1), ("service_account", 1), ("queue", 1), ("interruptible", "no"),
        ("max_inline_io_bytes", "1"), ("links", "https://a"), ("plugin_config", object()), ("triggers", 1),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(setting: str, wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=setting):
        task_of().override(**{setting: wrong})


@pytest.mark.parametrize("setting", STARTED_WITH)
def test_a_reusable_task_keeps_what_its_workers_were_started_with(setting: str) -> None:
    given = {setting: STARTED_WITH[setting]}
    with pytest.raises(DeclarationValueError, match=rf"override\({setting}=\)"):
        warm().override(**given)
    with pytest.raises(DeclarationValueError, match=setting):
        TaskEnvironment("cold").task(work).override(reusable=ReusePolicy(2), **given)
    cold = warm().override(reusable="off", **given)
    assert (cold.reusable, getattr(cold, setting)) == (None, STARTED_WITH[setting])
    assert getattr(cold.override(**given), setting) == STARTED_WITH[setting]


@pytest.mark.parametrize(("setting", "empty"), [("env_vars", {}), ("secrets", []), ("service_account", "")])
def test_an_empty_value_is_one_too_for_a_reusable_task(setting: str, empty: Any) -> None:
    with pytest.raises(DeclarationValueError, match=setting):
        warm().override(**{setting: empty})


def test_a_reusable_task_takes_other_settings() -> None:
    called = warm().override(retries=2, queue="slow", cache="auto", timeout=5)
    assert (called.retries, called.queue, called.reusable) == (RetryStrategy(2), "slow", ReusePolicy(2))


def test_the_same_rule_for_sync_functions_as_in_the_decorator() -> None:
    def sync() -> None: ...

    with pytest.raises(DeclarationValueError, match="async"):
        TaskEnvironment("env").task(sync).override(reusable=ReusePolicy(2, concurrency=2))
    assert TaskEnvironment("env").task(sync).override(reusable=ReusePolicy(2)).reusable == ReusePolicy(2)
