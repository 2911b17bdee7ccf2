"""Secrets: names of credentials, what carries them, and where they come from in a ``secrets=`` argument."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from flyte_nb.environments.forms import from_dict
from flyte_nb.environments.secrets import Secret, secrets_from_request
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st

MOUNT = "/etc/flyte/secrets"


@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        (Secret("openai"), "OPENAI"),
        (Secret("api-key"), "API_KEY"),
        (Secret("api-key", "my-team"), "MY_TEAM_API_KEY"),
        (Secret("api-key", group=""), "API_KEY"),
        (Secret("2fa", group="login"), "LOGIN_2FA"),
        (Secret("my.key", as_env_var="MY_KEY"), "MY_KEY"),
        (Secret("a", as_env_var="_"), "_"),
        (Secret("a", mount=Path(MOUNT)), None),
        (Secret("a b.c", mount=MOUNT), None),
        (Secret("a", mount=MOUNT, as_env_var="A1"), "A1"),
    ],
)
def test_variable(secret: Secret, variable: str | None) -> None:
    assert secret.as_env_var == variable


def test_positions_and_mount() -> None:
    secret = Secret("key", "group", MOUNT, "VAR")
    assert (secret.key, secret.group, secret.mount, secret.as_env_var) == ("key", "group", MOUNT, "VAR")


def test_the_mount_is_kept_as_it_was_given() -> None:
    as_text, as_path = Secret("a", mount=MOUNT), Secret("a", mount=Path(MOUNT))
    assert (as_text.mount, as_path.mount) == (MOUNT, Path(MOUNT))
    assert as_text == as_path
    assert as_text.stable_hash() == as_path.stable_hash()
    assert from_dict(as_path.to_dict()) == as_path != Secret("a", as_env_var="A") != "a"


@pytest.mark.parametrize("key", ["my.key", "my key", "1key", "", "a\n", "é"])
def test_a_key_without_a_valid_variable_is_refused_by_its_own_name(key: str) -> None:
    with pytest.raises(DeclarationValueError, match=r"^Secret\.key"):
        Secret(key)


def test_the_refusal_offers_a_variable() -> None:
    with pytest.raises(DeclarationValueError, match="as_env_var='_2_MY_KEY'"):
        Secret("2.my key")


@pytest.mark.parametrize("variable", ["lower", "1A", "A-B", "A\n", "", "A B", "Ä"])
def test_wrong_variable(variable: str) -> None:
    with pytest.raises(DeclarationValueError, match=r"^Secret\.as_env_var"):
        Secret("a", as_env_var=variable)


@pytest.mark.parametrize("mount", ["/tmp", Path("/etc/flyte"), "", "/etc/flyte/secrets/a"])
def test_wrong_mount(mount: str | Path) -> None:
    with pytest.raises(DeclarationValueError, match=r"^Secret\.mount"):
        Secret("a", mount=mount)


@pytest.mark.parametrize("fields", [{"key": 1}, {"key": None}, {"key": "a", "group": 1}, {"key": "a", "mount": 3}])
def test_wrong_types(fields: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Secret(**fields)  # type: ignore[arg-type]


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError):
        Secret("a", env_var="A")  # type: ignore[call-arg]


def test_frozen_equal_and_hashable() -> None:
    one, same, other = Secret("a"), Secret("a"), Secret("a", "b")
    assert one == same
    assert one != other
    assert {one, same, other} == {one, other}
    assert hash(one) == hash(same)
    with pytest.raises(AttributeError):
        one.key = "b"  # type: ignore[misc]


def test_copies_are_equal() -> None:
    secret = Secret("a", "b", MOUNT)
    assert copy.deepcopy(secret) == pickle.loads(pickle.dumps(secret)) == secret
    assert dataclasses.replace(secret, key="c").key == "c"


names = st.text("abcdefgXYZ-_", min_size=1).filter(lambda text: not text[0].isdigit())


@given(names, names, names, names)
def test_stable_hash_follows_the_fields(key: str, group: str, other_key: str, other_group: str) -> None:
    one, other = Secret(key, group), Secret(other_key, other_group)
    assert (one == other) == (one.stable_hash() == other.stable_hash())
    assert int(one.stable_hash(), 16) >= 0


def test_stable_hash_is_the_same_in_every_process() -> None:
    script = "from flyte_nb.environments.secrets import Secret\ns = Secret('a', 'b')\nprint(s.stable_hash(), hash(s))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.split() == [Secret("a", "b").stable_hash(), str(hash(Secret("a", "b")))]


def test_requests() -> None:
    secret = Secret("b")
    assert secrets_from_request(None) == []
    assert secrets_from_request("a") == [Secret("a")]
    assert secrets_from_request(secret)[0] is secret
    one, same = secrets_from_request(["a", secret])
    assert one == Secret("a")
    assert same is secret


@pytest.mark.parametrize("request_", [("a",), 3, {"a": "b"}, ["a", 3], [None]])
def test_wrong_requests(request_: object) -> None:
    with pytest.raises(DeclarationTypeError):
        secrets_from_request(request_)  # type: ignore[arg-type]
