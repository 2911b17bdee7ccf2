"""Caching: outputs that were computed before are used again, where the task's settings say so."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from flyte_nb.engine.base import Work
from flyte_nb.engine.local.calls import Call, Handler, Outcome
from flyte_nb.engine.store import Store

__all__ = ["cached", "key_of"]


def cached(store: Store, handle: Handler) -> Handler:
    """Wrap a handler: a call whose outputs are kept is not carried out again."""
    computing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def one_at_a_time(key: str) -> AsyncIterator[None]:
        lock = computing.get(key)
        if lock is None:
            lock = computing[key] = asyncio.Lock()
        async with lock:
            yield

    async def cache(call: Call) -> Outcome:
        caching, settings = call.work.policy.caching, call.work.settings
        key = key_of(call.work) if caching.behavior != "disable" and not settings.disable_run_cache else ""
        if not key:
            return await handle(call)
        async with one_at_a_time(key) if caching.serialize else contextlib.nullcontext():
            if caching.behavior == "auto" and not settings.overwrite_cache:
                kept = store.cached(key)
                if kept is not None:
                    call.action.cached = True
                    names, *values = kept.parts
                    return Outcome(tuple(values), tuple(json.loads(names)))
            outcome = await handle(call)
            if outcome.error is None:
                store.put_cached(key, call.work.task, call.journal.run.name, outcome.kept(), caching.max_age)
            return outcome

    return cache


def key_of(work: Work) -> str:
    """Give what outputs are kept under: the task, its inputs, its image, and its version or the code that it reads.

    Empty where nobody knows the code; outputs are not kept then.
    """
    version = work.policy.caching.version or work.code
    if not version or not work.inputs_key:
        return ""
    image = work.policy.image.digest() if work.policy.image is not None else ""
    told = json.dumps([work.task, version, work.inputs_key, image])
    return hashlib.blake2b(told.encode(), digest_size=20).hexdigest()
