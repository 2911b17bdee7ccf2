"""Serving: the apps that one engine serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from flyte_nb.connectors.endpoints import TOKEN, Endpoints
from flyte_nb.engine.local.apps.grounds import Grounds
from flyte_nb.engine.local.apps.log import AppLog
from flyte_nb.engine.local.apps.ports import insist_free
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.spec import AppPhase, Limits, Spec
from flyte_nb.engine.local.apps.waiting import LAST_SERVER, LAST_SHUTDOWN
from flyte_nb.engine.local.pool import Pool
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.engine.local.surroundings import Surroundings
from flyte_nb.environments.app_context import APPS_VARIABLE

__all__ = ["LOOPBACK", "Apps", "apps_with_logs", "log_of", "served_elsewhere"]

FOLDER = "apps"
LOOPBACK = "127.0.0.1"


class Apps:
    """The apps that one engine serves, by name.

    Parameters
    ----------
    pool, surroundings, secrets
        The engine's own.
    home : Path
        The folder of the store: each process has one in it for what its apps need while they are served.
    """

    def __init__(self, pool: Pool, surroundings: Surroundings, secrets: Secrets, home: Path) -> None:
        self.services: dict[str, Service] = {}
        self._home = home
        self._pool, self._secrets = pool, secrets
        self._is_swept = False
        self._first: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._grounds = Grounds(pool, surroundings, secrets, self.endpoint)

    @property
    def folder(self) -> Path:
        """What the apps of this process need while they are served; tasks read there where apps are."""
        return self._home / FOLDER / str(os.getpid())

    def endpoint(self, name: str) -> str | None:
        """Give the address of an app that is served; None where it is not."""
        service = self.services.get(name)
        if service is None or service.gateway is None or service.phase is AppPhase.FAILED:
            return None
        return service.gateway.url.rstrip("/")

    async def serve(
        self,
        spec: Spec,
        host: str = "",
        port: int = 0,
        began: Callable[[Service], None] = lambda service: None,
    ) -> Service:
        """Serve an app; one that is served already is replaced, at the same address.

        Parameters
        ----------
        spec : Spec
            What it asks for.
        host, port
            Its address; 0 is any port. An app that is served keeps its own unless another is given.
        began : callable
            Hears of the service as soon as there is one.

        Raises
        ------
        RuntimeUserError, BaseRuntimeError, UsageError
            When it does not start: one that was served already goes on.
        """
        self._pool.enter_loop()
        os.environ[APPS_VARIABLE] = str(self.folder)
        async with self._first[spec.name]:
            service = self.services.get(spec.name)
            if service is None:
                return await self._begin(spec, host or LOOPBACK, port, began)
            if port not in (0, service.port) or host not in ("", service.host):
                if port:
                    insist_free(port, f"app {spec.name!r}", host or LOOPBACK)  # else it goes on where it is
                await self._end(spec.name)
                return await self._begin(spec, host or LOOPBACK, port, began)
        began(service)
        if service.newest != spec or service.phase is AppPhase.FAILED:
            await service.replace(spec)
        self._announce(service)
        return service

    async def _begin(self, spec: Spec, host: str, port: int, began: Callable[[Service], None]) -> Service:
        """Serve an app that is not served yet."""
        self.prepare()
        log, folder = AppLog(log_of(self._home, spec.name)), self.folder / spec.name
        service = Service(spec, self._grounds, log, folder, host, port)
        began(service)
        await service.start()
        self.services[spec.name] = service
        self._announce(service)
        return service

    async def stop(self, name: str, limits: Limits | None = None) -> None:
        """Stop an app; one that is not served is left alone."""
        if name in self.services:
            await self._end(name, limits)
            shutil.rmtree(self.folder / name, ignore_errors=True)

    async def _end(self, name: str, limits: Limits | None = None) -> None:
        """Stop an app, and keep its code: what is served in its place may have written its own there."""
        service = self.services.pop(name)
        Endpoints.remove(name)
        self._secrets.set_token(name, None)
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        await service.stop(limits)

    async def close(self) -> None:
        """Stop all of them, in little time: what has started them ends."""
        hurry = Limits(server=LAST_SERVER, shutdown=LAST_SHUTDOWN)
        await asyncio.gather(*(self.stop(name, hurry) for name in list(self.services)), return_exceptions=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self) -> None:
        """Make the folder of this process; those of processes that were killed go, when it is first made."""
        if not self._is_swept:
            self._is_swept = True
            for left in (self._home / FOLDER).glob("[0-9]*"):
                if left.name.isdigit() and not _is_alive(int(left.name)):
                    shutil.rmtree(left, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _announce(self, service: Service) -> None:
        """Write down where an app is, for the tasks and apps of this process, and for other kernels."""
        spec = service.spec
        if spec.metrics_port is not None:  # of connectors: tasks of their types go there
            Endpoints.add(spec.name, f"{service.host}:{service.port}", spec.env_vars.get(TOKEN))
        self._secrets.set_token(spec.name, service.token if spec.requires_auth else None)
        told = {"name": service.spec.name, "url": self.endpoint(service.spec.name), "pid": os.getpid(),
                "version": service.spec.version}  # fmt: skip
        file = self.folder / f"{service.spec.name}.json"
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(told))
        draft.replace(file)


def log_of(home: Path, name: str) -> Path:
    """Give the file that takes what an app's replicas print; it stays when the app has ended."""
    return home / FOLDER / f"{name}.log"


def apps_with_logs(home: Path) -> list[str]:
    """Give the names of the apps whose logs are kept."""
    return sorted(file.stem for file in (home / FOLDER).glob("*.log") if not file.stem.endswith(".before"))


def served_elsewhere(home: Path) -> Iterator[dict[str, object]]:
    """Give the apps that other processes serve that use a store: name, url, pid and version."""
    for file in sorted((home / FOLDER).glob("*/*.json")):
        pid = file.parent.name
        if not pid.isdigit() or int(pid) == os.getpid() or not _is_alive(int(pid)):
            continue
        with contextlib.suppress(OSError, ValueError):
            yield json.loads(file.read_text())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
