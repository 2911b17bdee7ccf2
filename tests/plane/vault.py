"""Secrets: their names are told, their values only kept."""

from __future__ import annotations

from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.secret import payload_pb2 as messages
from flyteidl2.secret.secret_connect import SecretService


class Secrets(SecretService):
    """The secrets; ``values`` holds what a client sent, by name."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def create_secret(self, request: Any, ctx: Any) -> Any:
        if request.id.name in self.values:
            raise ConnectError(Code.ALREADY_EXISTS, f"secret {request.id.name!r}")
        self.values[request.id.name] = _value(request)
        return messages.CreateSecretResponse()

    async def update_secret(self, request: Any, ctx: Any) -> Any:
        self._check(request.id.name)
        self.values[request.id.name] = _value(request)
        return messages.UpdateSecretResponse()

    async def get_secret(self, request: Any, ctx: Any) -> Any:
        self._check(request.id.name)
        answer = messages.GetSecretResponse()
        answer.secret.id.CopyFrom(request.id)
        return answer

    async def delete_secret(self, request: Any, ctx: Any) -> Any:
        self._check(request.id.name)
        del self.values[request.id.name]
        return messages.DeleteSecretResponse()

    async def list_secrets(self, request: Any, ctx: Any) -> Any:
        answer = messages.ListSecretsResponse()
        for name in self.values:
            answer.secrets.add().id.name = name
        return answer

    def _check(self, name: str) -> None:
        if name not in self.values:
            raise ConnectError(Code.NOT_FOUND, f"secret {name!r} not found")


def _value(request: Any) -> Any:
    return getattr(request.secret_spec, request.secret_spec.WhichOneof("value") or "string_value")
