"""Deploying to a cluster: one bundle, one upload, then the tasks and apps; the store hears of it last.

What a cluster has at a version it keeps, so that deploying again is safe: what is there already is a success. Whatever
ends this in between leaves the store as it was.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from flyte_nb.engine.base import Deployment, Deployments, Progress, Step, Tell
from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.containers import as_served
from flyte_nb.engine.cluster.translation import Translation
from flyte_nb.engine.store import Store
from flyte_nb.errors import DeploymentError, UnionRpcError
from flyte_nb.plan.bundle import Bundle

__all__ = ["UPLOAD", "Deploying", "place_of", "uploaded"]

AT_ONCE = 16  # environments that are deployed at a time
UPLOAD = 600.0  # seconds that building images and the upload may take


def place_of(connection: Connection) -> str:
    """Name a cluster with the project and the domain that are deployed to."""
    return f"{connection.endpoint} {connection.project or '-'}/{connection.domain or '-'}"


class Deploying:
    """One deployment.

    Parameters
    ----------
    store : Store
        Takes the rows.
    connection : Connection
        The cluster.
    bundle : Bundle
        What is deployed, with the versions.
    translation : Translation
        The same as the SDK has it.
    tell : callable
        Hears how it goes, in whatever thread does the work.
    """

    def __init__(
        self, store: Store, connection: Connection, bundle: Bundle, translation: Translation, tell: Tell
    ) -> None:
        self._store, self._connection, self._bundle = store, connection, bundle
        self._translation, self._tell = translation, tell
        self._place = place_of(connection)
        self._done: list[str] = []

    async def run(self) -> Deployments:
        """Deploy.

        Raises
        ------
        DeploymentError
            With what went wrong; nothing counts as deployed then.
        """
        made = await asyncio.to_thread(targets, self._store, self._connection, self._bundle)
        try:
            context = await self._uploaded()
            await self._all(made, context)
        except UnionRpcError as error:
            for one in made:
                self._tell(Progress(one.environment, Step.FAILED, str(error).partition("\n")[0]))
            raise self._failed(error, made) from error
        self._tell(Progress("", Step.RECORDING))
        await asyncio.to_thread(self._store.put_placed, made, self._bundle.environments)
        for one in made:
            step = Step.UNCHANGED if one.unchanged else Step.DEPLOYED
            self._tell(Progress(one.environment, step, f"at version {one.version}"))
        return made

    async def _uploaded(self) -> Any:
        """Build the images and upload the bundle, and give what the SDK writes its messages with."""
        self._tell(Progress("", Step.BUNDLING, "begins"))
        return await self._connection.call(
            "uploading the code", uploaded, self._translation, self._connection, self._bundle.version,
            patience=UPLOAD, hear=lambda said: self._tell(Progress("", Step.BUNDLING, said)),
        )  # fmt: skip

    async def _all(self, made: Deployments, context: Any) -> None:
        """Deploy every environment, some at a time; the first that fails ends it."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(target: Deployment) -> None:
            async with room:
                await self._one(target, dataclasses.replace(context, version=target.version))

        jobs = [asyncio.create_task(one(target)) for target in made]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _one(self, target: Deployment, context: Any) -> None:
        name = target.environment
        self._tell(Progress(name, Step.DEPLOYING))
        await self._connection.call(
            f"deploying {name!r}", _deployed, self._translation, name, context,
            hear=lambda said: self._tell(Progress(name, Step.DEPLOYING, said)),
        )  # fmt: skip
        self._done.append(name)

    def _failed(self, error: UnionRpcError, made: Deployments) -> DeploymentError:
        """Word what failed, and what the cluster has meanwhile."""
        there = ""
        if self._done:
            there = (
                f" {len(self._done)} of {len(made)} environments are there at their new versions, which nothing "
                "here calls deployed; deploying again goes on from there."
            )
        told = f"not deployed, the last version is untouched: {error}{there}"
        failed = DeploymentError(told)
        failed.code = error.code
        return failed


def targets(store: Store, connection: Connection, bundle: Bundle) -> Deployments:
    """Say which version each environment of a bundle gets in a cluster.

    Raises
    ------
    DeploymentError
        When one has the version already, with other content.
    """
    return store.placed_targets(bundle.environments, place_of(connection), bundle.version, bundle.named)


# --- what runs on the SDK's own loop ---


async def uploaded(translation: Translation, connection: Connection, version: str) -> Any:
    """Build the images and upload the files, and give what the SDK writes its messages with; on the SDK's own loop."""
    config = _found("flyte._initialize.get_init_config")()
    plan = _found("flyte._deploy.DeploymentPlan")(dict(translation.environments))
    images = await _found("flyte._deploy._build_images")(plan, config.images, "all")
    code = await _found("flyte._code_bundle.bundle.build_code_bundle_from_relative_paths")(
        tuple(map(str, translation.files())), from_dir=translation.root
    )
    return _found("flyte.models.SerializationContext")(
        version=version, project=connection.project, domain=connection.domain, org=connection.org, code_bundle=code,
        image_cache=images, root_dir=translation.root,
    )  # fmt: skip


async def _deployed(translation: Translation, name: str, context: Any) -> None:
    async with as_served(translation, name) as env:
        deployer = _found("flyte._deployer.get_deployer")(type(env))
        await deployer(_found("flyte._deployer.DeploymentContext")(environment=env, serialization_context=context))


def _found(path: str) -> Callable[..., Any]:
    """Give a function of the SDK's that deploying cannot do without.

    Raises
    ------
    AttributeError
        When the installed version does not have it.
    """
    found: Callable[..., Any] | None = sdk.find(path)
    if found is None:
        raise AttributeError(f"flyte {sdk.version()} has no {path}")
    return found
