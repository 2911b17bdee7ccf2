"""Previews of clones: nothing is declared before apply, everything is shown, and the code makes the same clone."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from fastapi import FastAPI
from flyte_nb import session
from flyte_nb.app import AppEnvironment, ConnectorEnvironment, Scaling
from flyte_nb.app.extras import FastAPIAppEnvironment
from flyte_nb.cloning import ClonePreview
from flyte_nb.environments.base import unannounced
from flyte_nb.errors import DeclarationError, UsageError, UsageTypeError
from flyte_nb.registry import process_registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

APP = FastAPI()


@pytest.fixture(scope="module", autouse=True)
def _own_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(session, "_session", None)
        yield
        session.current_session().close()


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    changes: list[Any] = []
    end = process_registry.observe(changes.append)
    yield changes
    end()


def base(name: str = "pre-base", **settings: Any) -> flyte.TaskEnvironment:
    usual = {"resources": flyte.Resources(cpu=1, memory="2Gi"), "env_vars": {"LEVEL": "info"}, "queue": "slow"}
    return flyte.TaskEnvironment(name, **{**usual, **settings})


def test_nothing_is_declared_before_apply(heard: list[Any]) -> None:
    source = base()
    heard.clear()
    preview = flyte.preview_clone(source, "pre-a", resources=flyte.Resources(gpu=1), reset="env_vars")
    assert preview.settings
    assert str(preview)
    assert heard == []
    assert "pre-a" not in process_registry
    clone = preview.apply()
    line = test_nothing_is_declared_before_apply.__code__.co_firstlineno + 8
    assert process_registry["pre-a"] is clone
    assert clone == source.clone_with("pre-a", resources=flyte.Resources(gpu=1), reset=("env_vars",))
    assert (clone.place.file, clone.place.line) == (__file__, line)
    assert [change.added[0].name for change in heard if change.added] == ["pre-a"]


def test_every_setting_tells_its_value_and_source() -> None:
    middle = base().clone_with("pre-middle", queue="fast")
    preview = flyte.preview_clone(middle, "pre-b", image="img:2", reset=["env_vars"])
    rows = {row.field: (row.value, row.how, row.source) for row in preview.settings}
    assert rows["image"] == ("img:2", "overridden", "pre-b")
    assert rows["env_vars"] == (None, "reset", "pre-b")
    assert rows["queue"] == ("fast", "inherited", "pre-middle")
    assert rows["resources"] == (flyte.Resources(cpu=1, memory="2Gi"), "inherited", "pre-base")
    assert rows["cache"][1] == "default"
    assert [tuple(change) for change in preview.changes] == [
        ("env_vars", {"LEVEL": "info"}, None),
        ("image", "auto", "img:2"),
    ]


@pytest.mark.parametrize(
    ("overrides", "field", "told", "error"),
    [
        ({"image": 3}, "image", "it is of type int", DeclarationError),
        ({"resorces": 1}, "resorces", "did you mean 'resources'", TypeError),
        ({"reset": "imag"}, "imag", "did you mean 'image'", DeclarationError),
        ({"queue": "q", "reset": "queue"}, "", "a field that is not given a value", DeclarationError),
        ({"reusable": flyte.ReusePolicy(2), "plugin_config": object()}, "plugin_config", "reuse", DeclarationError),
        ({"env_vars": {"A": 1}}, "env_vars", "item 'A' is of type int", DeclarationError),
    ],
)
def test_what_is_refused_is_shown_in_its_place(
    overrides: dict[str, Any], field: str, told: str, error: type[Exception]
) -> None:
    preview = flyte.preview_clone(base(), "pre-c", interruptible=True, **overrides)
    assert told in preview.errors[field]
    assert preview.clone is None
    shown = str(preview)
    assert told in shown
    assert re.search(r"^interruptible +True", shown, re.M)
    with pytest.raises(error):
        preview.apply()
    with pytest.raises(UsageError, match="a preview without errors"):
        preview.code()
    assert "pre-c" not in process_registry


def test_several_errors_are_all_shown() -> None:
    preview = flyte.preview_clone(base(), "Not a name", image=3, cpu=1)
    assert set(preview.errors) == {"name", "image", "cpu"}
    assert "for example to 'not-a-name'" in str(preview)


def test_a_subclass_that_refuses_is_shown() -> None:
    @dataclass(repr=False)
    class Strict(flyte.TaskEnvironment):
        owner: str = "me"

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.owner == "nobody":
                raise ValueError("an owner is needed")

    preview = flyte.preview_clone(Strict("pre-strict"), "pre-d", owner="nobody")
    assert preview.errors == {"": "an owner is needed"}
    assert flyte.preview_clone(Strict("pre-strict"), "pre-d", owner="you").clone.owner == "you"  # type: ignore[union-attr]


def test_a_plain_environment_cannot_be_cloned_and_says_so() -> None:
    preview = flyte.preview_clone(flyte.Environment("pre-plain"), "pre-e")
    assert "Environment has no clone_with" in preview.errors[""]


def test_what_is_no_environment_is_refused() -> None:
    for function in (lambda: flyte.preview_clone("base", "x"), lambda: flyte.compare_clones(3)):  # type: ignore[arg-type]
        with pytest.raises(UsageTypeError, match=r"accepted: .*environment"):
            function()


def test_a_name_that_is_taken_and_a_source_that_changed_are_noticed() -> None:
    old = base("pre-old")
    base("pre-old", queue="other")
    base("pre-taken")
    notices = flyte.preview_clone(old, "pre-taken").notices
    assert "'pre-taken' is declared already" in notices[0]
    assert "apply() replaces it" in notices[0]
    assert "'pre-old' was declared again" in notices[1]
    assert "this is of that declaration" in notices[1]


def test_a_former_declaration_gives_a_clone_of_the_newest() -> None:
    former = base("pre-former")
    newest = flyte.draft(former).set("queue", "other").apply()
    preview = flyte.preview_clone(former, "pre-of-newest")
    assert preview.source is newest
    assert "pre-former" in preview.code()
    assert preview.apply().queue == "other"


def test_a_clone_that_is_declared_is_not_said_to_be_replaced() -> None:
    preview = flyte.preview_clone(base("pre-own"), "pre-own-clone", queue="other")
    made = preview.apply()
    assert preview.notices == [f"'pre-own-clone' is declared already, at {made.place}, as this has it"]
    base("pre-own-clone")
    assert "apply() replaces it" in preview.notices[0]


def test_secrets_are_hidden() -> None:
    preview = flyte.preview_clone(base(), "pre-f", env_vars={"API_KEY": "abc-secret-def"})
    bundle = preview._repr_mimebundle_()
    assert "abc-secret-def" not in str(preview) + json.dumps(bundle) + repr(flyte.compare_clones(preview))
    assert "abc-secret-def" not in preview.code()


def test_html_is_escaped() -> None:
    preview = flyte.preview_clone(base(), "pre-g", description="<script>alert(1)</script>")
    assert "<script>" not in preview._repr_mimebundle_()["text/html"]


def test_clones_are_compared_in_one_table() -> None:
    source = base()
    one = flyte.preview_clone(source, "pre-h", queue="q", env_vars={"LEVEL": "debug"})
    other = flyte.preview_clone(source, "pre-i", reset="queue")
    text = flyte.compare_clones(one, other).text()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "setting pre-base pre-h pre-i"
    assert "queue 'slow' 'q' (overridden) None (reset)" in lines
    assert "env_vars {'LEVEL': 'info'} {'LEVEL': 'debug'} (overridden) {'LEVEL': 'info'}" in lines
    assert lines[-1] == "= the same in all resources=Resources(cpu=1, memory='2Gi'), 11 settings at their defaults"
    refused = flyte.compare_clones(source, flyte.preview_clone(source, "pre-j", image=3)).text()
    assert "3 (refused: given 3" in refused
    assert flyte.compare_clones(source).text().startswith("= no difference")


def test_what_is_usual_is_folded() -> None:
    view = flyte.preview_clone(base(), "pre-fold", interruptible=True).view()
    lines = view.text().splitlines()
    folded = lines.index("10 settings at their defaults")
    shown = ["env_vars", "resources", "interruptible", "queue"]
    assert sorted(line.split()[0] for line in lines[:folded]) == sorted(["+", "~", "setting", *shown])
    assert lines[folded + 1].split() == ["setting", "value"]
    assert view.html().count("<details") == 1


def test_a_cache_that_no_task_can_have_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flyte"):
        preview = flyte.preview_clone(base(), "pre-cache", cache="often")
    assert "no task of it can be declared: Cache.behavior: given 'often'" in preview.notices[0]
    caplog.clear()
    assert str(preview)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "flyte"):
        preview.apply()
    assert "no task of this environment can be declared" in caplog.text


def test_clones_of_different_kinds_are_compared() -> None:
    text = flyte.compare_clones(base(), AppEnvironment("pre-app", port=8001)).text()
    assert "port" in text
    assert "—" in text


KINDS: list[tuple[Any, dict[str, Any]]] = [
    (flyte.TaskEnvironment, {"cache": "auto", "reusable": flyte.ReusePolicy(2)}),
    (AppEnvironment, {"port": 8001}),
    (ConnectorEnvironment, {"include": ("pre_connector",)}),
    (FastAPIAppEnvironment, {"app": APP}),
]


@pytest.mark.parametrize(("kind", "own"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_kind_is_previewed_applied_and_written(kind: Any, own: dict[str, Any]) -> None:
    source = kind(name="pre-kind", description="d", **own)
    preview = flyte.preview_clone(source, "pre-kind-b", resources=flyte.Resources(cpu=2), reset=["description"])
    assert preview.errors == {}
    assert ("inherited", "pre-kind") in {(row.how, row.source) for row in preview.settings}
    assert made_by(preview) == preview.apply() == preview.clone
    assert type(preview.clone) is kind


def made_by(preview: ClonePreview) -> Any:
    """Give what the code of a preview makes."""
    names: dict[str, Any] = {}
    with unannounced():
        exec(preview.code(), names)
    return names[preview.name.replace("-", "_")]


OVERRIDES: dict[str, st.SearchStrategy[Any]] = {
    "resources": st.builds(
        flyte.Resources,
        cpu=st.none() | st.integers(1, 64) | st.sampled_from(["500m", 0.5, (1, 2)]),
        memory=st.none() | st.sampled_from(["1Gi", ("1Gi", "2Gi")]),
        gpu=st.none() | st.sampled_from([1, "A100:1", flyte.GPU("A100", 2)]),
    ),
    "env_vars": st.dictionaries(st.sampled_from(["A", "B.C", "_D"]), st.text("aü '\"\\{}\n", max_size=5), max_size=3),
    "image": st.sampled_from(
        ["img:1", flyte.Image.from_base("x"), flyte.Image.from_debian_base().with_pip_packages("p")]
    ),
    "secrets": st.sampled_from(["k", ["k", "l"], flyte.Secret("m", group="g"), [flyte.Secret("n")], []]),
    "description": st.text(max_size=300),
    "interruptible": st.booleans(),
    "include": st.lists(st.sampled_from(["a.py", "b/c.txt"]), max_size=2).map(tuple),
    "service_account": st.sampled_from(["me", "ü"]),
    "cache": st.sampled_from(["auto", flyte.Cache("auto", max_age=60), flyte.Cache("override", salt="s")]),
    "reusable": st.none() | st.builds(flyte.ReusePolicy, st.sampled_from([2, (1, 4)]), idle_ttl=st.integers(30, 90)),
    "queue": st.text(max_size=10),
    "pod_template": st.sampled_from(["template", flyte.PodTemplate(labels={"a": "b"})]),
    "depends_on": st.just([]),
}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sets(st.sampled_from(sorted(OVERRIDES))), st.sets(st.sampled_from(sorted(OVERRIDES)), max_size=3))
def test_the_code_makes_an_equal_clone(data: st.DataObject, fields: set[str], cleared: set[str]) -> None:
    source = base("pre-code", cache="auto", reusable=flyte.ReusePolicy(3), image="i", description="d")
    overrides = {field: data.draw(OVERRIDES[field], label=field) for field in sorted(fields)}
    preview = flyte.preview_clone(source, "pre-made", reset=sorted(cleared - fields), **overrides)
    if preview.errors:
        with pytest.raises((DeclarationError, TypeError)):
            preview.apply()
        return
    made = made_by(preview)
    assert made == preview.clone
    assert made == preview.apply()


def test_the_code_needs_a_source_that_it_can_name(tmp_path: Path) -> None:
    with unannounced():
        unknown = base("pre-unknown")
    with pytest.raises(UsageError, match="bound to no variable"):
        flyte.preview_clone(unknown, "pre-k").code()


def test_a_policy_is_kept_or_taken_away_as_in_clone_with() -> None:
    source = base("pre-policy", reusable=flyte.ReusePolicy(2))
    kept = flyte.preview_clone(source, "pre-m", reusable="keep")
    gone = flyte.preview_clone(source, "pre-n", reusable=None)
    assert (kept.changes, kept.errors) == ([], {})
    assert [(c.field, c.after) for c in gone.changes] == [("reusable", None)]
    assert made_by(kept) == kept.clone
    assert made_by(gone) == gone.clone


def test_a_field_of_a_users_own_may_have_any_name() -> None:
    @dataclass(repr=False)
    class Mine(flyte.TaskEnvironment):
        origin: str = "here"
        unwritten: int = 0

    clone = Mine("pre-mine", origin="there").clone_with("pre-mine-b", unwritten=1)
    assert (clone.origin, clone.unwritten) == ("there", 1)
    assert {row.field: row.how for row in flyte.preview_clone(clone, "pre-o").settings}["unwritten"] == "inherited"


def test_the_scaling_of_an_app() -> None:
    app = AppEnvironment("pre-scaled", scaling=Scaling((1, 2)))
    preview = flyte.preview_clone(app, "pre-l", scaling=Scaling((1, 4)))
    assert "scaling.replicas  (1, 2) → (1, 4)" in str(preview)
