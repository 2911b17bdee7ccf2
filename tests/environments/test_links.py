"""Links: any object of the right shape is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from flyte_nb.environments.links import Link, links_from_request
from flyte_nb.errors import DeclarationTypeError


@dataclass
class Dashboard(Link):
    """A link that says that it is one."""

    name: str

    def get_link(self, *args: Any, **kwargs: Any) -> str:
        return f"https://example.org/{self.name}"


class Shaped:
    """A link by its shape alone."""

    name = "logs"
    icon_uri = None

    def get_link(self, **kwargs: Any) -> str:
        return "https://example.org"


class Bare:
    """A link without an icon, which has a default."""

    name = "bare"

    def get_link(self, **kwargs: Any) -> str:
        return "https://example.org"


class Halved:
    """Half a link."""

    name = "logs"


def test_the_protocol() -> None:
    assert issubclass(Link, Protocol)  # type: ignore[arg-type]
    assert isinstance(Dashboard("a"), Link)
    assert isinstance(Shaped(), Link)
    assert not isinstance(Halved(), Link)
    assert Dashboard("a").icon_uri == ""
    assert Dashboard("a").get_link() == "https://example.org/a"


def test_requests() -> None:
    one, two = Dashboard("a"), Shaped()
    assert links_from_request(one) == (one,)
    assert links_from_request([one, two]) == (one, two)
    assert links_from_request((two,))[0] is two
    assert links_from_request(()) == links_from_request([]) == ()
    assert links_from_request(bare := Bare()) == (bare,)  # type: ignore[arg-type]  # its icon is the default, none


@pytest.mark.parametrize("wrong", [None, "https://example.org", 3, [None], (Dashboard("a"), "b"), {"a": "b"}])
def test_wrong_requests(wrong: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=r"Link\.links"):
        links_from_request(wrong)


def test_the_refusal_says_what_is_missing() -> None:
    with pytest.raises(DeclarationTypeError, match="Halved has no get_link"):
        links_from_request(Halved())  # type: ignore[arg-type]
    with pytest.raises(DeclarationTypeError, match=r"it is a class; make one: Shaped\("):
        links_from_request(Shaped)  # type: ignore[arg-type]
