"""Connecting: what is around a Ray task — a cluster of its own, one that stays warm, or one that runs elsewhere."""

from __future__ import annotations

import atexit
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from flyte_nb.context.notices import hearing, notice
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import RuntimeSystemError, RuntimeUserError
from flyte_nb.plugins.missing import insist_on
from flyte_nb.plugins.ray.cluster import Cluster, started
from flyte_nb.plugins.ray.config import RayJobConfig
from flyte_nb.plugins.ray.shape import declared, fitted
from flyte_nb.plugins.share import Share

__all__ = ["connected", "is_elsewhere"]

ANSWERS = 5.0  # seconds for a running cluster to take a connection


def is_elsewhere(config: RayJobConfig) -> bool:
    """Tell whether a configuration joins a cluster that runs already."""
    return config.address not in (None, "local")


@contextmanager
def connected(config: RayJobConfig, default: Resources | None, warm: bool) -> Iterator[Mapping[str, Any]]:
    """Connect this process to a Ray cluster; give what a task finds of it in ``ctx().data``.

    Parameters
    ----------
    config : RayJobConfig
        The cluster.
    default : Resources, optional
        What a node asks for that declares nothing itself.
    warm : bool
        Whether it stays, for the next task of this process.

    Raises
    ------
    RuntimeUserError
        When Ray is not installed, or nothing answers at the address.
    RuntimeSystemError
        When Ray does not start, or ends while the task runs.
    """
    insist_on("ray", "ray", "Ray")
    with ExitStack() as stack:
        cluster = _warm.get(config, default) if warm else stack.enter_context(_opened(config, default))
        for text in cluster.notices:
            notice(text)
        cluster.hears = hearing.get()
        try:
            yield {"ray_address": cluster.address, "ray_dashboard": cluster.dashboard}
        except BaseException as error:
            if cluster.is_dead():
                raise cluster.died() from error
            raise
        finally:
            cluster.hears = None
            if warm and cluster.is_dead():
                _warm.close()


@contextmanager
def _opened(config: RayJobConfig, default: Resources | None) -> Iterator[Cluster]:
    import ray

    if ray.is_initialized():
        known = "Ray: this process is connected already; the task has that cluster"
        yield Cluster(ray.get_runtime_context().gcs_address, notices=[known])
    elif is_elsewhere(config):
        with _joined(config) as cluster:
            yield cluster
    else:
        nodes, told = fitted(declared(config, default), Share.here())
        if config.enable_autoscaling:
            told.append("Ray: groups stay as they are here; a cluster of machines grows and shrinks them")
        with started(nodes, config.runtime_env) as cluster:
            cluster.notices[:0] = told
            yield cluster


@contextmanager
def _joined(config: RayJobConfig) -> Iterator[Cluster]:
    """Join a cluster that runs already, and leave it as it is."""
    import ray

    address = str(config.address)
    _insist_on_answer(address)
    try:
        context = ray.init(address, runtime_env=config.runtime_env, logging_level="WARNING")
    except Exception as error:  # whatever Ray raises
        raise RuntimeSystemError("RayNotJoined", f"the Ray cluster at {address} was not joined: {error}") from error
    dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else ""
    told = f"Ray {ray.__version__}: joined {address}"
    try:
        yield Cluster(address, dashboard, [f"{told}; dashboard {dashboard}" if dashboard else told])
    finally:
        ray.shutdown()


def _insist_on_answer(address: str) -> None:
    """Refuse an address where nothing answers, of which Ray would say so after minutes only."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():  # "auto" finds one itself
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS).close()
    except OSError as error:
        raise RuntimeUserError(
            "RayUnreachable", f"no Ray cluster answers at {address}: {error}. Start it with  ray start --head, or "
                              "leave address out, and one is started for the task",
        ) from None  # fmt: skip


class _Warm:
    """The cluster that stays between the tasks of this process."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._open: ExitStack | None = None
        self._cluster: Cluster | None = None

    def get(self, config: RayJobConfig, default: Resources | None) -> Cluster:
        """Give the cluster of a configuration, started when need be; one of another configuration ends."""
        key = (config.to_json(), default and default.to_json())
        if self._cluster is not None and self._key == key and not self._cluster.is_dead():
            return self._cluster
        self.close()
        with ExitStack() as stack:
            cluster = stack.enter_context(_opened(config, default))
            self._open, self._cluster, self._key = stack.pop_all(), cluster, key
        atexit.unregister(self.close)
        atexit.register(self.close)  # before Ray's own, which is older
        return cluster

    def close(self) -> None:
        """End it."""
        open_, self._open, self._cluster = self._open, None, None
        if open_ is not None:
            open_.close()


_warm = _Warm()
