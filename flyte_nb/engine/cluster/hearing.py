"""Hearing: what the SDK says while it is asked something goes to whoever asked, not into the cell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from flyte_nb.engine.cluster import sdk

__all__ = ["hearing"]

Hear = Callable[[str], None]

_hear: ContextVar[Hear | None] = ContextVar("flyte_nb_hear", default=None)


@contextmanager
def hearing(hear: Hear) -> Iterator[None]:
    """Take what the SDK says in this context: its steps are told, its log of errors that are raised as well is not.

    Parameters
    ----------
    hear : callable
        Takes a step in words, in the thread of the SDK's loop.
    """
    _install()
    token = _hear.set(hear)
    try:
        yield
    finally:
        _hear.reset(token)


@lru_cache(maxsize=1)
def _install() -> None:
    folder = str(Path(sdk.installed().__file__).parent)

    def passes(record: logging.LogRecord) -> bool:
        return _hear.get() is None or not record.pathname.startswith(folder) or record.levelno < logging.WARNING

    logging.getLogger("flyte").addFilter(passes)
    proxy = sdk.find("flyte._status.StatusProxy")
    if proxy is None:  # a version that prints nothing
        return
    emit = proxy._emit

    def told(self: Any, level: str, message: str) -> None:
        hear = _hear.get()
        if hear is None:
            emit(self, level, message)
        else:
            hear(message)

    proxy._emit = told
