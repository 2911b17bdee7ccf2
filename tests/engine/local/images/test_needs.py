"""What an image asks of this machine, and what is said of the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb.engine.local.images.needs import env_vars_of, label, needs_environment, safe, unmet
from flyte_nb.environments.image import Image

PLAIN = Image.from_debian_base(name="plain")
OTHER = (3, 12) if sys.version_info[:2] != (3, 12) else (3, 11)


@pytest.mark.parametrize(
    ("image", "needed"),
    [
        (None, False),
        ("auto", False),
        ("ghcr.io/org/image:latest", False),
        (PLAIN, False),
        (PLAIN.with_env_vars({"A": "1"}), False),
        (PLAIN.with_apt_packages("ffmpeg"), False),
        (PLAIN.with_code_bundle(), False),
        (Image.from_base("ghcr.io/org/image:latest"), False),
        (Image.from_debian_base(python_version=OTHER), True),
        (PLAIN.with_pip_packages("humanize"), True),
        (PLAIN.with_requirements("requirements.txt"), True),
        (PLAIN.with_uv_project("pyproject.toml"), True),
        (PLAIN.with_source_file("helpers.py"), True),
        (PLAIN.with_source_folder("package"), True),
        (Image.from_uv_script("script.py", name="s"), True),
        (Image.from_base("x:1").clone(name="n", extendable=True).with_pip_packages("humanize"), True),
    ],
)
def test_what_needs_an_environment(image: Image | str | None, needed: bool) -> None:
    assert needs_environment(image) is needed


def test_the_variables_of_an_image_a_later_layer_wins() -> None:
    assert env_vars_of(PLAIN.with_env_vars({"A": "1", "B": "1"}).with_env_vars({"B": "2"})) == {"A": "1", "B": "2"}
    assert env_vars_of("auto") == env_vars_of(None) == {}


@pytest.mark.parametrize("image", [None, "auto", PLAIN, PLAIN.with_pip_packages("x").with_env_vars({"A": "1"})])
def test_nothing_is_said_where_nothing_is_missing(image: Image | str | None) -> None:
    assert unmet(image) == ()


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ("ghcr.io/org/image:latest", "the image 'ghcr.io/org/image:latest' is not pulled"),
        (Image.from_base("x:1"), "the base image 'x:1' is not pulled"),
        (Image.from_ref_name("mine"), "the configured image 'mine' is not pulled"),
        (Image.from_dockerfile("Dockerfile", "r", "n"), "the Dockerfile 'Dockerfile' is not built"),
        (PLAIN.with_apt_packages("ffmpeg", "git"), "with_apt_packages('ffmpeg', 'git'): Debian packages"),
        (PLAIN.with_commands(["make"]), "with_commands('make'): commands run only"),
        (PLAIN.with_workdir("/app"), "with_workdir('/app'): the working directory"),
        (PLAIN.with_poetry_project("pyproject.toml"), "with_poetry_project('pyproject.toml'): Poetry"),
        (PLAIN.with_pixi_project("pixi.toml"), "with_pixi_project('pixi.toml'): pixi"),
        (Image.from_pixi_script("s.py", name="s"), "from_pixi_script('s.py'): pixi"),
        (PLAIN.with_source_file("a.py", "/opt/a"), "with_source_file('a.py'): '/opt/a' exists in containers only"),
    ],
)
def test_what_needs_a_container_is_said_with_the_layer(image: Image | str, named: str) -> None:
    (sentence,) = unmet(image)
    assert sentence.startswith(named)


def test_each_unmet_layer_has_a_sentence_in_order() -> None:
    image = PLAIN.with_apt_packages("git").with_pip_packages("x").with_commands("make")
    assert [sentence.partition("(")[0] for sentence in unmet(image)] == ["with_apt_packages", "with_commands"]


def test_a_secret_that_is_not_in_the_environment_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    image = PLAIN.with_pip_packages("x", secret_mounts=flyte.Secret("index-token"))
    monkeypatch.delenv("INDEX_TOKEN", raising=False)
    (sentence,) = unmet(image)
    assert "with_pip_packages('x')" in sentence
    assert "'index-token'" in sentence
    monkeypatch.setenv("INDEX_TOKEN", "hunter2")
    assert unmet(image) == ()


def test_a_label_is_short_and_without_credentials() -> None:
    layers = PLAIN.with_pip_packages("a @ https://me:hunter2@host/a.whl").with_requirements(Path("r.txt")).layers
    assert [label(layer) for layer in layers[-2:]] == [
        "with_pip_packages('a @ https://***@host/a.whl')",
        "with_requirements('r.txt')",
    ]
    assert len(label(PLAIN.with_pip_packages(*map(str, range(100))).layers[-1])) < 90


def test_safe_takes_out_the_longest_secret_first() -> None:
    assert safe("ab abc https://u:p@h", ["ab", "abc", ""]) == "*** *** https://***@h"
