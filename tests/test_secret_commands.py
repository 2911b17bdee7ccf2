"""``%flyte secret``: hidden in a real kernel, and nothing but the value is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.errors import UnknownNameError, UsageError
from flyte_nb.secret_commands import secret_command
from jupyter_client.manager import start_new_kernel

VALUE = "hunter2-and-more"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """A client that answers what a kernel asks for, as a front end does."""
    manager, client = start_new_kernel(cwd=str(tmp_path))
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def ask(client: Any, code: str, answer: str) -> tuple[list[dict[str, Any]], str]:
    """Run code; give what it asked for, and all that it showed."""
    asked: list[dict[str, Any]] = []
    shown: list[str] = []

    def reply(message: dict[str, Any]) -> None:
        asked.append(message["content"])
        client.input(answer)

    done = client.execute_interactive(
        code, allow_stdin=True, stdin_hook=reply, output_hook=lambda m: shown.append(str(m["content"])), timeout=60
    )
    assert done["content"]["status"] == "ok", shown
    return asked, "".join(shown)


def test_the_prompt_of_a_kernel_is_hidden_and_the_value_not_shown(client: Any) -> None:
    code = """
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.secret_commands import secret_command
secrets = Secrets()
print(secret_command(["set", "api-key", "--group", "team"], secrets).text())
print(secret_command(["list"], secrets).text(), len(secrets._set["team", "api-key"]))
"""
    asked, shown = ask(client, code, VALUE)
    assert asked == [{"prompt": "Value of api-key of the group team (hidden): ", "password": True}]
    assert "is set for this session" in shown
    assert str(len(VALUE)) in shown
    assert VALUE not in shown


def test_list_and_unset() -> None:
    secrets = Secrets()
    assert secret_command(["list"], secrets).text() == "no secret is set in this session"
    secrets.set("a", VALUE)
    secrets.set("b", VALUE, group="team")
    listed = secret_command([], secrets).text()
    assert "team" in listed
    assert VALUE not in listed
    assert secret_command(["unset", "b", "--group=team"], secrets).text() == "b of the group team is forgotten"
    assert secrets.names() == [("a", None)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sett", "a"], "did you mean 'set'"),
        (["set"], "accepted: %flyte secret set KEY"),
        (["set", "a", VALUE], "the value is asked for"),
        (["set", "a", f"--value={VALUE}"], "the value is asked for"),
        (["unset"], "required: KEY"),
        (["unset", "a", "--grup", "g"], "did you mean '--group'"),
        (["list", "a"], "unrecognized arguments"),
    ],
)
def test_wrong_use(words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        secret_command(words, Secrets())
    assert VALUE not in f"{caught.value}{caught.value.__context__}"


def test_forgetting_what_is_not_set_suggests_the_nearest() -> None:
    secrets = Secrets()
    secrets.set("api-key", VALUE)
    with pytest.raises(UnknownNameError, match="did you mean 'api-key'"):
        secret_command(["unset", "api-kye"], secrets)
