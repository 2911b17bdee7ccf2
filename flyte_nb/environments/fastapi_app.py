"""FastAPIAppEnvironment: an app that is a FastAPI application."""

from __future__ import annotations

import copy
import importlib
import os
from dataclasses import dataclass, field
from typing import Annotated, Any

from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.app_context import ctx
from flyte_nb.environments.app_links import Link
from flyte_nb.environments.declaration import Check, WrongType

__all__ = ["FastAPIAppEnvironment"]

_SHARED = {"shared": True}  # it belongs to the user: a clone serves the same object


def _check_instance(value: Any, module: str, name: str) -> Any:
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError:
        raise WrongType(f"{module} is not installed") from None
    if not isinstance(value, kind):
        raise WrongType(f"it is of type {type(value).__name__}")
    return value


def _fastapi(value: Any) -> Any:
    return _check_instance(value, "fastapi", "FastAPI")


def _uvicorn(value: Any) -> Any:
    return value if value is None else _check_instance(value, "uvicorn", "Config")


def _path_in_front() -> str:
    """Give the path by which a server such as JupyterHub's passes requests on; empty where none does."""
    return os.environ.get("UVICORN_ROOT_PATH", "")


@dataclass(kw_only=True, repr=False)
class FastAPIAppEnvironment(AppEnvironment):
    """An app that is a FastAPI application, served by uvicorn; its own fields are given by keyword.

    Parameters
    ----------
    app : fastapi.FastAPI
        The application. It is served as it is: nothing of it is changed.
    type : str
        A word for the kind of app.
    uvicorn_config : uvicorn.Config, optional
        How it is served. Its port is kept; a config without one takes the port of this environment.

    Raises
    ------
    DeclarationError
        When ``app`` is no FastAPI application, or another field is not what it accepts.

    See Also
    --------
    AppEnvironment : every other setting.
    """

    app: Annotated[Any, Check(_fastapi, "a fastapi.FastAPI application")] = field(metadata=_SHARED)
    type: str | None = "FastAPI"
    uvicorn_config: Annotated[Any, Check(_uvicorn, "a uvicorn.Config or None")] = field(default=None, metadata=_SHARED)

    def __post_init__(self) -> None:
        super().__post_init__()
        docs = self.app.docs_url  # "/docs", or None where the user switched it off
        if docs and not any(link.path == docs and link.is_relative for link in self.links):  # as in a clone
            self.links = [Link(docs, "API documentation", is_relative=True), *self.links]
        self._server = self._serve

    def to_dict(self) -> dict[str, Any]:
        """Give the declaration as plain JSON data; of the application and its config, what names them."""
        fields = super().to_dict()
        fields["app"] = {"title": self.app.title, "version": self.app.version}
        if self.uvicorn_config is not None:
            fields["uvicorn_config"] = {"host": self.uvicorn_config.host, "port": self.uvicorn_config.port}
        return fields

    def __deepcopy__(self, memo: dict[int, Any]) -> FastAPIAppEnvironment:
        memo[id(self.app)] = self.app  # a FastAPI application cannot be copied deeply
        memo[id(self.uvicorn_config)] = self.uvicorn_config
        copied = object.__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    async def _serve(self) -> None:
        await importlib.import_module("uvicorn").Server(self._config()).serve()

    def _config(self) -> Any:
        """Give uvicorn's configuration with a port; the user's own object stays as it is."""
        port = self.get_port().port
        if self.uvicorn_config is None:
            # on the user's own machine only the user's own machine may call
            host = "127.0.0.1" if ctx().mode == "local" else "0.0.0.0"
            return importlib.import_module("uvicorn").Config(self.app, host=host, port=port, root_path=_path_in_front())
        config = copy.copy(self.uvicorn_config)
        config.port = port if config.port is None else config.port
        config.root_path = config.root_path or _path_in_front()
        return config
