"""Link: a URL that is shown beside a task's execution."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from flyte_nb.environments.declaration import refuse_type

__all__ = ["Link", "links_from_request"]

_ACCEPTED = "a Link or a tuple or list of Links: objects with a name and get_link()"


@runtime_checkable
class Link(Protocol):
    """Makes a URL for each execution of a task; any object of this shape is one.

    Parameters
    ----------
    name : str
        The text of the link.
    icon_uri : str, optional
        An image shown with it.
    """

    name: str
    icon_uri: str | None = ""

    def get_link(
        self,
        run_name: str,
        project: str,
        domain: str,
        context: dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: Any,
    ) -> str:
        """Give the URL for one action of one run; ``pod_name`` may be a placeholder that is filled in later."""
        ...


def links_from_request(request: Link | tuple[Link, ...] | list[Link]) -> tuple[Link, ...]:
    """Give what a ``links=`` argument asks for as a tuple; the Links stay the same objects.

    Raises
    ------
    DeclarationTypeError
        When something in it is not a Link; None is not.
    """
    items = tuple(request) if isinstance(request, tuple | list) else (request,)
    for item in items:
        if isinstance(item, type):
            raise refuse_type(Link, "links", item, _ACCEPTED, f"it is a class; make one: {item.__name__}(…)")
        if not hasattr(item, "name") or not callable(getattr(item, "get_link", None)):
            raise refuse_type(Link, "links", item, _ACCEPTED, _lacks(item))
    return items


def _lacks(item: Any) -> str:
    missing = [part for part in ("name", "get_link") if not hasattr(item, part)]
    return f"{type(item).__name__} has no {', no '.join(missing)}" if missing else "get_link cannot be called"
