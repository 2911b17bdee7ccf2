"""init and its kin: what they are told is remembered, and nothing else happens."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb.context.settings import remember, remembered
from flyte_nb.errors import InitializationError


@pytest.fixture(autouse=True)
def uninitialized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("FLYTE_API_KEY", "FLYTECTL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    remember(None)
    yield
    remember(None)


def test_without_init_project_and_domain_are_unknown() -> None:
    with pytest.raises(InitializationError, match=r"no project is known; name it with flyte\.init\(project=…\)"):
        flyte.current_project()
    with pytest.raises(InitializationError, match="no domain is known"):
        flyte.current_domain()
    assert not flyte.extend.is_initialized()


def test_init_remembers_project_and_domain() -> None:
    assert flyte.init("org", "p", "d") is None
    assert (flyte.current_project(), flyte.current_domain(), remembered().org) == ("p", "d", "org")
    assert flyte.extend.is_initialized()
    assert flyte.is_control_plane_available() is False


def test_init_again_takes_the_place_of_the_first() -> None:
    flyte.init(project="one", domain="d")
    flyte.init(project="two")
    assert flyte.current_project() == "two"
    with pytest.raises(InitializationError):
        flyte.current_domain()


def test_init_adds_the_root_directory_to_the_path_once(tmp_path: Path) -> None:
    for _ in range(3):
        flyte.init(root_dir=tmp_path)
        flyte.init(root_dir=str(tmp_path))
        flyte.init()
    assert sys.path.count(str(tmp_path)) == 1


def test_every_form_can_be_awaited() -> None:
    async def all_of_them() -> None:
        await flyte.init.aio(api_key="", project="a")
        await flyte.init_from_config.aio(None, project="b")
        await flyte.init_from_api_key.aio("key", project="c")
        await flyte.init_in_cluster.aio(project="d")
        await flyte.init_passthrough.aio(project="e")

    asyncio.run(all_of_them())
    assert flyte.current_project() == "e"


def test_the_parameters_of_the_sdk_are_accepted() -> None:
    flyte.init(headless=True, insecure=True, auth_type="Pkce", rpc_retries=3, image_builder="remote", storage=None,
               batch_size=10, sync_local_sys_paths=False, log_format="json")  # fmt: skip


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"projekt": "p"}, "unknown parameter 'projekt'"),
        ({"project": 1}, "project is of type int; accepted: a str or None"),
        ({"root_dir": 1}, "root_dir is 1"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        flyte.init(**given)
    assert not flyte.extend.is_initialized()


def test_a_root_directory_has_to_exist() -> None:
    with pytest.raises(InitializationError, match="not a directory"):
        flyte.init(root_dir="/no/such/place")


def test_an_endpoint_is_remembered_and_a_warning_says_that_tasks_run_here(caplog: pytest.LogCaptureFixture) -> None:
    flyte.init(endpoint="dns:///example.com")
    assert remembered().endpoint == "dns:///example.com"
    assert "tasks run on this machine, and with engine='cluster' at dns:///example.com" in caplog.text


def test_an_api_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    flyte.init(api_key="hush")
    assert "API key" in caplog.text
    assert "hush" not in caplog.text


def test_log_levels_are_set() -> None:
    before = flyte.system_logger.level, flyte.logger.level
    try:
        flyte.init(log_level=logging.ERROR, user_log_level=logging.DEBUG)
        assert (flyte.system_logger.level, flyte.logger.level) == (logging.ERROR, logging.DEBUG)
    finally:
        flyte.system_logger.setLevel(before[0])
        flyte.logger.setLevel(before[1])


def test_an_api_key_is_needed_for_its_own_form(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InitializationError, match="FLYTE_API_KEY"):
        flyte.init_from_api_key()
    monkeypatch.setenv("FLYTE_API_KEY", "key")
    flyte.init_from_api_key(project="p")
    assert flyte.current_project() == "p"


def test_a_cluster_tells_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_PROJECT", "from-env")
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_DOMAIN", "from-env")
    flyte.init_in_cluster(domain="given")
    assert (flyte.current_project(), flyte.current_domain()) == ("from-env", "given")


FILE = """
admin:
  endpoint: dns:///example.com
  insecure: true
image:
  builder: remote
task:
  org: o
  project: p
  domain: d
"""


def test_a_configuration_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(FILE)
    read = flyte.config.auto()
    assert (read.platform.endpoint, read.platform.insecure, read.image.builder) == (
        "dns:///example.com",
        True,
        "remote",
    )
    assert (read.task.org, read.task.project, read.task.domain) == ("o", "p", "d")
    assert flyte.config.auto(read) is read
    flyte.init_from_config("config.yaml", project="mine")
    assert (flyte.current_project(), flyte.current_domain()) == ("mine", "d")


def test_no_configuration_file_is_needed() -> None:
    flyte.init_from_config(None)
    flyte.init_from_config()
    assert flyte.config.auto() == flyte.config.Config()


@pytest.mark.parametrize("content", [None, "[1]", "task: 3", "a: [", b"\xff"])
def test_a_named_file_has_to_be_readable(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InitializationError, match=r"c\.yaml cannot be read"):
        flyte.init_from_config(path)


def test_a_file_needs_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "config.yaml").write_text(FILE)
    with pytest.raises(InitializationError, match="pip install pyyaml"):
        flyte.init_from_config()


def test_a_configuration_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError, match="accepted: a path, a Config or None"):
        flyte.init_from_config(3)
