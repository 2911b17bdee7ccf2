"""Caching: outputs that were computed before are used again, where the task's settings say so."""

from __future__ import annotations

from flyte_nb.engine.local.calls import Call, Handler, Outcome

__all__ = ["cached"]


def cached(handle: Handler) -> Handler:
    """Wrap a handler: a call whose outputs are kept is not carried out again."""

    async def cache(call: Call) -> Outcome:
        return await handle(call)

    return cache
