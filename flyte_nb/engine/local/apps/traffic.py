"""Traffic: what a gateway is told of an app's replicas, and what it tells of the requests."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

__all__ = ["KEPT", "Backend", "GatewayConfig", "History", "Load"]

KEPT = 60  # seconds that are remembered


@dataclass(frozen=True)
class Backend:
    """A replica that is ready for requests.

    Parameters
    ----------
    id : str
        Its name, never used for another replica.
    host : str
        The address that it listens on.
    port : int
        The port that it listens on.
    """

    id: str
    host: str
    port: int


@dataclass(frozen=True)
class GatewayConfig:
    """What one gateway needs to know.

    Parameters
    ----------
    name : str
        The app's name.
    token : str, optional
        What callers have to show; None where anybody may call.
    request_timeout : float, optional
        Seconds from the moment a request is handed to a replica until its response is complete, except for
        WebSockets; 504 where it passes before the response began. None and 0 set no limit.
    host : str
        The address to listen on.
    port : int
        The port to listen on; 0 for any that is free.
    most_waiting : int
        How many requests may wait for a replica; those beyond it are answered with 503.
    wait : float
        Seconds that a request waits for a replica before it is answered with 503.
    hosts : tuple of str
        Names of the host, beside those of the loopback interface, by which an app without a token may be called,
        and from whose pages WebSockets may be opened.
    prefix : str
        The path in front of the app's own where another server passes requests on, such as ``/user/ada/proxy/8000``.
        Here and in ``hosts`` the text ``{port}`` stands for the port that is listened on.
    h2c : bool
        Whether connections that speak HTTP/2 are passed on as they are, each to one replica, as gRPC needs.
    """

    name: str
    token: str | None = field(default=None, repr=False)
    request_timeout: float | None = None
    host: str = "127.0.0.1"
    port: int = 0
    most_waiting: int = 1000
    wait: float = 60.0
    hosts: tuple[str, ...] = ()
    prefix: str = ""
    h2c: bool = False


@dataclass(frozen=True)
class Load:
    """What an app has to do.

    Parameters
    ----------
    in_flight : int
        Requests that a replica works on; an open WebSocket is one.
    waiting : int
        Requests that wait for a replica.
    requests : int
        Requests so far, refused ones left out.
    failures : int
        Those that were answered with a status of 500 or more, or broke off.
    rate : float
        Requests per second, over the last seconds.
    latency : float
        Median time until a response began, in seconds, over the last seconds.
    per_backend : dict of str to int
        Requests in flight by the replica's id; replicas that are no longer offered are there until they have none.
    """

    in_flight: int = 0
    waiting: int = 0
    requests: int = 0
    failures: int = 0
    rate: float = 0.0
    latency: float = 0.0
    per_backend: dict[str, int] = field(default_factory=dict)


class History:
    """What an app had to do in the last minute, second by second."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, float, float]] = deque(maxlen=KEPT)  # (second, the most per second, latency)
        self._lock = threading.Lock()

    def add(self, now: float, load: Load) -> None:
        """Take what there is to do now; ``now`` is in seconds."""
        second = int(now)
        with self._lock:
            if self._kept and self._kept[-1][0] == second:
                _, rate, latency = self._kept.pop()
                self._kept.append((second, max(rate, load.rate), max(latency, load.latency)))
            else:
                self._kept.append((second, load.rate, load.latency))

    def series(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give the requests per second and the latency in seconds of each second of the last minute, the newest last.

        It ends when something was heard last: nothing is told of an app while nothing changes.
        """
        with self._lock:
            kept = list(self._kept)
        if not kept:
            return (), ()
        rates, latencies = [0.0] * KEPT, [0.0] * KEPT
        first = kept[-1][0] - KEPT + 1
        for number, (second, rate, latency) in enumerate(kept):
            until = kept[number + 1][0] if number + 1 < len(kept) else second + 1
            for at in range(max(second, first), until):  # what was told holds until something else is told
                rates[at - first], latencies[at - first] = rate, latency
        return tuple(rates), tuple(latencies)
