"""Domain and Subdomain: the host name under which an app is reached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from flyte_nb.environments.declaration import Declaration, refuse

__all__ = ["Domain", "Subdomain"]


@dataclass(frozen=True, repr=False)
class Subdomain(Declaration):
    """A subdomain that is put together when the app is deployed.

    Parameters
    ----------
    app_name : str, optional
        The first part; the project and domain follow.
    project_domain_suffix : {"hash", "default"}
        How the project and domain follow: as a short hash, or in clear.
    function : callable, optional
        Called with the app and the context of the deployment; gives the whole subdomain.

    Raises
    ------
    DeclarationError
        When neither or both of ``app_name`` and ``function`` are given, or the suffix is another.
    """

    app_name: str | None = None
    project_domain_suffix: Literal["hash", "default"] = "hash"
    function: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.app_name is None) == (self.function is None):
            given = (self.app_name, self.function)
            raise refuse(self, "app_name, function", given, "exactly one of app_name and function")

    @classmethod
    def from_app_name(cls, app_name: str, project_domain_suffix: Literal["hash", "default"] = "hash") -> Subdomain:
        """Make a subdomain of an app's name and the project and domain it is deployed to."""
        return cls(app_name=app_name, project_domain_suffix=project_domain_suffix)

    @classmethod
    def from_function(cls, function: Callable[..., Any]) -> Subdomain:
        """Make a subdomain that ``function(app, context)`` gives."""
        return cls(function=function)

    def resolve(self, app_env: Any, serialization_context: Any) -> str:
        """Give the subdomain of an app in one deployment.

        Parameters
        ----------
        app_env : AppEnvironment
            The app that is deployed.
        serialization_context : object
            The context of the deployment, with ``project`` and ``domain``.

        Raises
        ------
        DeclarationValueError
            When the context has no project or domain, or the function gives no text.
        """
        if self.function is not None:
            return _called(self.function, app_env, serialization_context)
        project, domain = (getattr(serialization_context, name, None) for name in ("project", "domain"))
        if not project or not domain:
            raise refuse(self, "resolve", (project, domain), "a context with a project and a domain")
        if self.project_domain_suffix == "default":
            return f"{self.app_name}-{project}-{domain}"
        return f"{self.app_name}-{hashlib.sha256(f'{project}-{domain}'.encode()).hexdigest()[:8]}"


def _called(function: Callable[..., Any], app: Any, sctx: Any) -> str:
    name = function(app, sctx)
    if not isinstance(name, str) or not name:
        raise refuse(Subdomain, "function", name, "a function that gives the subdomain as a str, not empty")
    return name


@dataclass(repr=False)
class Domain(Declaration):
    """Where an app is reached.

    Parameters
    ----------
    subdomain : str or Subdomain, optional
        The part before the platform's own domain.
    custom_domain : str, optional
        A whole host name of one's own.
    """

    subdomain: str | Subdomain | None = None
    custom_domain: str | None = None
