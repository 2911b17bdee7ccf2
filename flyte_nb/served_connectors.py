"""Served connectors: what a connector environment needs to be served, beside what every app does."""

from __future__ import annotations

import secrets
from pathlib import Path

from flyte_nb.connectors.endpoints import TOKEN
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.connector import ConnectorEnvironment
from flyte_nb.notebook.module import FILE
from flyte_nb.session import Session

__all__ = ["guard", "words_for_cells"]

_tokens: dict[str, str] = {}


def words_for_cells(session: Session, app: AppEnvironment, home: Path) -> tuple[str, ...]:
    """Give what the command of a connector server needs to serve the connectors that cells define."""
    return ("--cells", str(home / FILE)) if session.shipping.holds_connectors(app) else ()


def guard(app: AppEnvironment) -> dict[str, str]:
    """Give the variable by which a connector server asks for a token itself: a gateway cannot look into gRPC."""
    if not isinstance(app, ConnectorEnvironment) or not app.requires_auth:
        return {}
    return {TOKEN: _tokens.setdefault(app.name, secrets.token_urlsafe(32))}
