"""The form of an environment: every setting has a field, whose text makes the setting again; what is wrong is said."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import flyte_nb as flyte
import pytest
from flyte_nb.app import AppEnvironment, ConnectorEnvironment, Domain, Link, Port, Scaling, Timeouts
from flyte_nb.environments.base import Environment, unannounced
from flyte_nb.environments.declaration import same
from flyte_nb.environments.domains import Subdomain
from flyte_nb.environments.editing import editable, with_values
from flyte_nb.errors import DeclarationError
from flyte_nb.form.fields import FormField, told_error
from flyte_nb.form.images import other_layers
from flyte_nb.form.items import (
    listed,
    with_dependency,
    with_secret,
    with_variable,
    without_dependency,
    without_secret,
    without_variable,
)
from flyte_nb.form.sections import form_of
from flyte_nb.notebook.rewriting import RESET
from hypothesis import given, settings
from hypothesis import strategies as st

Image, Resources, Cache, ReusePolicy = flyte.Image, flyte.Resources, flyte.Cache, flyte.ReusePolicy


@dataclasses.dataclass(repr=False)
class Tiered(flyte.TaskEnvironment):
    """Tasks that say how important they are."""

    tier: Literal["gold", "silver"] = "silver"
    share: float = 0.5
    tags: tuple[str, ...] = ()
    labels: dict[str, str] | None = None
    hook: Any = None


def fields(kind: type[Environment]) -> dict[str, FormField]:
    return {field.path: field for section in form_of(kind) for field in section.fields}


def made(kind: Any = flyte.TaskEnvironment, **settings: Any) -> Any:
    with unannounced():
        return kind(name="form-env", **settings)


def changed(env: Any, path: str, text: str) -> Any:
    """Give the environment with another text of a field, as a draft makes it."""
    values = fields(type(env))[path].change(env, text)
    return with_values(
        env, {n: v for n, v in values.items() if v is not RESET}, [n for n in values if values[n] is RESET]
    )


@pytest.mark.parametrize("kind", [flyte.TaskEnvironment, AppEnvironment, ConnectorEnvironment, Tiered])
def test_every_setting_has_a_field_and_every_field_a_name_of_its_own(kind: Any) -> None:
    found = fields(kind)
    assert {field.root for field in found.values()} == set(editable(made(kind)))
    labels = [field.label for section in form_of(kind) for field in section.fields]
    assert len(set(labels)) == len(labels)
    assert all(len(label) <= 16 for label in labels)


TASKS: list[dict[str, Any]] = [
    {},
    {"resources": Resources(cpu=(1, 2.5), memory=("1Gi", "2Gi"), gpu="A100:2", disk="1Gi", shm="auto")},
    {"resources": Resources(cpu="500m", gpu=flyte.GPU("A100", 1, "1g.5gb"))},
    {"image": "python:3.12", "cache": "auto", "description": "x", "queue": "q", "interruptible": True},
    {"image": Image.from_debian_base(python_version=(3, 12)).with_pip_packages("a", "b>=2")},
    {"image": Image.from_base("x:1").clone(name="n", extendable=True).with_pip_packages("a").with_apt_packages("git")},
    {"cache": Cache("auto", version_override="1", salt="s", ignored_inputs="a", max_age=90, serialize=True)},
    {"cache": Cache("override", ignored_inputs=("a", "b"))},
    {"reusable": ReusePolicy(replicas=(1, 4), concurrency=2, idle_ttl=90, scope="run")},
    {"include": ("a.html", "data/*.csv"), "pod_template": "big", "service_account": "me"},
]
APPS: list[dict[str, Any]] = [
    {},
    {"port": Port(9000, "h2c"), "requires_auth": False, "timeouts": Timeouts(request=90), "type": "demo"},
    {"scaling": Scaling(replicas=(0, 4), metric=Scaling.RequestRate(7), scaledown_after=300)},
    {"args": ["a b", "c"], "command": "serve --now", "domain": Domain(custom_domain="x.org")},
    {"domain": Domain(subdomain=Subdomain.from_app_name("a")), "links": [Link("/docs", "docs")], "cluster": "c"},
]
ALL = [*((flyte.TaskEnvironment, one) for one in TASKS), *((AppEnvironment, one) for one in APPS)]


@pytest.mark.parametrize(("kind", "settings"), ALL)
def test_the_text_of_a_field_changes_nothing(kind: Any, settings: dict[str, Any]) -> None:
    env = made(kind, **settings)
    for path, field in fields(kind).items():
        if field.is_editable(env):
            assert field.change(env, field.text(env)) == {}, path


@pytest.mark.parametrize(("kind", "settings"), ALL)
def test_a_text_makes_the_same_in_an_environment_that_lacks_it(kind: Any, settings: dict[str, Any]) -> None:
    env = made(kind, **settings)
    other = made(kind, **{n: v for n, v in settings.items() if n in ("links", "domain", "reusable")})
    found = [field for field in fields(kind).values() if field.is_editable(env) and field.shape.kind != "items"]
    for field in found:
        other = changed(other, field.path, field.text(env))
    assert {f.path: f.text(other) for f in found} == {f.path: f.text(env) for f in found}
    for path in ("resources.cpu", "resources.memory", "reusable.idle_ttl", "scaling.replicas", "port"):
        if path in fields(kind):
            assert same(fields(kind)[path].value(other), fields(kind)[path].value(env)), path


@pytest.mark.parametrize(("kind", "settings"), ALL)
def test_a_field_that_is_cleared_is_at_its_default(kind: Any, settings: dict[str, Any]) -> None:
    env, plain = made(kind, **settings), made(kind)
    for field in fields(kind).values():
        if (
            field.is_editable(env)
            and field.shape.kind not in ("items", "flag")
            and field.root not in ("reusable", "image")
        ):
            cleared = changed(env, field.path, "")
            assert field.text(cleared) == field.text(plain), field.path


@pytest.mark.parametrize(
    ("kind", "path", "text", "reason"),
    [
        (flyte.TaskEnvironment, "resources.memory", "10", "write the unit"),
        (flyte.TaskEnvironment, "resources.memory", "2Gi:1Gi", "is more than the limit"),
        (flyte.TaskEnvironment, "resources.cpu", "two", "not a number with a unit"),
        (flyte.TaskEnvironment, "resources.gpu", "A1000:1", "did you mean"),
        (flyte.TaskEnvironment, "reusable.idle_ttl", "5s", "less than 30 seconds"),
        (flyte.TaskEnvironment, "reusable.replicas", "4:1", "the minimum is above the maximum"),
        (flyte.TaskEnvironment, "include", "../x", "leaves the directory"),
        (flyte.TaskEnvironment, "cache.max_age", "soon", "not a length of time"),
        (AppEnvironment, "port", "8012", "reserved by the platform"),
        (AppEnvironment, "port", "x", "not a whole number"),
        (AppEnvironment, "scaling.target", "0", "less than 1"),
        (AppEnvironment, "timeouts.request", "2h", "longer than an hour"),
        (AppEnvironment, "args", "'open", "a shell cannot split it"),
        (ConnectorEnvironment, "port", "9092", "publishes its metrics there"),
        (Tiered, "tier", "bronze", "gold"),
        (Tiered, "share", "x", "not a number"),
    ],
)
def test_what_is_wrong_is_said(kind: Any, path: str, text: str, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        changed(made(kind), path, text)
    assert reason in told_error(caught.value)


def test_what_is_accepted_is_said_beside_why_it_is_refused() -> None:
    with pytest.raises(DeclarationError) as caught:
        changed(made(flyte.TaskEnvironment), "resources.memory", "abc")
    told = told_error(caught.value)
    assert told.startswith("it is not a number with a unit of Kubernetes; accepted: ")
    assert "'512Mi' or '4Gi'" in told


def test_what_a_class_adds_has_fields_by_its_schema() -> None:
    found = {field.path: (field.shape.kind, field.shape.choices, field.hint) for field in form_of(Tiered)[-1].fields}
    assert found == {
        "tier": ("choice", ("gold", "silver"), "silver"),
        "share": ("text", (), "0.5"),
        "tags": ("lines", (), ""),
        "labels": ("lines", (), ""),
        "hook": ("fixed", (), ""),
    }
    env = changed(changed(changed(made(Tiered), "tier", "gold"), "tags", "a\nb"), "labels", "x=1")
    assert (env.tier, env.tags, env.labels) == ("gold", ("a", "b"), {"x": "1"})


def test_what_a_text_cannot_say_is_left_to_code() -> None:
    app = made(AppEnvironment, domain=Domain(subdomain=Subdomain.from_app_name("a")))
    assert not fields(AppEnvironment)["domain.subdomain"].is_editable(app)
    env = made(image=Image.from_dockerfile(Path("D"), "r", "n"), pod_template=flyte.PodTemplate(labels={"a": "b"}))
    for path in ("pod_template", "image"):
        assert not fields(flyte.TaskEnvironment)[path].is_editable(env)
    with pytest.raises(DeclarationError, match="made from a Dockerfile"):
        changed(env, "image.packages", "pandas")


# --- images ---


def test_packages_are_put_on_what_there_is() -> None:
    env = changed(made(), "image.packages", "pandas\nnumpy>=2")
    assert env.image == Image.from_debian_base().with_pip_packages("pandas", "numpy>=2")
    assert fields(type(env))["image"].text(env) == "debian"
    assert changed(env, "image.packages", "").image == "auto"
    env = changed(changed(made(), "image", "python:3.12"), "image.packages", "pandas")
    assert (env.image.base_image, env.image.name, env.image.extendable) == ("python:3.12", "form-env", True)
    assert changed(env, "image", "debian 3.12").image == (
        Image.from_debian_base(python_version=(3, 12)).with_pip_packages("pandas")
    )
    assert changed(env, "image.packages", "").image == "python:3.12"


def test_other_layers_stay() -> None:
    image = Image.from_debian_base(install_flyte=False).with_apt_packages("git").with_pip_packages("a", pre=True)
    env = changed(made(image=image), "image.packages", "b")
    assert env.image == Image.from_debian_base(install_flyte=False).with_apt_packages("git").with_pip_packages(
        "b", pre=True
    )
    assert other_layers(env) == 1
    assert changed(env, "image.packages", "").image == Image.from_debian_base(install_flyte=False).with_apt_packages(
        "git"
    )


# --- items ---


def test_items_are_added_and_taken_away() -> None:
    env = made(env_vars={"A": "1"}, secrets="api-key")
    assert with_variable(env, "B", "") == {"A": "1", "B": ""}
    assert without_variable(env, "A") is RESET
    assert with_secret(env, "token", "team") == ["api-key", flyte.Secret("token", group="team")]
    assert without_secret(env, "api-key") is RESET
    assert listed(None) == []
    with pytest.raises(DeclarationError, match="not there yet"):
        with_secret(env, "api-key")
    with pytest.raises(DeclarationError, match="environment variable"):
        with_secret(env, "a b")
    other = made()
    other.name = "other"
    env.depends_on = with_dependency(env, other)
    assert without_dependency(env, "other") is RESET
    for wrong in (other, env):
        with pytest.raises(DeclarationError, match="not there yet"):
            with_dependency(env, wrong)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(fields(flyte.TaskEnvironment))), st.text(max_size=6)), max_size=6))
def test_no_text_breaks_the_form(edits: list[tuple[str, str]]) -> None:
    env = made()
    told: list[str] = []
    for path, text in edits:
        if fields(type(env))[path].shape.kind == "items":
            continue
        try:
            env = changed(env, path, text)
        except DeclarationError as error:
            told.append(told_error(error))
    assert all(told)
    for field in fields(type(env)).values():
        field.text(env)


def test_lengths_of_time_are_kept_as_declared() -> None:
    env = made(reusable=ReusePolicy(idle_ttl=timedelta(seconds=90)))
    assert fields(type(env))["reusable.idle_ttl"].text(env) == "1m 30s"
