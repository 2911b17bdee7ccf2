"""Names and ports: whatever is given is either accepted as it is, or refused with the field named."""

from __future__ import annotations

import re

import pytest
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.base import Environment, suggest_name
from flyte_nb.environments.ports import Port
from flyte_nb.errors import DeclarationError
from hypothesis import given
from hypothesis import strategies as st

VALID = st.from_regex(r"[a-z0-9]{1,9}([-_][a-z0-9]{1,9}){0,4}", fullmatch=True)
RESERVED = {8012, 8022, 8112, 9090, 9091}


@given(VALID)
def test_valid_names_are_kept(name: str) -> None:
    assert Environment(name).name == name


@given(st.text(max_size=30) | st.from_regex(r"[a-zA-Z0-9_.\-]{0,20}", fullmatch=True))
def test_any_other_name_is_refused(name: str) -> None:
    if re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", name):
        return
    with pytest.raises(DeclarationError, match=r"Environment\.name"):
        Environment(name)


@given(st.text(max_size=300))
def test_the_suggested_name_is_always_valid(name: str) -> None:
    suggested = suggest_name(name)
    assert Environment(suggested).name == suggested


@given(st.integers(-10, 70_000))
def test_ports(port: int) -> None:
    if 1 <= port <= 65_535 and port not in RESERVED:
        assert Port(port).port == port
        assert AppEnvironment("app", port=port).get_port().port == port
    else:
        with pytest.raises(ValueError, match=str(port)):
            Port(port)


@given(st.booleans() | st.text(max_size=5) | st.floats() | st.none())
def test_a_port_is_an_int(port: object) -> None:
    with pytest.raises(TypeError, match=r"Port\.port"):
        Port(port)  # type: ignore[arg-type]
