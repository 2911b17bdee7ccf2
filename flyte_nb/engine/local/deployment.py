"""Deploying into the store: the bundle first, then the deployers of custom environments, then one transaction.

Environments that depend on each other are a group: a group becomes current in one transaction or not at all. Whatever
ends this in between leaves the former versions current, and a bundle that no version has, which is pruned one day.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from flyte_nb.engine.base import Custom, Deployment, Deployments, Progress, Step, Tell
from flyte_nb.engine.store import Store, held
from flyte_nb.errors import DeploymentError, FlyteError
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.groups import groups
from flyte_nb.plan.seal import is_whole, seal_of

__all__ = ["Deploying"]

T = TypeVar("T")
PATIENCE = 1.0  # seconds that pass before a wait for the store is told


class Deploying:
    """One deployment.

    Parameters
    ----------
    store : Store
        Takes the bundle and the rows.
    bundle : Bundle
        What is deployed.
    tell : callable
        Hears how it goes, in whatever thread does the work.
    custom : mapping
        By environment, what deploys it before it becomes current.
    """

    def __init__(self, store: Store, bundle: Bundle, tell: Tell, custom: Custom) -> None:
        self._store, self._bundle, self._custom = store, bundle, custom
        self._tell = tell
        self._rows = {row["environment"]: row for row in bundle.environments}
        self._stopped = threading.Event()
        self._broken: set[str] = set()

    async def run(self) -> Deployments:
        """Deploy what is not deployed yet as it is now.

        Raises
        ------
        DeploymentError
            With what was not deployed and why; other groups may have been.
        StoreError
            When the store cannot be written.
        """
        found = {made.environment: made for made in await self._patiently(self._targets)}
        todo = {name for name, made in found.items() if not made.unchanged} | self._broken
        for name in found.keys() - todo:
            self._tell(Progress(name, Step.UNCHANGED, f"at version {found[name].version}"))
        if todo:
            home = await self._patiently(self._write)
            with held(home) as is_there:
                if not is_there:  # pruned in this very moment
                    home = await self._patiently(self._write)
                found |= await self._apply(home, todo)
        return Deployments(found[name] for name in self._rows)

    def _targets(self) -> Deployments:
        bundle = self._bundle
        made = self._store.targets(self._rows.values(), bundle.version, bundle.folder, bundle.named)
        known = self._store.current_rows() if any(one.unchanged for one in made) else {}
        whole: dict[tuple[str, str], bool] = {}
        for one in made:
            if one.unchanged and one.environment in known:
                key = known[one.environment]["bundle"], known[one.environment]["seal"]
                if key not in whole:
                    whole[key] = not key[1] or is_whole(self._store.bundles / key[0], key[1])
                if not whole[key]:
                    self._broken.add(one.environment)
        return made

    def _write(self) -> Path:
        self._tell(Progress("", Step.BUNDLING, "begins"))
        try:
            home = self._bundle.write(self._store.bundles, lambda step: self._tell(Progress("", Step.BUNDLING, step)))
        except OSError as error:
            hint = "; make room, or set FLYTE_NB_HOME to another disk" if error.errno in _FULL else ""
            raise DeploymentError(
                f"the bundle cannot be written to {self._store.bundles}: {error.strerror or error}{hint}; "
                "nothing was deployed"
            ) from error
        self._tell(Progress("", Step.BUNDLING, "is in place"))
        return home

    async def _apply(self, home: Path, todo: set[str]) -> dict[str, Deployment]:
        """Make the groups current: those with deployers of their own each by itself, all others at once."""
        seal, results = seal_of(home), dict[str, Any]()
        wanted = [[name for name in group if name in todo] for group in groups(self._rows.values())]
        plain = [name for group in wanted if not self._custom.keys() & set(group) for name in group]
        own = [group for group in wanted if self._custom.keys() & set(group)]
        parts = [part for part in (plain, *own) if part]
        jobs = [self._group(part, home, seal, results) for part in parts]
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        made: dict[str, Deployment] = {}
        failed: list[tuple[list[str], BaseException]] = []
        for part, outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failed.append((part, outcome))
            else:
                made |= {one.environment: self._noted(one, results) for one in outcome}
        if failed:
            raise _failure(failed, made)
        return made

    def _noted(self, made: Deployment, results: dict[str, Any]) -> Deployment:
        note = "its bundle was edited or gone, and is written anew" if made.environment in self._broken else made.note
        return dataclasses.replace(made, note=note, result=results.get(made.environment))

    async def _group(self, names: list[str], home: Path, seal: str, results: dict[str, Any]) -> Deployments:
        """Deploy environments of one group, dependencies first, then make them current together."""
        try:
            for name in names:
                if name in self._custom:
                    self._tell(Progress(name, Step.DEPLOYING, "its deployer is called"))
                    results[name] = await self._custom[name](self._bundle.version, home)
            made = await self._patiently(lambda: self._record(names, home, seal))
        except BaseException as error:
            for name in names:
                self._tell(Progress(name, Step.FAILED, str(error).partition("\n")[0]))
            raise
        for one in made:
            self._tell(Progress(one.environment, Step.DEPLOYED, f"at version {one.version}"))
        return made

    def _record(self, names: list[str], home: Path, seal: str) -> Deployments:
        bundle = self._bundle
        made = self._store.deploy(self._rows_of(names), bundle.version, home.name, seal, bundle.named)
        self._tell(Progress("", Step.RECORDING, "is done"))
        return made

    def _rows_of(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """Give the rows within the transaction; it is given up when the deployment was stopped meanwhile."""
        for name in names:
            if self._stopped.is_set():
                raise DeploymentError("the deployment was interrupted; nothing of this group was deployed")
            self._tell(Progress(name, Step.RECORDING))
            yield self._rows[name]
        self._tell(Progress("", Step.RECORDING, "is about to be done"))

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Do work on the store in a thread, telling when it has to wait for another process."""
        job = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            while not (await asyncio.wait((job,), timeout=PATIENCE))[0]:
                if self._store.is_locked():
                    self._tell(Progress("", Step.WAITING, f"for the store {self._store.home}, which is in use"))
        except asyncio.CancelledError:
            self._stopped.set()
            await asyncio.wait((job,))  # it ends by itself soon
            job.exception()  # nobody else asks for it
            raise
        return job.result()


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _failure(failed: list[tuple[list[str], BaseException]], made: dict[str, Deployment]) -> BaseException:
    """Word what failed; an interrupt and what the store says are passed on as they are."""
    first = failed[0][1]
    if not isinstance(first, Exception) or (len(failed) == 1 and not made and isinstance(first, FlyteError)):
        return first
    told = [f"{', '.join(names)}: {type(error).__name__}: {error}" for names, error in failed]
    done = f"; deployed: {', '.join(f'{one.environment} at {one.version}' for one in made.values())}" if made else ""
    error = DeploymentError(f"not deployed, the last version is untouched: {'; '.join(told)}{done}")
    error.__cause__ = first
    return error
