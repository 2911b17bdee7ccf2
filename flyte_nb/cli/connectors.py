"""``flyte-nb c0``: a connector server, until it is stopped."""

from __future__ import annotations

from flyte_nb.connectors import server

__all__ = ["serve"]


def serve(words: list[str]) -> int:
    """Serve the connectors of some modules."""
    return server.main(words)
