"""Who asks: the token that a test may require, and how a client comes by one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.auth import auth_service_pb2 as messages
from flyteidl2.auth import identity_pb2 as identity
from flyteidl2.auth.auth_service_connect import AuthMetadataService
from flyteidl2.auth.identity_connect import IdentityService

#: where a client with a secret of its own gets a token
TOKENS = "/oauth2/token"


class Clients(AuthMetadataService):
    """Gives a token for a client's secret, and checks tokens, once one is required.

    ``token`` is the one that is required, None for no such thing; ``client`` is the name and the secret of who gets it.
    """

    def __init__(self, endpoint: str) -> None:
        self.token: str | None = None
        self.client = ("stand-in", "a secret")
        self._endpoint = endpoint

    def check(self, rpc: str, headers: Any) -> None:
        """Refuse a call without the token; whoever asks how to authenticate need not."""
        is_right = self.token is None or headers.get("authorization") == f"Bearer {self.token}"
        if not is_right and not rpc.startswith("AuthMetadataService"):
            raise ConnectError(Code.UNAUTHENTICATED, "the token is missing or wrong")

    def issue(self, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Give the HTTP status and the answer to a client that shows its secret."""
        shown = base64.b64encode(":".join(self.client).encode()).decode()
        if headers.get("authorization") != f"Basic {shown}":
            return 401, b'{"error": "invalid_client"}'
        return 200, json.dumps({"access_token": self.token, "token_type": "bearer", "expires_in": 3600}).encode()

    async def get_o_auth2_metadata(self, request: Any, ctx: Any) -> Any:
        return messages.GetOAuth2MetadataResponse(issuer=self._endpoint, token_endpoint=f"{self._endpoint}{TOKENS}")

    async def get_public_client_config(self, request: Any, ctx: Any) -> Any:
        return messages.GetPublicClientConfigResponse(
            client_id=self.client[0], authorization_metadata_key="authorization"
        )


class Users(IdentityService):
    """One user."""

    async def user_info(self, request: Any, ctx: Any) -> Any:
        return identity.UserInfoResponse(subject="ada", name="Ada")
