"""Link: a page of an app, offered where the app is shown."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_nb.environments.declaration import Declaration

__all__ = ["Link"]


@dataclass(frozen=True, repr=False)
class Link(Declaration):
    """A page that is offered where an app is shown.

    Parameters
    ----------
    path : str
        A URL, or a path of the app when ``is_relative``.
    title : str
        The text of the link.
    is_relative : bool
        Whether the path continues the app's own URL.
    """

    path: str
    title: str
    is_relative: bool = False
