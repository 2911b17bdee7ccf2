"""Triggers: schedules, rates, artifacts, and what they give to a task."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import pickle
from datetime import datetime, timezone
from typing import Any
from zoneinfo import available_timezones

import pytest
from flyte_nb.environments import cron_syntax
from flyte_nb.environments.notifications import Email, NamedRule
from flyte_nb.environments.phases import ActionPhase
from flyte_nb.environments.triggers import (
    Cron,
    FixedRate,
    OnArtifact,
    Trigger,
    TriggeredArtifact,
    TriggeredPartition,
    TriggerTime,
    match_inputs,
    triggers_from_request,
)
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st

# --- Cron


def test_cron_fields() -> None:
    cron = Cron("0 9 * * *", "Europe/Zurich")
    assert (cron.expression, cron.timezone) == ("0 9 * * *", "Europe/Zurich")
    assert cron.timezone_expression == "CRON_TZ=Europe/Zurich 0 9 * * *"
    assert Cron("0 9 * * *").timezone_expression == "CRON_TZ=UTC 0 9 * * *"
    assert len({cron, copy.deepcopy(cron), Cron("0 9 * * *")}) == 2
    with pytest.raises(AttributeError):
        cron.expression = "1 9 * * *"  # type: ignore[misc]


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "*/5 * * * *",
        "0,30 8-18/2 1,15 * 1-5",
        "5/15 * * * *",
        "0 0 ? * mon-FRI",
        "0 0 1 jan,JUL ?",
        "0 0 * * 7",
        "0\t0  * * *",
        "@hourly",
        "@daily",
    ],
)
def test_cron_expressions(expression: str) -> None:
    assert Cron(expression).expression == expression


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "0 fields"),
        ("  ", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("60 * * * *", "minute '60' is not from 0 to 59"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * 32 * *", "day of month"),
        ("* * * 13 *", "month '13' is not from 1 to 12, or jan to dec"),
        ("* * * * 8", "day of week"),
        ("* * * * someday", "day of week"),
        ("-1 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        ("*/0 * * * *", "steps by 0"),
        ("30-10 * * * *", "backwards"),
        ("0 0 * * fri-mon", "backwards"),
        ("*-5 * * * *", "minute"),
        ("1, * * * *", "minute"),
        ("? * * * *", "minute"),
        ("mon * * * *", "minute"),
        ("* * * * *\n", "day of week"),
        ("\u0661 * * * *", "minute"),
        ("@dayly", "did you mean '@daily'"),
        ("@every 1h", "FixedRate"),
        ("CRON_TZ=UTC 0 9 * * *", "timezone"),
    ],
)
def test_wrong_cron_expressions(expression: str, reason: str) -> None:
    with pytest.raises(DeclarationValueError, match=r"Cron\.expression") as told:
        Cron(expression)
    assert reason in str(told.value)


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "", "Europe/Zürich", "../etc/passwd", "/etc/localtime", "Europe", "A\0"]
)
def test_wrong_zones(zone: str) -> None:
    with pytest.raises(DeclarationValueError, match=r"Cron\.timezone"):
        Cron("0 9 * * *", zone)


def test_the_nearest_zone_is_suggested() -> None:
    with pytest.raises(DeclarationValueError, match="did you mean 'Europe/Zurich'"):
        Cron("0 9 * * *", "Europe/Zürich")


def test_any_zone_passes_where_none_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron_syntax.zoneinfo, "available_timezones", set)
    assert Cron("0 9 * * *", "Mars/Olympus").timezone == "Mars/Olympus"


@pytest.mark.parametrize("fields", [(None,), (5,), ("* * * * *", None), ("* * * * *", 2)])
def test_cron_of_the_wrong_type(fields: tuple[Any, ...]) -> None:
    with pytest.raises(DeclarationTypeError):
        Cron(*fields)


RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


@st.composite
def parts(draw: st.DrawFn, least: int, most: int) -> str:
    """Give one part of a field: ``*``, a number or a range, with or without a step."""
    low, high = sorted((draw(st.integers(least, most)), draw(st.integers(least, most))))
    base = draw(st.sampled_from(["*", str(low), f"{low}-{high}"]))
    return base + draw(st.sampled_from(["", f"/{draw(st.integers(1, 60))}"]))


fields = [st.lists(parts(*bounds), min_size=1, max_size=3).map(",".join) for bounds in RANGES]
expressions = st.tuples(*fields).map(list)


@given(expressions)
def test_every_expression_of_the_grammar_is_accepted(texts: list[str]) -> None:
    assert Cron(" ".join(texts)).expression == " ".join(texts)


@given(expressions, st.integers(0, 4), st.integers(1, 1000), st.booleans())
def test_a_number_out_of_range_is_refused(texts: list[str], at: int, beyond: int, above: bool) -> None:
    least, most = RANGES[at]
    texts[at] = str(most + beyond if above or least == 0 else least - 1)
    with pytest.raises(DeclarationValueError, match=r"Cron\.expression"):
        Cron(" ".join(texts))


@given(expressions, st.integers(0, 4), st.text("abcxyz#LW!-/,", min_size=1, max_size=4))
def test_a_stray_text_is_refused(texts: list[str], at: int, stray: str) -> None:
    texts[at] += f"!{stray}"
    with pytest.raises(DeclarationValueError, match=r"Cron\.expression"):
        Cron(" ".join(texts))


@given(expressions, st.integers(0, 4))
def test_a_field_too_few_or_too_many_is_refused(texts: list[str], at: int) -> None:
    for wrong in (texts[:at] + texts[at + 1 :], [*texts, texts[at]]):
        with pytest.raises(DeclarationValueError, match="fields"):
            Cron(" ".join(wrong))


@given(st.sampled_from(sorted(available_timezones())))
def test_every_zone_is_accepted(zone: str) -> None:
    assert Cron("@daily", zone).timezone == zone


@given(st.text(max_size=30) | st.text("0123456789*/-,? @=monjan\n", max_size=30))
def test_any_text_is_accepted_or_refused_by_name(text: str) -> None:
    with contextlib.suppress(DeclarationValueError):
        assert Cron(text).expression == text


# --- FixedRate, OnArtifact, TriggeredPartition, markers


def test_fixed_rate() -> None:
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    rate = FixedRate(60, start)
    assert (rate.interval_minutes, rate.start_time) == (60, start)
    assert FixedRate(1).start_time is None
    assert hash(rate) == hash(FixedRate(60, start))
    with pytest.raises(AttributeError):
        rate.interval_minutes = 5  # type: ignore[misc]


@pytest.mark.parametrize("minutes", [0, -5])
def test_wrong_intervals(minutes: int) -> None:
    with pytest.raises(DeclarationValueError, match=r"FixedRate\.interval_minutes"):
        FixedRate(minutes)


@pytest.mark.parametrize("fields", [(1.5,), ("5",), (True,), (None,), (5, "2024-01-01")])
def test_wrong_types_of_rates(fields: tuple[Any, ...]) -> None:
    with pytest.raises(DeclarationTypeError):
        FixedRate(*fields)


def test_on_artifact() -> None:
    artifact = OnArtifact("model", "v1", {"region": "eu"}, day="monday")
    assert (artifact.name, artifact.version) == ("model", "v1")
    assert artifact.partitions == {"region": "eu", "day": "monday"}
    assert OnArtifact("model").partitions is OnArtifact("model", partitions={}).partitions is None
    assert OnArtifact("model", partitions={"a": "1"}, a="2").partitions == {"a": "2"}
    assert OnArtifact("model", self="x").partitions == {"self": "x"}
    assert hash(artifact) == hash(copy.deepcopy(artifact))
    assert dataclasses.replace(artifact, version=None).partitions == artifact.partitions
    assert pickle.loads(pickle.dumps(artifact)) == artifact
    assert repr(OnArtifact("model")) == "OnArtifact(name='model')"
    with pytest.raises(AttributeError):
        artifact.name = "other"  # type: ignore[misc]


def test_the_partitions_given_stay_as_they_are() -> None:
    partitions = {"region": "eu"}
    OnArtifact("model", partitions=partitions, day="monday")
    assert partitions == {"region": "eu"}


def test_wrong_artifacts() -> None:
    with pytest.raises(DeclarationValueError, match=r"OnArtifact\.name"):
        OnArtifact("")
    wrong: list[dict[str, Any]] = [{"partitions": {"a": 1}}, {"a": 1}, {"partitions": ["a"]}, {"version": 1}]
    for settings in wrong:
        with pytest.raises(DeclarationTypeError, match="OnArtifact"):
            OnArtifact("model", **settings)


def test_triggered_partition() -> None:
    assert TriggeredPartition("region").key == "region"
    assert len({TriggeredPartition("a"), TriggeredPartition("a")}) == 1
    with pytest.raises(DeclarationValueError, match=r"TriggeredPartition\.key"):
        TriggeredPartition("")
    with pytest.raises(AttributeError):
        TriggeredPartition("a").key = "b"  # type: ignore[misc]


@pytest.mark.parametrize("marker", [TriggerTime, TriggeredArtifact])
def test_there_is_one_object_of_each_marker(marker: Any) -> None:
    assert copy.copy(marker) is copy.deepcopy({"a": marker})["a"] is pickle.loads(pickle.dumps(marker)) is marker
    assert repr(marker) in ("TriggerTime", "TriggeredArtifact")


# --- Trigger

CRON, RATE, ARTIFACT = Cron("@daily"), FixedRate(5), OnArtifact("model")


def test_trigger_defaults_and_positions() -> None:
    names = """name automation description auto_activate inputs env_vars interruptible overwrite_cache queue
        max_action_concurrency labels annotations notifications custom_context"""
    assert " ".join(f.name for f in dataclasses.fields(Trigger)) == " ".join(names.split())
    trigger = Trigger("nightly")
    assert (trigger.automation, trigger.description, trigger.auto_activate) == (None, "", True)
    assert (trigger.inputs, trigger.overwrite_cache, trigger.custom_context) == (None, False, None)
    rule = NamedRule("r")
    full = Trigger(
        "n", CRON, "d", False, {"a": 1}, {"B": "c"}, True, True, "q", 4, {"l": "1"}, {"a": "2"}, rule, {"c": "3"}
    )
    assert full.automation is CRON
    assert (full.inputs, full.env_vars, full.queue, full.max_action_concurrency) == ({"a": 1}, {"B": "c"}, "q", 4)
    assert (full.labels, full.annotations, full.notifications) == ({"l": "1"}, {"a": "2"}, rule)


def test_frozen_and_hashable_with_dicts() -> None:
    one, same = (Trigger("a", CRON, inputs={"x": [1]}, env_vars={"A": "b"}, labels={"c": "d"}) for _ in range(2))
    assert one == same
    assert len({one, same, Trigger("a", CRON)}) == 2
    assert one != Trigger("a", CRON)
    with pytest.raises(AttributeError):
        one.name = "b"  # type: ignore[misc]
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(("length", "kept"), [(255, 255), (256, 255), (1000, 255)])
def test_long_descriptions_are_cut(length: int, kept: int) -> None:
    description = Trigger("a", description="x" * length).description
    assert description is not None
    assert len(description) == kept
    assert description.startswith("x" * 247)


@pytest.mark.parametrize(
    ("automation", "inputs"),
    [
        (CRON, {"t": TriggerTime}),
        (RATE, {"t": TriggerTime, "u": TriggerTime}),
        (ARTIFACT, {"a": TriggeredArtifact, "p": TriggeredPartition("x"), "q": TriggeredPartition("y")}),
        (None, {"a": 1}),
        (CRON, {}),
    ],
)
def test_inputs(automation: Any, inputs: dict[str, Any]) -> None:
    trigger = Trigger("a", automation, inputs=inputs)
    assert trigger.inputs == inputs
    assert all((trigger.inputs or {})[key] is value for key, value in inputs.items())


@pytest.mark.parametrize(
    ("automation", "inputs"),
    [
        (ARTIFACT, {"t": TriggerTime}),
        (None, {"t": TriggerTime}),
        (CRON, {"a": TriggeredArtifact}),
        (None, {"a": TriggeredArtifact}),
        (ARTIFACT, {"a": TriggeredArtifact, "b": TriggeredArtifact}),
        (RATE, {"p": TriggeredPartition("x")}),
        (None, {"p": TriggeredPartition("x")}),
    ],
)
def test_inputs_that_the_automation_cannot_give(automation: Any, inputs: dict[str, Any]) -> None:
    with pytest.raises(DeclarationValueError, match=r"Trigger\.inputs"):
        Trigger("a", automation, inputs=inputs)


@pytest.mark.parametrize("limit", [None, 0, 2, 50])
def test_concurrency(limit: int | None) -> None:
    assert Trigger("a", max_action_concurrency=limit).max_action_concurrency == limit


@pytest.mark.parametrize("settings", [{"max_action_concurrency": n} for n in (1, -1)] + [{"env_vars": {"A=B": "x"}}])
def test_wrong_values(settings: dict[str, Any]) -> None:
    with pytest.raises(DeclarationValueError, match=f"Trigger.{next(iter(settings))}"):
        Trigger("a", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"automation": "0 9 * * *"},
        {"automation": 5},
        {"automation": Cron},
        {"description": 3},
        {"auto_activate": "no"},
        {"inputs": [("a", 1)]},
        {"inputs": {1: 2}},
        {"env_vars": {"A": 1}},
        {"interruptible": "no"},
        {"overwrite_cache": 1},
        {"queue": 3},
        {"max_action_concurrency": 2.5},
        {"max_action_concurrency": True},
        {"labels": {"a": 1}},
        {"annotations": "a=b"},
        {"notifications": "me@example.org"},
        {"notifications": ["me@example.org"]},
        {"custom_context": {"a": 1}},
    ],
)
def test_wrong_types(settings: dict[str, Any]) -> None:
    with pytest.raises(DeclarationTypeError, match=f"Trigger.{next(iter(settings))}"):
        Trigger("a", **settings)


def test_names() -> None:
    with pytest.raises(DeclarationValueError, match=r"Trigger\.name"):
        Trigger("")
    with pytest.raises(DeclarationTypeError):
        Trigger(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Trigger()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Trigger("a", cron="@daily")  # type: ignore[call-arg]


def test_notifications() -> None:
    mail = Email(on_phase=ActionPhase.FAILED, recipients=("a@b.ch",))
    assert Trigger("a", notifications=mail).notifications is mail
    assert Trigger("a", notifications=[mail]).notifications == (mail,)  # type: ignore[arg-type]
    hash(Trigger("a", notifications=(mail,)))


# --- shortcuts

SHORTCUTS = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
}


@pytest.mark.parametrize(("word", "expression"), SHORTCUTS.items())
def test_shortcuts(word: str, expression: str) -> None:
    make = getattr(Trigger, word)
    trigger = make()
    assert (trigger.name, trigger.automation, trigger.inputs) == (word, Cron(expression, "UTC"), {})
    assert trigger.description
    assert make("when").inputs == {"when": TriggerTime}
    assert make("when", inputs={"a": 1}).inputs == {"when": TriggerTime, "a": 1}
    assert make("when", inputs={"when": 1}).inputs == {"when": 1}
    assert make(notifications=NamedRule("r")).notifications == NamedRule("r")
    changed = make(name="n", description="d", auto_activate=False, env_vars={"A": "b"}, queue="q", labels={"c": "d"})
    assert (changed.name, changed.description, changed.auto_activate) == ("n", "d", False)
    assert (changed.env_vars, changed.queue, changed.labels) == ({"A": "b"}, "q", {"c": "d"})
    assert make.__name__ == word
    assert make.__doc__


def test_shortcuts_take_every_setting_but_the_automation_by_keyword() -> None:
    key, *others = inspect.signature(Trigger.daily).parameters.values()
    assert (key.name, key.default) == ("trigger_time_input_key", None)
    assert {p.kind for p in others} == {inspect.Parameter.KEYWORD_ONLY}
    assert {p.name for p in others} == {f.name for f in dataclasses.fields(Trigger)} - {"automation"}
    given = {
        "name": "n", "description": "d", "auto_activate": False, "inputs": {"a": 1}, "env_vars": {"A": "b"},
        "interruptible": True, "overwrite_cache": True, "queue": "q", "max_action_concurrency": 7,
        "labels": {"l": "1"}, "annotations": {"a": "2"}, "notifications": NamedRule("r"), "custom_context": {"c": "3"},
    }  # fmt: skip
    trigger = Trigger.daily(**given)
    assert {name: getattr(trigger, name) for name in given} == given
    with pytest.raises(TypeError):
        Trigger.daily(automation=CRON)
    with pytest.raises(DeclarationTypeError, match=r"Trigger\.inputs"):
        Trigger.daily(inputs=["a"])


def test_shortcuts_of_a_subclass() -> None:
    class Mine(Trigger):
        pass

    assert type(Mine.hourly()) is Mine


# --- what a task is given


def test_requests() -> None:
    one, two = Trigger("a"), Trigger("b")
    assert triggers_from_request(one) == (one,)
    assert triggers_from_request([one, two]) == (one, two)
    assert triggers_from_request((one,))[0] is one
    assert triggers_from_request(()) == ()


@pytest.mark.parametrize("wrong", [None, "daily", CRON, [None], (Trigger("a"), "b"), Trigger])
def test_wrong_requests(wrong: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=r"Trigger\.triggers"):
        triggers_from_request(wrong)


def test_inputs_are_compared_with_the_tasks() -> None:
    trigger = Trigger("a", inputs={"path": "x"})
    match_inputs(trigger, ["path", "other"])
    match_inputs(Trigger("a"), [])
    with pytest.raises(DeclarationValueError, match="did you mean 'paths'"):
        match_inputs(trigger, ["paths", "other"])
