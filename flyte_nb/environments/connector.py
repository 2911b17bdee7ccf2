"""ConnectorEnvironment: an app that serves Flyte connectors."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.declaration import refuse
from flyte_nb.environments.ports import AnyPort, Port

__all__ = ["METRICS_PORT", "ConnectorEnvironment"]

METRICS_PORT = 9092


@dataclass(repr=False)
class ConnectorEnvironment(AppEnvironment):
    """An app that serves connectors: Python modules that start, watch and end jobs elsewhere.

    Parameters
    ----------
    include : tuple of str
        Files and packages that hold the connectors; they become the modules that the server imports.
    port : int or Port
        Where it listens, ``Port(8080, "h2c")`` by default: connectors speak gRPC. Not 9092, where the
        connector server publishes its own metrics.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts.

    See Also
    --------
    AppEnvironment : every other setting.
    """

    type: str | None = "connector"
    port: AnyPort = field(default_factory=lambda: Port(8080, "h2c"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.get_port().port == METRICS_PORT:
            reason = "the connector server publishes its metrics there"
            raise refuse(self, "port", METRICS_PORT, "another port, such as 8080", reason)

    def container_args(self, serialize_context: Any) -> list[str]:
        """Give the arguments of the connector server: its ports, and ``--modules`` before each module."""
        if self.args is not None:
            return super().container_args(serialize_context)
        arguments = ["c0", "--port", str(self.get_port().port), "--prometheus_port", str(METRICS_PORT)]
        for module in self.modules():
            arguments += ["--modules", module]
        return arguments

    def modules(self) -> list[str]:
        """Give the dotted names of the modules and packages in ``include``; other files only travel along.

        Raises
        ------
        DeclarationValueError
            When a path leaves the directory of the declaration, or cannot be imported under a dotted name.
        """
        return list(dict.fromkeys(self._module(path) for path in self.include if _is_python(path)))

    def _module(self, path: str) -> str:
        given = PurePath(path.replace("\\", "/"))
        if given.is_absolute():
            given = PurePath(os.path.relpath(given, self.place.folder))
        parts = [*PurePath(os.path.normpath(given)).with_suffix("").parts]
        if parts and parts[-1] == "__init__":
            parts.pop()
        if not parts or any("." in part for part in parts):
            accepted = "a path to a Python file or package inside the directory of the declaration"
            raise refuse(self, "include", path, accepted, "it has no dotted module name")
        return ".".join(parts)


def _is_python(path: str) -> bool:
    given = PurePath(path)
    return bool(given.parts) and given.suffix in ("", ".py")  # "." has no parts
