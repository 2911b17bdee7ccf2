"""ClusterEngine: runs and deploys in a Flyte cluster, through the real SDK; what happens there is recorded here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flyte_nb.changes import tasks_of
from flyte_nb.engine.base import Begun, Custom, Deployments, Emit, Run, Tell, Work
from flyte_nb.engine.cluster.connection import connected
from flyte_nb.engine.cluster.deploying import Deploying, targets
from flyte_nb.engine.cluster.running import Running
from flyte_nb.engine.cluster.translation import Translation, translation_of
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.store import Store
from flyte_nb.environments.base import Environment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import BaseRuntimeError, DeploymentError, FlyteError, RuntimeUnknownError, UsageError
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.project import Project

__all__ = ["ClusterEngine"]


class ClusterEngine:
    """Tasks in a Flyte cluster.

    Parameters
    ----------
    store : Store
        Takes the records.
    registry : mapping of str to Environment
        What is declared.
    project_of : callable
        Gives environments, and what they depend on, as a project for the SDK.
    """

    name = "cluster"

    def __init__(
        self,
        store: Store,
        registry: Mapping[str, Environment],
        project_of: Callable[[Iterable[Environment]], Project],
    ) -> None:
        self.store, self._registry, self._project_of = store, registry, project_of
        self.running: dict[str, Run] = {}
        self._starting = asyncio.Lock()  # the SDK has one root of the code at a time

    async def deploy(
        self, bundle: Bundle, tell: Tell = lambda progress: None, custom: Custom = MappingProxyType({})
    ) -> Deployments:
        """Deploy the environments of a bundle as one module, in one upload.

        Raises
        ------
        InitializationError
            When no cluster is known.
        DeploymentError
            When it failed, or one of them cannot be there; the store is as it was.
        """
        _refuse_custom(custom)
        connection = await asyncio.to_thread(connected)
        translation = await asyncio.to_thread(self._translated, bundle)
        return await Deploying(self.store, connection, bundle, translation, tell).run()

    async def planned(self, bundle: Bundle) -> Deployments:
        """Say what `deploy` would do; the cluster is asked nothing, and the SDK translates as it would.

        Raises
        ------
        InitializationError, DeploymentError
            As `deploy`.
        """
        connection = await asyncio.to_thread(connected)
        await asyncio.to_thread(self._translated, bundle)
        return await asyncio.to_thread(targets, self.store, connection, bundle)

    def _translated(self, bundle: Bundle) -> Translation:
        return self._translation([self._registry[row["environment"]] for row in bundle.environments])

    def _translation(self, environments: Iterable[Environment]) -> Translation:
        return translation_of(self._project_of(environments), self.store.modules)

    async def run(self, work: Work, emit: Emit, begun: Begun | None = None) -> Run:
        """Run a task in the cluster to its end; what failed it is in the run's ``error``.

        Raises
        ------
        InitializationError
            When no cluster is known.
        UnionRpcError
            When it could not be started there.
        DeploymentError, SliceError
            When its environment cannot be expressed with the SDK.
        """
        connection = await asyncio.to_thread(connected)
        running = Running(self.store, connection, work, await self._of(work.live), emit)
        run = await running.start(self._starting)
        self.running[run.name] = run
        if begun is not None:
            begun(run)
        try:
            return await running.follow()
        finally:
            del self.running[run.name]

    async def take_up(self, run: Run) -> Run:
        """Follow a run that an earlier process started, to its end; what it prints from now on is in its record.

        Parameters
        ----------
        run : Run
            Its record, which gets the outputs, or in its ``error`` what failed it or the watch.
        """
        self.running[run.name] = run
        try:
            connection = await asyncio.to_thread(connected)
            task = self._task(run.task)
            live = None if task is None or task.environment is None else (task, dict[str, Any]())
            work, translation = Work(run.task, Definition(), (), live=live), await self._of(live)
            return await Running(self.store, connection, work, translation, lambda event: None).take_up(run)
        except FlyteError as error:
            run.error = error if isinstance(error, BaseRuntimeError) else RuntimeUnknownError("NotWatched", str(error))
            return run
        finally:
            del self.running[run.name]

    async def _of(self, live: tuple[TaskTemplate, Any] | None) -> Translation | None:
        """Give the translation of what a task belongs to; None for one that is not declared here."""
        if live is None:
            return None
        env = live[0].environment
        if env is None:
            raise UsageError(f"task {live[0].name} belongs to no environment; a cluster runs tasks of environments")
        return await asyncio.to_thread(self._translation, [env])

    def _task(self, name: str) -> TaskTemplate | None:
        env = self._registry.get(name.rpartition(".")[0])
        return None if env is None else tasks_of(env).get(name)

    def run_at_once(self, work: Work, show: Emit) -> None:
        """Run nothing: every run takes its time."""

    async def stop(self) -> None:
        """Nothing is held: what runs in the cluster goes on there."""


def _refuse_custom(custom: Custom) -> None:
    if custom:
        names = ", ".join(map(repr, custom))
        raise DeploymentError(
            f"{names}: an environment with a deployer of its own (flyte.extend.register_deployer) is deployed with "
            "engine='local'; the Flyte SDK knows nothing of that deployer"
        )
