"""The shape of a Spark session on this machine: what runs it, with how many threads and how much memory."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flyte_nb.environments.resources import Resources
from flyte_nb.errors import ResourceError
from flyte_nb.plugins.amounts import bounded, size
from flyte_nb.plugins.share import Share
from flyte_nb.plugins.spark.config import Spark, mebibytes

__all__ = ["Shape", "shape_of"]

MASTER, DRIVER, EXECUTOR = "spark.master", "spark.driver.memory", "spark.executor.memory"
LEAST = 1 << 30  # bytes that a session of this machine needs: the Java of Spark itself, and Python
SHARE = 0.6  # of the memory, for Java's heap; the rest is for Java itself and for Python
USUAL = 1024  # mebibytes of heap where nothing says how much
PATIENCE = 3.0  # seconds for a cluster manager to answer
_THREADS = re.compile(r"local(?:\[([^,\]]+)(?:,.*)?\])?")


@dataclass(frozen=True)
class Shape:
    """What a session is started with.

    Parameters
    ----------
    settings : dict of str to str
        All settings of Spark.
    joined : bool
        Whether it joins a cluster that runs already.
    told : str
        What it is, in words.
    notices : tuple of str
        What is not as it was declared.
    """

    settings: dict[str, str]
    joined: bool
    told: str
    notices: tuple[str, ...] = ()


def shape_of(config: Spark, resources: Resources | None, share: Share, name: str) -> Shape:
    """Give the shape of the session of a task on this machine.

    Parameters
    ----------
    config : Spark
        What is declared.
    resources : Resources, optional
        What the task asks for.
    share : Share
        What it may have of the machine.
    name : str
        The task.

    Raises
    ------
    ResourceError
        When the task may have too little memory for a session.
    """
    declared = dict(config.spark_conf or {})
    settings = {"spark.app.name": name, "spark.ui.port": "0", "spark.ui.showConsoleProgress": "false", **declared}
    settings |= {f"spark.hadoop.{key}": text for key, text in (config.hadoop_conf or {}).items()}
    master = declared.get(MASTER, "")
    away = "" if not master or master.startswith("local") else _unreachable(master)
    if master and not master.startswith("local") and not away:
        if _is_loopback(master):
            settings = {**_loopback(), **settings}
        return Shape(settings, True, f"joins {master}")
    share = bounded(share, resources)
    cores, told = _cores(declared, share)
    heap, more = _heap(declared, share, resources is not None and resources.memory is not None)
    settings = {**_loopback(), **settings, MASTER: f"local[{cores}]", DRIVER: f"{heap}m"}
    words = f"{cores} {'thread' if cores == 1 else 'threads'} on this machine, {size(heap << 20)} of memory"
    gone = f"spark.master {master} is not here ({away}): the session is one of this machine" if away else ""
    return Shape(settings, False, words, tuple(filter(None, (gone, told, more))))


def _loopback() -> dict[str, str]:
    return {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def _cores(declared: Mapping[str, str], share: Share) -> tuple[int, str]:
    """Give the number of threads, and what there is to tell of it."""
    asked, words = _asked_cores(declared)
    if asked is None or asked <= share.cores:
        return asked or share.cores, ""
    return share.cores, f"{words} asked, {_counted(share.cores, 'core')} here: clamped"


def _asked_cores(declared: Mapping[str, str]) -> tuple[int | None, str]:
    found = _THREADS.fullmatch(declared.get(MASTER, ""))
    if found is not None:
        threads = found[1] or "1"
        return (None, "") if threads == "*" else (int(threads), f"spark.master {found[0]}")
    if "spark.executor.instances" not in declared and "spark.executor.cores" not in declared:
        return None, ""
    count, each = _executors(declared), int(declared.get("spark.executor.cores", "1"))
    return max(count * each, 1), f"{_counted(count, 'executor')} of {_counted(each, 'core')}"


def _executors(declared: Mapping[str, str]) -> int:
    return int(declared.get("spark.executor.instances", "1"))


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _heap(declared: Mapping[str, str], share: Share, limited: bool) -> tuple[int, str]:
    """Give the mebibytes of Java's heap, in which the driver and the executors are one here, and what there is to tell.

    Raises
    ------
    ResourceError
        When there is too little memory for a session.
    """
    if share.memory < LEAST:
        raise ResourceError(
            f"memory {size(share.memory)} is too little for a Spark session, which needs {size(LEAST)} here; ask for "
            'more: resources=Resources(memory="2Gi")'
        )
    most = int(share.memory * SHARE) >> 20
    parts = [declared.get(DRIVER), *[declared.get(EXECUTOR)] * _executors(declared)]
    asked = sum(mebibytes(text) for text in parts if text)
    if not asked:
        return (most if limited else min(USUAL, most)), ""
    if asked <= most:
        return asked, ""
    whose = "the task may have" if limited else "there is here"
    given = f"{size(most << 20)} of the {size(share.memory)} that {whose} can be Spark's: clamped"
    return most, f"memory {size(asked << 20)} asked by spark_conf, {given}"


def _unreachable(master: str) -> str:
    """Say why a cluster manager cannot be reached; empty where it can."""
    if master == "yarn":
        known = any(os.environ.get(name) for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"))
        return "" if known else "neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set"
    why = ""
    for host, port in _addresses(master):
        try:
            socket.create_connection((host, port), PATIENCE).close()
        except OSError as error:
            why = why or f"{host}:{port}: {error.strerror or error}"
        else:
            return ""
    return why


def _addresses(master: str) -> list[tuple[str, int]]:
    if master.startswith("spark://"):
        pairs: list[Any] = [address.rsplit(":", 1) for address in master.removeprefix("spark://").split(",")]
        return [(host, int(port)) for host, port in pairs]
    rest = master.removeprefix("k8s://")
    url = urlsplit(rest if "://" in rest else f"https://{rest}")
    return [(url.hostname or "", url.port or (80 if url.scheme == "http" else 443))]


def _is_loopback(master: str) -> bool:
    hosts = [host for host, _ in _addresses(master)] if ":" in master else [""]
    return all(host == "localhost" or host.startswith("127.") for host in hosts)
