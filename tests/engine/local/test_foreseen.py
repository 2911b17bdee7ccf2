import pytest
from flyte_nb.engine.local.foreseen import foresee
from flyte_nb.engine.local.images.environment import content_of, image_shelf, is_built
from flyte_nb.engine.local.images.pythons import find_python
from flyte_nb.engine.local.images.shelf import cache_home
from flyte_nb.engine.local.images.sources import digest
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.environments.base import listen
from flyte_nb.environments.image import Image
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.environments.task import TaskEnvironment


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = listen(None)
    yield
    listen(before)


def image():
    return Image.from_debian_base().with_pip_packages("six")


def test_looking_for_an_image_makes_nothing():
    assert not is_built(image())
    assert not cache_home().exists()


def test_an_image_that_is_built():
    made = image()
    key = digest(content_of(made, find_python(made.python_version)))
    python = cache_home() / "images" / key / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert image_shelf().holds(key)
    assert is_built(made)
    assert foresee([TaskEnvironment("e", image=made)], Secrets()).images[0].state == "built"
    assert not is_built(made.with_pip_packages("toolz"))


def test_each_image_is_told_once_with_all_who_ask_for_it():
    made = [
        TaskEnvironment("a", image=image()),
        TaskEnvironment("b"),
        TaskEnvironment("c", image=image().with_apt_packages("ffmpeg")),
        TaskEnvironment("d", image=image()),
        TaskEnvironment("e", image="ghcr.io/me/image:v1"),
    ]
    found = foresee(made, Secrets())
    assert [one.used_by for one in found.images] == [("a", "d"), ("b",), ("c",), ("e",)]
    assert [one.state.partition(":")[0] for one in found.images] == [
        "not built yet", "the Python of this notebook", "not built yet", "the Python of this notebook"
    ]  # fmt: skip
    assert [one.image for one in found.images][3] == "ghcr.io/me/image:v1"
    assert [len(one.missing) for one in found.images] == [0, 0, 1, 1]
    assert len(found.notices) == 2


def test_an_image_of_a_python_that_is_not_here():
    (one,) = foresee([TaskEnvironment("e", image=Image.from_debian_base(python_version=(3, 99)))], Secrets()).images
    assert one.state.startswith("cannot be built here: ")
    assert "3.99" in one.state


def test_secrets_by_where_they_come_from(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("IN_FILE=value-of-a-file\n")
    monkeypatch.setenv("IN_ENVIRONMENT", "value-of-a-variable")
    source = Secrets()
    source.set("in-session", "value-of-the-session")
    made = [
        TaskEnvironment("a", secrets=["in-session", "in-file"]),
        TaskEnvironment("b", secrets=["in-file", "in-environment", Secret("nowhere", group="team")]),
    ]
    found = foresee(made, source)
    assert [(one.key, one.used_by) for one in found.secrets] == [
        ("in-session", ("a",)), ("in-file", ("a", "b")), ("in-environment", ("b",)), ("nowhere", ("b",))
    ]  # fmt: skip
    assert [bool(one.source) for one in found.secrets] == [True, True, True, False]
    assert found.notices == ["the secret 'nowhere' is nowhere: b cannot run here"]
    assert "value-of" not in repr(found)


def test_a_file_of_secrets_that_cannot_be_read(tmp_path):
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    found = foresee([TaskEnvironment("a", secrets="key")], Secrets())
    assert found.secrets == []
    assert "it is not UTF-8" in found.notices[0]


def test_what_is_not_here_or_not_enforced():
    made = [
        TaskEnvironment("a", resources=Resources(cpu=100_000, disk="10Gi", shm="1Gi")),
        TaskEnvironment("b", resources=Resources(cpu=100_000, disk="10Gi", shm="1Gi")),
        TaskEnvironment("c", resources=Resources(gpu="T4:8")),
        TaskEnvironment("d", resources=Resources(cpu=1)),
    ]
    told = foresee(made, Secrets()).notices
    assert told[0].startswith("a, b: cpu 100000 asked, ")
    assert told[1:3] == [
        "a, b: disk 10Gi is not enforced on this machine",
        "a, b: shm 1Gi is not enforced on this machine",
    ]
    assert told[3].startswith("c: gpu T4:8 asked, ")
    assert len(told) == 4
