"""Gate: a connector server that asks for a token answers nobody without it."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

__all__ = ["Gate"]

_OPEN = "/grpc.health.v1.Health/"


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets requests in that show a token, ``authorization: Bearer TOKEN``; questions for its health without one.

    Parameters
    ----------
    token : str
        The token.
    """

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

        async def refuse(request: Any, context: Any) -> None:
            text = "asks for a token: in the metadata, authorization: Bearer TOKEN"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)

        self._refusal = grpc.unary_unary_rpc_method_handler(refuse)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
        """Give what answers a request."""
        given = dict(call.invocation_metadata).get("authorization", "")
        given = given if isinstance(given, bytes) else given.encode()
        if call.method.startswith(_OPEN) or hmac.compare_digest(given, self._expected):
            return await continuation(call)
        return self._refusal
