"""Site: what all requests of one app's gateway share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyte_nb.engine.local.apps.proxy.access import Access
from flyte_nb.engine.local.apps.proxy.balance import Balance
from flyte_nb.engine.local.apps.proxy.meter import Meter
from flyte_nb.engine.local.apps.traffic import GatewayConfig

if TYPE_CHECKING:
    from flyte_nb.engine.local.apps.proxy.client import Client

__all__ = ["Limits", "Site"]


@dataclass
class Limits:
    """How long a client may take, in seconds, and how much it may send as a head, in bytes."""

    idle: float = 75.0  # until the next request
    head: float = 15.0  # for a head, from its first byte
    body: float = 30.0  # between two pieces of a body
    stalled: float = 300.0  # without reading any of a response
    most_head: int = 1 << 16


@dataclass
class Site:
    """One app's gateway."""

    config: GatewayConfig
    access: Access
    balance: Balance
    meter: Meter
    prefix: bytes
    address: bytes
    loop: asyncio.AbstractEventLoop
    report: Callable[[BaseException | None], None]
    limits: Limits = field(default_factory=Limits)
    clients: set[Client] = field(default_factory=set)
