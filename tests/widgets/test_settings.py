"""Settings as a card shows them."""

from __future__ import annotations

from datetime import timedelta

import flyte_nb as flyte
from flyte_nb.widgets.settings import told_setting


def test_an_image_is_its_base_and_a_line_for_each_layer() -> None:
    image = flyte.Image.from_base("python:3.12").clone(registry="ghcr.io/me", name="mine", extendable=True)
    image = image.with_pip_packages("pandas", "numpy", index_url="https://user:v4lue@example.com/simple")
    image = image.with_env_vars({"API_TOKEN": "v4lue"}).with_commands(["echo a"])
    base, *layers = told_setting("image", image).splitlines()
    assert base == "python:3.12 named mine"
    assert len(layers) == 3
    assert "'pandas', 'numpy'" in layers[0]
    assert "API_TOKEN" in layers[1]
    assert "v4lue" not in told_setting("image", image)


def test_many_layers_are_bounded() -> None:
    image = flyte.Image.from_debian_base()
    for number in range(50):
        image = image.with_pip_packages(f"package-{number}")
    lines = told_setting("image", image).splitlines()
    assert len(lines) <= 12
    assert "more" in lines[-1]


def test_secrets_are_their_keys() -> None:
    assert told_setting("secrets", ["a", flyte.Secret("b", group="team")]) == "a, b of the group team"


def test_declarations_tell_what_is_not_at_its_default() -> None:
    policy = flyte.ReusePolicy(replicas=(1, 4), idle_ttl=timedelta(seconds=60))
    assert told_setting("reusable", policy) == "ReusePolicy(replicas=(1, 4), idle_ttl=60.0 s)"
    assert told_setting("resources", flyte.Resources(cpu=1)) == "Resources(cpu=1)"


def test_long_values_are_cut_and_secrets_hidden() -> None:
    assert len(told_setting("env_vars", {f"NAME_{n}": "x" * 60 for n in range(30)})) <= 240
    assert "v4lue" not in told_setting("env_vars", {"API_TOKEN": "v4lue"})
