"""A cluster is found as the Flyte SDK finds it, and said where; nothing is asked of it before it is used."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import flyte_nb
import pytest

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")

from flyte_nb.context.settings import remember
from flyte_nb.engine.cluster import connection
from flyte_nb.engine.cluster.connection import Connection, connect, connected, is_known
from flyte_nb.errors import InitializationError, UnionRpcError

#: of what the SDK uses to read files
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FILE = "admin:\n  endpoint: dns:///file.example.com\n  insecure: true\ntask:\n  project: p\n  domain: d\n  org: o\n"


@pytest.fixture(autouse=True)
def unconnected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("FLYTE_API_KEY", "FLYTECTL_CONFIG", "UCTL_CONFIG", "FLYTE_ADMIN_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connection, "_known", None)
    monkeypatch.setattr(sys.modules["flyte._initialize"], "_init_config", None)
    level = logging.getLogger("flyte").level
    remember(None)
    yield
    remember(None)
    logging.getLogger("flyte").setLevel(level)


def test_without_any_the_error_says_how_to_name_one() -> None:
    with pytest.raises(InitializationError, match=r"Name one with flyte\.init\(endpoint=…"):
        connected()
    assert not is_known()


def test_it_is_what_init_was_told() -> None:
    flyte_nb.init(endpoint="http://there.example.com", insecure=True, project="p", domain="d")
    before = list(sys.path)
    found = connected()
    assert (found.endpoint, found.project, found.domain) == ("http://there.example.com", "p", "d")
    assert found.source == "flyte.init"
    assert connected() is found
    assert is_known()
    assert sys.path == before
    flyte_nb.init(endpoint="http://else.example.com", insecure=True)
    assert connected().endpoint == "http://else.example.com"


def test_a_configuration_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(FILE)
    found = connected()
    assert (found.endpoint, found.project, found.domain, found.org) == ("http://file.example.com", "p", "d", "o")
    assert found.source == str(tmp_path / "config.yaml")


def test_a_file_that_is_written_or_edited_later_counts(tmp_path: Path) -> None:
    with pytest.raises(InitializationError):
        connected()
    (tmp_path / "config.yaml").write_text(FILE)
    assert connected().project == "p"
    (tmp_path / "config.yaml").write_text(FILE.replace("project: p", "project: q"))
    assert connect().project == "q"


def test_a_named_file_and_a_project_in_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FILE)
    flyte_nb.init_from_config(tmp_path / "mine.yaml", project="other")
    assert (connected().endpoint, connected().project) == ("http://file.example.com", "other")
    assert (connect(tmp_path / "mine.yaml", domain="e").domain, connected().domain) == ("e", "e")


def test_a_variable_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_ADMIN_ENDPOINT", "dns:///variable.example.com")
    monkeypatch.setenv("FLYTE_ADMIN_INSECURE", "true")
    assert (connected().endpoint, connected().source) == ("http://variable.example.com", "FLYTE_ADMIN_ENDPOINT")


def test_an_api_key_names_it_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(b"key.example.com:me:hush-hush:org").decode()
    monkeypatch.setenv("FLYTE_API_KEY", key)
    found = connected()
    assert "key.example.com" in found.endpoint
    assert found.source == "FLYTE_API_KEY"
    assert "hush" not in repr(found)
    assert key not in repr(found)


def test_what_the_sdk_was_told_itself() -> None:
    import flyte

    flyte.init(endpoint="http://sdk.example.com", insecure=True, project="s", domain="t")
    assert (connected().endpoint, connected().source) == ("http://sdk.example.com", "the Flyte SDK's own init")


def test_what_the_sdk_does_not_take_is_named() -> None:
    with pytest.raises(InitializationError, match="has no parameter 'colour'"):
        connect(endpoint="http://there.example.com", colour="red")
    assert not is_known()


async def _fails() -> None:
    raise ConnectionRefusedError("refused")


async def _sleeps() -> None:
    await asyncio.sleep(60)


async def _counts() -> AsyncIterator[int]:
    for number in range(3):
        yield number
    raise ConnectionRefusedError("refused")


def test_a_call_that_fails_says_what_was_asked() -> None:
    there = Connection("http://there", patience=0.1)
    with pytest.raises(UnionRpcError, match="counting: http://there does not answer") as failed:
        asyncio.run(there.call("counting", _fails))
    assert failed.value.code == "Unreachable"
    with pytest.raises(UnionRpcError, match="counting: http://there took too long"):
        asyncio.run(there.call("counting", _sleeps))


def test_a_stream_gives_what_comes_before_it_breaks() -> None:
    async def read() -> list[int]:
        async for number in Connection("http://there").stream("counting", _counts):
            found.append(number)
        return found

    found: list[int] = []
    with pytest.raises(UnionRpcError, match="does not answer"):
        asyncio.run(read())
    assert found == [0, 1, 2]
