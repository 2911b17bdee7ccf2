"""Extra: what connectors need beside this package, or the error that says how to get it."""

from __future__ import annotations

from importlib.util import find_spec

from flyte_nb.errors import InitializationError

__all__ = ["insist"]

_NEEDED = ("grpc", "flyteidl2", "msgpack")
_SERVER = ("grpc_health", "prometheus_client")


def insist(what: str, server: bool = False) -> None:
    """Make sure that the packages of the extra ``connectors`` are there.

    Parameters
    ----------
    what : str
        What needs them, as the error says it.
    server : bool
        Whether those of the server are needed, too.

    Raises
    ------
    InitializationError
        When one is missing, with the command that installs them.
    """
    missing = [name for name in _NEEDED + (_SERVER if server else ()) if find_spec(name) is None]
    if missing:
        raise InitializationError(
            "PackageMissing",
            "user",
            f"{what} needs the extra 'connectors' ({', '.join(missing)} missing): pip install \"flyte_nb[connectors]\"",
        )
