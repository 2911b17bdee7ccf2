"""Endpoints: the connector servers that this process knows, and which one a task goes to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flyte_nb.errors import UsageError

__all__ = ["VARIABLE", "Endpoints"]

#: the variable that names the one server for all tasks of connectors
VARIABLE = "FLYTE_CONNECTOR_ENDPOINT"
_ADDRESS = re.compile(r"(?:[a-z]+:(?://)?)?[^\s/]+:\d{1,5}", re.IGNORECASE)


class Endpoints:
    """The addresses of connector servers, by the name of what serves them."""

    _known: dict[str, str] = {}
    _types: dict[str, list[tuple[str, int]]] = {}

    @staticmethod
    def add(name: str, address: str) -> None:
        """Make the server of an environment known: tasks of its types go there from now on.

        Parameters
        ----------
        name : str
            The environment.
        address : str
            ``host:port``.

        Raises
        ------
        UsageError
            When it is no address.
        """
        Endpoints._known[name] = _checked(address, name)
        Endpoints._types.pop(name, None)

    @staticmethod
    def remove(name: str) -> None:
        """Forget the server of an environment; one that is not known is none."""
        Endpoints._known.pop(name, None)
        Endpoints._types.pop(name, None)

    @staticmethod
    async def find(task_type: str, version: int, variables: Mapping[str, str]) -> str | None:
        """Give the address of the server that a task goes to; None where its connector is to run in this process.

        The variable ``FLYTE_CONNECTOR_ENDPOINT`` goes first. Each other server is asked once what it serves, the newest
        first.

        Raises
        ------
        UsageError
            When the variable holds no address.
        RuntimeSystemError
            When a server does not answer.
        """
        if stated := variables.get(VARIABLE):
            return _checked(stated, VARIABLE)
        for name, address in reversed(Endpoints._known.items()):
            if name not in Endpoints._types:
                Endpoints._types[name] = await _asked(address)
            if (task_type, version) in Endpoints._types[name]:
                return address
        return None


async def _asked(address: str) -> list[tuple[str, int]]:
    from flyte_nb.connectors.client import ConnectorClient

    async with ConnectorClient(address) as client:
        return [category for categories in (await client.connectors()).values() for category in categories]


def _checked(address: str, name: str) -> str:
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        accepted = "the host and the port of a connector server, as in localhost:8000"
        raise UsageError(f"{name}: given {address!r:.80}; accepted: {accepted}")
    return address
