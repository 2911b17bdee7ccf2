"""Port: where an app listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType

__all__ = ["Port"]

#: ports of the container that Knative, Flyte's serving layer, runs beside an app, and what each is for
RESERVED = {
    8012: "the queue proxy's HTTP traffic",
    8022: "the queue proxy's administration",
    8112: "the queue proxy's HTTPS traffic",
    9090: "the queue proxy's autoscaling metrics",
    9091: "the queue proxy's request metrics",
}


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise WrongType("it is a bool")
    if isinstance(value, int):
        if value in RESERVED:
            raise ValueError(f"reserved by the platform for {RESERVED[value]}")
        if not 1 <= value <= 65535:
            raise ValueError("no such port")
    return value


_ACCEPTED = "a port from 1 to 65535 other than " + ", ".join(str(port) for port in RESERVED)
_SCHEMA = {"minimum": 1, "maximum": 65535, "not": {"enum": list(RESERVED)}, "examples": [8080]}


@dataclass(frozen=True, repr=False)
class Port(Declaration):
    """A port that an app listens on.

    Parameters
    ----------
    port : int
        1 to 65535. Flyte's serving layer keeps 8012, 8022, 8112, 9090 and 9091 for its own container.
    name : str, optional
        The protocol as Knative names it: ``"h2c"`` for gRPC and HTTP/2 without TLS, ``"http1"`` for HTTP.

    Raises
    ------
    DeclarationError
        When the port is not a number, is out of range or is reserved.
    """

    port: Annotated[int, Check(_number, _ACCEPTED, before=True, schema=_SCHEMA)]
    name: str | None = None


def as_port(value: Any) -> Any:
    """Turn a number into a `Port`; a Port stays the same object, anything else is left to the type check."""
    if isinstance(value, int):
        return Port(_number(value))
    return value


AnyPort = Annotated[Port | int, Check(as_port, f"{_ACCEPTED}, or a Port", before=True, schema={"examples": [8080]})]
