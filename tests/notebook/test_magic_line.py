"""The options of a ``%%flyte`` line, edited where they are written."""

from __future__ import annotations

from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.cell_line import declaration
from flyte_nb.environments.base import unannounced
from flyte_nb.environments.editing import with_values
from flyte_nb.notebook.magic_line import edited_line, options_for
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "resources": st.none()
    | st.builds(
        flyte.Resources,
        cpu=st.none() | st.sampled_from([1, 2, "500m", "2", 0.5]),
        memory=st.none() | st.sampled_from(["1Gi", ("1Gi", "2Gi")]),
        gpu=st.none() | st.sampled_from([1, "A100:1"]),
        disk=st.none() | st.just("10Gi"),
    ),
    "env_vars": st.none() | st.dictionaries(st.sampled_from("ABCD"), st.text("aü '\"=\\$#-", max_size=5), max_size=3),
    "secrets": st.none() | st.lists(st.sampled_from(["k1", "k2", "k 3"]), max_size=3),
    "include": st.lists(st.sampled_from(["a.py", "b c.py", "-d"]), max_size=3).map(tuple),
    "image": st.sampled_from(["auto", "img:1", "img with space"]),
    "description": st.none() | st.sampled_from(["one", "it's two", ""]),
    "cache": st.sampled_from(["disable", "auto", "override"]),
    "interruptible": st.booleans(),
    "reusable": st.none() | st.builds(flyte.ReusePolicy, st.sampled_from([2, (1, 3)]), concurrency=st.integers(1, 3)),
}
WRITTEN = st.lists(
    st.sampled_from(
        ["--cpu 1", "--memory=2Gi", "--gpu 'A100:1'", "--env A=1", '--env "B=x y"', "--secret k1", "--secret k2",
         "--include a.py", "--image img:9", "--description 'a b'", "--cache auto", "--interruptible", "--replicas 1:3",
         "--concurrency 2", "--disk  10Gi"]
    ),
    unique=True,
)  # fmt: skip


def declared(line: str) -> Any:
    names: dict[str, Any] = {}
    with unannounced():
        exec(declaration(line.removeprefix("%%flyte").strip()), names)
    return names["env"]


@pytest.mark.parametrize(
    ("line", "field", "value", "after"),
    [
        ("%%flyte a", "cache", "auto", "%%flyte a --cache auto"),
        ("%%flyte a --cpu 1", "resources", flyte.Resources(cpu=2, memory="8Gi"), "%%flyte a --cpu 2 --memory 8Gi"),
        ("%%flyte  --cpu=1  a", "resources", flyte.Resources(cpu="500m"), "%%flyte --cpu 500m  a"),
        ("%%flyte a --cpu 1 --cache auto", "resources", None, "%%flyte a --cache auto"),
        ("%%flyte a --env A=1 --env 'B=x y'", "env_vars", {"A": "1", "B": "z"}, "%%flyte a --env A=1 --env B=z"),
        ("%%flyte a --interruptible --cpu 1", "interruptible", False, "%%flyte a --cpu 1"),
        ("%%flyte a --secret k --secret l", "secrets", ["l"], "%%flyte a --secret l"),
        ("%%flyte a", "include", ("-x",), "%%flyte a --include=-x"),
    ],
)
def test_only_the_options_that_change_are_touched(line: str, field: str, value: Any, after: str) -> None:
    options = options_for(field, value)
    assert options is not None
    assert edited_line(line, [(field, options)]) == after


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resources", flyte.Resources(shm="auto")),
        ("resources", flyte.Resources(cpu="2")),
        ("resources", flyte.Resources(cpu=(1, 2))),
        ("image", flyte.Image.from_base("x")),
        ("queue", "fast"),
        ("secrets", flyte.Secret("k")),
        ("secrets", []),
        ("env_vars", {"API_KEY": "abc"}),
        ("env_vars", {"A": "two\nlines"}),
        ("reusable", flyte.ReusePolicy(2, idle_ttl=60)),
    ],
)
def test_what_no_option_says_is_left_to_python(field: str, value: Any) -> None:
    assert options_for(field, value) is None


@settings(max_examples=200, deadline=None)
@given(st.data(), WRITTEN, st.integers(0, 20))
def test_the_edited_line_declares_the_draft(data: st.DataObject, written: list[str], at: int) -> None:
    words = [*written[:at], "my-env", *written[at:]]
    line = "%%flyte " + " ".join(words)
    fields = data.draw(st.lists(st.sampled_from(list(VALUES)), unique=True, min_size=1, max_size=4))
    values = {field: data.draw(VALUES[field], label=field) for field in fields}
    env = declared(line)
    wanted = with_values(env, values)
    options = {field: options_for(field, getattr(wanted, field)) for field in wanted.unwritten}
    if any(found is None for found in options.values()):
        return
    after = edited_line(line, [(field, found) for field, found in options.items() if found is not None])
    assert declared(after) == wanted
