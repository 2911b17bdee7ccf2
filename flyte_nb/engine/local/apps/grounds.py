"""Grounds: what a replica stands on — an interpreter, a share of the machine, secrets, variables, parameters."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.apps import ports
from flyte_nb.engine.local.apps.parameters import Materialised, materialise
from flyte_nb.engine.local.apps.spec import Spec
from flyte_nb.engine.local.images.environment import Interpreter, ensure
from flyte_nb.engine.local.images.needs import env_vars_of, needs_environment, unmet
from flyte_nb.engine.local.need import Need
from flyte_nb.engine.local.pool import Pool, environment
from flyte_nb.engine.local.redactor import Redactor
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.engine.local.surroundings import Surroundings
from flyte_nb.environments.delayed_values import AppEndpoint
from flyte_nb.environments.parameter_transport import VALUES_VARIABLE
from flyte_nb.environments.secrets import Secret

__all__ = ["Grounds"]

Say = Callable[[str], None]


class Grounds:
    """What this machine gives to replicas.

    Parameters
    ----------
    pool : Pool
        Starts their processes.
    surroundings : Surroundings
        Shares out the machine, between tasks and apps alike.
    secrets : Secrets
        Where the values of secrets come from.
    endpoint : callable
        Gives the address of another app that is served here, by its name; None where it is not.
    """

    def __init__(
        self,
        pool: Pool,
        surroundings: Surroundings,
        secrets: Secrets,
        endpoint: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self.pool, self._surroundings, self._secrets, self._endpoint = pool, surroundings, secrets, endpoint

    def redactors(self, spec: Spec) -> dict[str, Redactor]:
        """Give what keeps secrets, and the tokens of other apps, out of what a replica prints, by stream.

        Raises
        ------
        MissingSecretError
            Naming those that are nowhere.
        """
        values = [*(self._secrets.values(list(spec.secrets)) if spec.secrets else ()), *self._tokens(spec).values()]
        return {"stdout": Redactor(values), "stderr": Redactor(values)}

    @asynccontextmanager
    async def around(
        self, spec: Spec, folder: Path, port: int, say: Say, waits: Say
    ) -> AsyncIterator[tuple[Need, Materialised]]:
        """Give what the process of a replica needs, and the values of its parameters, once the machine has it to give.

        Parameters
        ----------
        spec : Spec
            The app.
        folder : Path
            The replica's own, which is removed at the end.
        port : int
            The port that stands for the app's.
        say, waits : callable
            Take what there is to know, and what it waits for.

        Raises
        ------
        ImageBuildError, ResourceError, MissingSecretError
            As for tasks.
        UsageError
            When a parameter has no value here.
        """
        interpreter = await self._interpreter(spec, say)
        admission = self._surroundings.admission
        demand = admission.demand_of(spec.resources, spec.fit)  # type: ignore[arg-type]
        for text in demand.notices:
            say(text)
        metrics = ports.free_port() if spec.metrics_port else 0
        try:
            async with await admission.acquire(demand, waits) as lease:
                waits("")
                values = await materialise(spec, folder, self._endpoint, say)
                machine = {**env_vars_of(spec.image), **admission.environment(lease, spec.resources)}
                told = self._told(spec, folder, values)
                used = {spec.port: port} | ({spec.metrics_port: metrics} if spec.metrics_port else {})
                env = {**environment(), **machine, **self._tokens(spec), **values.variables, **spec.env_vars,
                       **self._given_secrets(spec, folder), **told, **ports.variables(used)}  # fmt: skip
                need = Need(env, memory=demand.memory_limit, cores=lease.cores)
                yield need if interpreter is None else need.at(interpreter.python, interpreter.sys_path), values
        finally:
            ports.give_back(metrics)
            shutil.rmtree(folder, ignore_errors=True)

    async def _interpreter(self, spec: Spec, say: Say) -> Interpreter | None:
        for text in unmet(spec.image):
            say(text)
        return await ensure(spec.image, say) if needs_environment(spec.image) else None

    def _tokens(self, spec: Spec) -> dict[str, str]:
        """Give the tokens of the apps whose addresses are in variables: ``NAME_TOKEN`` beside ``NAME``."""
        asked = {f"{parameter.env_var}_TOKEN": parameter.value.app_name for parameter in spec.parameters
                 if parameter.env_var and isinstance(parameter.value, AppEndpoint)}  # fmt: skip
        found = {name: self._secrets.token_of(app) for name, app in asked.items()}
        return {name: token for name, token in found.items() if token is not None}

    def _given_secrets(self, spec: Spec, folder: Path) -> dict[str, str]:
        asked: list[str | Secret] = list(spec.secrets)
        if not asked:
            return {}
        return {**self._secrets.resolve(asked), **self._secrets.mount(asked, folder / "secrets")}

    def _told(self, spec: Spec, folder: Path, values: Materialised) -> dict[str, str]:
        """Give the variables by which the app's code learns where it runs; its values lie in a file of its own."""
        data = Path(spec.raw_data_path) if spec.raw_data_path else folder.parent / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "parameters.json"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            json.dump(values.texts, opened)
        told: dict[str, Any] = {
            "_RUN_MODE": "local",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": spec.project,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": spec.domain,
            "RAW_DATA_PATH": str(data),
            VALUES_VARIABLE: str(file),
        }
        return told
