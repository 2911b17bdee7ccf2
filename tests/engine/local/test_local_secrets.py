"""Secrets: where values come from, what is said of missing ones, and that no value gets out."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import MissingSecretError, UsageError

VALUE = "hunter2-and-more"
MOUNT = "/etc/flyte/secrets"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path


def test_the_session_comes_first_then_the_environment_then_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = Secrets()
    (folder / ".env").write_text("API_KEY=of-the-file\n")
    assert secrets.resolve("api-key") == {"API_KEY": "of-the-file"}
    monkeypatch.setenv("API_KEY", "of-the-environment")
    assert secrets.resolve("api-key") == {"API_KEY": "of-the-environment"}
    secrets.set("api-key", "of-the-session")
    assert secrets.resolve("api-key") == {"API_KEY": "of-the-session"}
    assert secrets.unset("api-key")
    assert secrets.resolve(["api-key"]) == {"API_KEY": "of-the-environment"}
    assert not secrets.unset("api-key")


@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        (Secret("my-key"), "MY_KEY"),
        (Secret("my-key"), "my-key"),
        (Secret("my-key", group="my-team"), "MY_TEAM_MY_KEY"),
        (Secret("my-key", group="my-team"), "my-team_my-key"),
        (Secret("my.key", as_env_var="TOKEN"), "TOKEN"),
        (Secret("my.key", as_env_var="TOKEN"), "MY_KEY"),
        (Secret("my key", mount=MOUNT, as_env_var="TOKEN"), "MY_KEY"),
    ],
)
def test_names_in_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch, secret: Secret, variable: str) -> None:
    monkeypatch.setenv(variable, VALUE)
    assert Secrets().resolve(secret) == {secret.as_env_var: VALUE}
    assert Secrets().status(secret) == [
        (secret.key, secret.group, secret.as_env_var, f"environment variable {variable}")
    ]


def test_a_group_keeps_its_secrets_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "another's")
    secrets = Secrets()
    secrets.set("password", "another's")
    secrets.set("password", "the team's", group="team")
    assert secrets.resolve([Secret("password", group="team")]) == {"TEAM_PASSWORD": "the team's"}
    with pytest.raises(MissingSecretError, match="of the group 'db'"):
        secrets.resolve(Secret("password", group="db"))
    assert secrets.names() == [("password", None), ("password", "team")]


def test_a_session_value_may_be_set_by_its_variable(folder: Path) -> None:
    secrets = Secrets()
    secrets.set("OPENAI_API_KEY", VALUE)
    assert secrets.resolve(Secret("openai-api-key")) == {"OPENAI_API_KEY": VALUE}


def test_files_of_the_working_directory_and_the_project(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = tmp_path_factory.mktemp("project")
    (folder / ".env").write_text("# mine\nexport A='of here'\nQUOTED=\"two\\nlines\"\nEMPTY=\n")
    (project / ".env").write_text("A=of the project\nB=of the project # said\nEMPTY=filled\n")
    secrets = Secrets(project)
    assert secrets.resolve(["a", "b", "quoted", "empty"]) == {
        "A": "of here", "B": "of the project", "QUOTED": "two\nlines", "EMPTY": "filled",
    }  # fmt: skip
    assert [source for *_, source in secrets.status(["a", "b"])] == [str(folder / ".env"), str(project / ".env")]


def test_a_file_that_is_no_text_is_told_without_its_content(folder: Path) -> None:
    (folder / ".env").write_bytes(b"A=" + VALUE.encode() + b"\xff\n")
    with pytest.raises(UsageError, match=r"\.env cannot be read: it is not UTF-8") as caught:
        Secrets().resolve("a")
    assert caught.value.__context__ is None


def test_the_keyring_comes_last(folder: Path) -> None:
    script = f"""
import keyring, keyring.backend
from flyte_nb.engine.local.secrets import Secret, Secrets
class Memory(keyring.backend.KeyringBackend):
    priority = 1
    held = {{}}
    def get_password(self, service, username): return self.held.get((service, username))
    def set_password(self, service, username, password): self.held[service, username] = password
    def delete_password(self, service, username): del self.held[service, username]
keyring.set_keyring(Memory())
keyring.set_password("flyte_nb", "a", {VALUE!r})
keyring.set_password("flyte_nb/team", "a", "the team's")
asked = ["a", Secret("a", group="team")]
print(Secrets().resolve(asked) == {{"A": {VALUE!r}, "TEAM_A": "the team's"}}, Secrets().status(asked)[1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True ('a', 'team', 'TEAM_A', 'keyring')\n"


def test_missing_ones_are_named_all_at_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = tmp_path_factory.mktemp("project")
    secrets = Secrets(project)
    secrets.set("there", VALUE)
    with pytest.raises(MissingSecretError) as caught:
        secrets.resolve(["there", "api-key", Secret("password", group="db")])
    told = str(caught.value)
    for part in ("2 secrets are missing: 'api-key', 'password' of the group 'db'", "%flyte secret set api-key",
                 "%flyte secret set password --group db", str(folder / ".env"), str(project / ".env"), "this session",
                 "the environment", "keyring", "API_KEY, DB_PASSWORD"):  # fmt: skip
        assert part in told
    assert VALUE not in told
    assert secrets.status(["there", "api-key"]) == [
        ("there", None, "THERE", "session"), ("api-key", None, "API_KEY", None)
    ]  # fmt: skip


def test_nothing_asked_reads_nothing(folder: Path) -> None:
    (folder / ".env").write_bytes(b"\xff")
    assert Secrets().resolve(None) == Secrets().resolve([]) == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [("", "empty"), (b"hunter2", "of type bytes"), ("hunter2\0", "NUL"), ("hunter2\ud800", "encoding")],
)
def test_values_that_no_variable_can_hold(value: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        Secrets().set("a", value)
    assert "hunter2" not in str(caught.value)


def test_values_do_not_leave(folder: Path) -> None:
    secrets = Secrets()
    secrets.set("a", VALUE)
    assert VALUE not in repr(secrets) + str(secrets) + str(secrets.status("a"))
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(TypeError, match="do not leave their process"):
            dumps(secrets)


def test_mounted_secrets_are_private_files(folder: Path) -> None:
    secrets = Secrets()
    secrets.set("cert", "of\nmany\nlines\n")
    secrets.set("../key", "of the team", group="team")
    asked = [Secret("cert", mount=MOUNT), Secret("../key", "team", MOUNT, "TEAM_KEY")]
    assert secrets.resolve(asked) == {"TEAM_KEY": "of the team"}
    assert secrets.values(asked) == ["of\nmany\nlines\n", "of the team"]
    home = folder / "run" / "secrets"
    for _ in range(2):  # a second attempt writes them again
        assert secrets.mount(asked, home) == {"FLYTE_SECRETS_DIR": str(home)}
    files = {path.relative_to(home).as_posix(): path for path in home.rglob("*") if path.is_file()}
    assert {name: path.read_text() for name, path in files.items()} == {
        "cert": "of\nmany\nlines\n", "team/..%2Fkey": "of the team",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert home.stat().st_mode & 0o777 == 0o700


def test_without_a_mount_no_folder_is_made(folder: Path) -> None:
    secrets = Secrets()
    secrets.set("a", VALUE)
    assert secrets.mount("a", folder / "none") == {}
    assert not (folder / "none").exists()
    with pytest.raises(MissingSecretError):
        secrets.mount(Secret("b", mount=MOUNT), folder / "none")
