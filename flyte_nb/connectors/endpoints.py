"""Endpoints: the connector servers that this process knows, and which one a task goes to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flyte_nb.errors import UsageError

__all__ = ["TOKEN", "VARIABLE", "Endpoint", "Endpoints"]

#: the variable that names the one server for all tasks of connectors
VARIABLE = "FLYTE_CONNECTOR_ENDPOINT"
#: the variable that holds what that server asks for, if it does; a server asks for what it holds itself
TOKEN = "FLYTE_CONNECTOR_TOKEN"
_ADDRESS = re.compile(r"(?:[a-z]+:(?://)?)?[^\s/]+:\d{1,5}", re.IGNORECASE)


@dataclass(frozen=True)
class Endpoint:
    """A connector server: its address, and what it asks for."""

    address: str
    token: str | None = field(default=None, repr=False)


class Endpoints:
    """The connector servers that this process knows, by the name of what serves them."""

    _known: dict[str, Endpoint] = {}
    _types: dict[str, list[tuple[str, int]]] = {}

    @staticmethod
    def add(name: str, address: str, token: str | None = None) -> None:
        """Make the server of an environment known: tasks of its types go there from now on.

        Parameters
        ----------
        name : str
            The environment.
        address : str
            ``host:port``.
        token : str, optional
            What the server asks for, if it does.

        Raises
        ------
        UsageError
            When it is no address.
        """
        Endpoints._known[name] = Endpoint(_checked(address, name), token)
        Endpoints._types.pop(name, None)

    @staticmethod
    def remove(name: str) -> None:
        """Forget the server of an environment; one that is not known is none."""
        Endpoints._known.pop(name, None)
        Endpoints._types.pop(name, None)

    @staticmethod
    async def find(task_type: str, version: int, variables: Mapping[str, str]) -> Endpoint | None:
        """Give the server that a task goes to; None where its connector is to run in this process.

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
            return Endpoint(_checked(stated, VARIABLE), variables.get(TOKEN))
        for name, endpoint in reversed(Endpoints._known.items()):
            if name not in Endpoints._types:
                Endpoints._types[name] = await _asked(endpoint)
            if (task_type, version) in Endpoints._types[name]:
                return endpoint
        return None


async def _asked(endpoint: Endpoint) -> list[tuple[str, int]]:
    from flyte_nb.connectors.client import ConnectorClient

    async with ConnectorClient(endpoint.address, token=endpoint.token) as client:
        return [category for categories in (await client.connectors()).values() for category in categories]


def _checked(address: str, name: str) -> str:
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        accepted = "the host and the port of a connector server, as in localhost:8000"
        raise UsageError(f"{name}: given {address!r:.80}; accepted: {accepted}")
    return address
