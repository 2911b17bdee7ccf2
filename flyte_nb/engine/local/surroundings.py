"""Surroundings: what a call has around it — an interpreter, a share of the machine, secrets, variables, limits."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.engine.base import Phase
from flyte_nb.engine.local.admission import Admission, Demand, Lease
from flyte_nb.engine.local.calls import Call
from flyte_nb.engine.local.images.needs import env_vars_of, needs_environment, unmet
from flyte_nb.engine.local.machine import Machine
from flyte_nb.engine.local.need import Need
from flyte_nb.engine.local.redactor import Redactor
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.environments.image import Image
from flyte_nb.environments.secrets import Secret
from flyte_nb.plugins.share import SHARE

if TYPE_CHECKING:
    from flyte_nb.engine.local.images.environment import Interpreter

__all__ = ["Surroundings"]


class Surroundings:
    """What this machine gives to calls.

    Parameters
    ----------
    secrets : Secrets
        Where the values of secrets come from.
    crowded : callable
        Hears when a call has to wait for a share of the machine.
    """

    def __init__(self, secrets: Secrets, crowded: Callable[[], None] = lambda: None) -> None:
        self._secrets, self._crowded = secrets, crowded
        self._admission: Admission | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leases: dict[str, Lease] = {}

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[Need]:
        """Give what the process of a call needs, once the machine has it to give.

        Raises
        ------
        ImageBuildError
            When the environment of its image cannot be made.
        ResourceError
            When the machine does not have what is asked for.
        MissingSecretError
            When a secret is nowhere.
        """
        plain = self.plain(call)
        if plain is not None:
            yield plain
            return
        policy = call.work.policy
        interpreter = await self._interpreter(call, policy.image)
        admission = self.admission
        demand = admission.demand_of(policy.resources, call.work.settings.fit)
        for text in demand.notices:
            call.notice(text)
        async with await admission.acquire(demand, lambda why: self._waiting(call, why), call.parent_lease) as lease:
            call.lease = lease
            if policy.processes:  # an engine counts cores itself, and its own processes need some beside its tasks
                lease.cores = None
            variables = {
                **env_vars_of(policy.image),
                **admission.environment(lease, policy.resources),
                SHARE: f"{demand.cpu_limit} {demand.memory_limit or 0}",
            }
            with self._given_secrets(call) as secrets:
                env = self._variables(call, variables, secrets)
                need = _need(env, interpreter, demand, lease, policy.reusable is None)
                yield replace(need, processes=policy.processes) if policy.processes else need

    def plain(self, call: Call) -> Need | None:
        """Give what the process of a call needs where it asks for nothing in particular; else None."""
        policy = call.work.policy
        if policy.image is None and policy.resources is None and not policy.secrets and not policy.processes:
            return Need(self._variables(call, {}, {}))
        return None

    @property
    def admission(self) -> Admission:
        """Who shares out this machine, in the running event loop."""
        if self._admission is None or self._loop is not asyncio.get_running_loop():
            self._admission, self._loop = Admission(Machine.here(), self._crowded), asyncio.get_running_loop()
        return self._admission

    @property
    def is_crowded(self) -> bool:
        """Whether a call waits for a share of the machine."""
        return self._admission is not None and self._admission.is_crowded

    def check(self, call: Call) -> None:
        """Refuse a call whose secrets are nowhere, before anything starts; keep their values out of what it prints.

        Raises
        ------
        MissingSecretError
            Naming those that are missing.
        """
        if call.work.policy.secrets:
            values = self._secrets.values(list(call.work.policy.secrets))
            call.redact(Redactor(values), Redactor(values))

    @contextmanager
    def _given_secrets(self, call: Call) -> Iterator[dict[str, str]]:
        """Give the variables of a call's secrets; the files of those that are mounted go when it has ended."""
        asked: list[str | Secret] = list(call.work.policy.secrets)
        if not asked:
            yield {}
            return
        folder = Path(str(call.journal.context["folder"])) / call.action.id / "secrets"
        try:
            yield {**self._secrets.resolve(asked), **self._secrets.mount(asked, folder)}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def variables_of(self, call: Call) -> Iterator[dict[str, str]]:
        """Give the variables of a call that needs nothing else of this machine, with its secrets.

        Raises
        ------
        MissingSecretError
            When a secret is nowhere.
        """
        with self._given_secrets(call) as secrets:
            yield self._variables(call, {}, secrets)

    def _variables(self, call: Call, machine: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
        """Join variables: this process's, the machine's, the task's, its secrets, the run's; later ones win."""
        return {**call.env, **machine, **call.work.env_vars, **secrets, **call.work.settings.env_vars}

    async def _interpreter(self, call: Call, image: Image | None) -> Interpreter | None:
        for text in unmet(image):
            call.notice(text)
        if not needs_environment(image):
            return None
        from flyte_nb.engine.local.images.environment import ensure  # most kernels never make an image

        call.enter(Phase.INITIALIZING)
        return await ensure(image, lambda line: call.output("stderr", f"{line}\n"))

    def _waiting(self, call: Call, why: str) -> None:
        call.enter(Phase.WAITING_FOR_RESOURCES)
        call.notice(why)


def _need(env: dict[str, str], interpreter: Interpreter | None, demand: Demand, lease: Lease, alone: bool) -> Need:
    need = Need(env, memory=demand.memory_limit, cores=lease.cores if alone else None)
    if interpreter is None:
        return need
    return need.at(interpreter.python, interpreter.sys_path)
