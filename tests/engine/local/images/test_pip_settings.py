"""The user's pip configuration in uv's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from flyte_nb.engine.local.images.pip_settings import as_uv_variables, pip_settings
from hypothesis import given
from hypothesis import strategies as st

LISTED = r"""
:env:.timeout='7'
global.index-url='https://a.example/simple'
global.extra-index-url='https://b.example/simple\nhttps://c.example/simple'
global.find-links='/wheels /more'
install.timeout='5'
global.timeout='3'
global.disable-pip-version-check='1'
user.index-url='ignored'
"""


def test_settings_have_their_counterparts_and_a_later_section_wins() -> None:
    assert as_uv_variables(LISTED, {}) == {
        "UV_DEFAULT_INDEX": "https://a.example/simple",
        "UV_INDEX": "https://b.example/simple https://c.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_HTTP_TIMEOUT": "7",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_what_is_set_for_uv_stays() -> None:
    own = {"UV_INDEX_URL": "https://mine.example", "UV_INDEX": "https://mine.example", "UV_HTTP_TIMEOUT": "1"}
    assert as_uv_variables(LISTED, own) == {"UV_FIND_LINKS": "/wheels,/more"}


def test_a_configuration_file_of_uv_says_where_packages_come_from() -> None:
    assert as_uv_variables(LISTED, {}, configured=True) == {"UV_HTTP_TIMEOUT": "7"}


@pytest.mark.parametrize("listed", ["", "nonsense", "global.index-url=", "global.=''", "global.timeout=['"])
def test_odd_output_gives_nothing_that_uv_would_stumble_over(listed: str) -> None:
    assert set(as_uv_variables(listed, {})) <= {"UV_HTTP_TIMEOUT"}


@given(name=st.sampled_from(["index-url", "find-links", "cert", "other"]), value=st.text(min_size=1), more=st.text())
def test_any_value_comes_through_or_is_left_out(name: str, value: str, more: str) -> None:
    found = as_uv_variables(f"global.{name}={value!r}\n{more}", {})
    if name == "cert" and not more:
        assert found == {"SSL_CERT_FILE": value}
    assert "other" not in "".join(found)


def test_the_settings_are_read_from_pip_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://only.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert pip_settings().get("UV_DEFAULT_INDEX") == "https://only.example/simple"
