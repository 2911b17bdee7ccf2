"""The verbs of deployments: deploy, go back, see what there is, and remove what is old."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from flyte_nb.context.records import SerializationContext
from flyte_nb.engine.base import Custom, Deployment, Deployments, Engine, History, Progress
from flyte_nb.engine.definition import refuse_while_loading
from flyte_nb.engine.store import Pruned, Store
from flyte_nb.environments.base import Environment
from flyte_nb.errors import DeploymentError, UsageError, UsageTypeError
from flyte_nb.extend.deployers import DeploymentContext, find_deployer
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.seal import insist_whole
from flyte_nb.plan.weight import insist_light
from flyte_nb.portal import Relay, Verb
from flyte_nb.session import Session, current_session
from flyte_nb.verbs import portal

__all__ = ["bring_back", "custom_deployers", "deploy", "deployments", "prune", "rollback", "with_contents"]


async def _deploy(
    relay: Relay,
    *envs: Environment,
    dry_run: bool = False,
    version: str | None = None,
    engine: str = "local",
    allow_large: bool = False,
) -> Deployments:
    """Deploy environments and all that they depend on, as one bundle.

    What is deployed already as it is now is left as it is, at its version. Environments that depend on each other
    become current together or not at all; until then, and whatever interrupts it, their former versions are current.

    Parameters
    ----------
    *envs : Environment
        What is deployed; their newest declarations.
    dry_run : bool
        Only say what would be deployed.
    version : str, optional
        A name for the version; from the content by default. It is of one content: a name that is there with other
        content is refused (`flyte.rollback` makes that version current again).
    engine : str
        Where to: ``"local"`` is the store on this machine, ``"cluster"`` the Flyte cluster that this process knows.
    allow_large : bool
        Whether the bundle may have more than 100 MiB.

    Returns
    -------
    Deployments
        Dependencies first. The same content has the same version and is ``unchanged``.

    Raises
    ------
    DeploymentError
        When something was not deployed: its last version is untouched. The message names it, and what was deployed.
    SliceError
        When something a task reads cannot leave the kernel.
    StoreError
        When the store cannot be written, or another process has been writing to it for too long.
    """
    refuse_while_loading("deploy")
    session = current_session()
    for env in envs:
        if not isinstance(env, Environment):
            raise UsageTypeError(f"flyte.deploy: given {env!r:.80}; accepted: environments")
    if not envs:
        raise DeploymentError("nothing to deploy: name one environment or more")
    chosen = session.engine(engine)
    bundle = session.shipping.bundle(envs, version)
    if not allow_large:
        insist_light(bundle)
    if dry_run:
        made = await relay(lambda tell: _planned(session, chosen, bundle), session.show_progress())
    else:
        custom = custom_deployers(session, bundle)
        made = await relay(lambda tell: _deployed(chosen, bundle, custom, tell), session.show_progress())
        session.tell_deployment()
    return with_contents(made, bundle)


async def _deployed(engine: Engine, bundle: Bundle, custom: Custom, tell: Callable[[Any], None]) -> Deployments:
    """Deploy; what the engine tells in its threads is told on the loop."""
    loop = asyncio.get_running_loop()

    def hand_over(progress: Progress) -> None:
        loop.call_soon_threadsafe(tell, progress)

    return await engine.deploy(bundle, hand_over, custom)


async def _planned(session: Session, engine: Engine, bundle: Bundle) -> Deployments:
    """Say what deploying a bundle would give; deployers of one's own are asked, too."""
    made = await engine.planned(bundle)
    for name, deployer in custom_deployers(session, bundle, dry_run=True).items():
        if not next(one for one in made if one.environment == name).unchanged:
            await deployer(bundle.version, session.store.bundles / bundle.folder)
    return made


def custom_deployers(session: Session, bundle: Bundle, dry_run: bool = False) -> Custom:
    """Give the deployers of the environments of a bundle that have one of their own."""
    found: dict[str, Callable[[str, Path], Awaitable[Any]]] = {}
    for row in bundle.environments:
        env = session.registry.get(row["environment"])
        if env is not None and find_deployer(type(env)) is not None:
            found[env.name] = functools.partial(_call_deployer, env, dry_run)
    return found


async def _call_deployer(env: Environment, dry_run: bool, version: str, home: Path) -> Any:
    deployer = find_deployer(type(env))
    assert deployer is not None
    told = SerializationContext(version=version, root_dir=None if dry_run else home)
    return await deployer(DeploymentContext(env, told, dry_run))


def with_contents(made: Deployments, bundle: Bundle) -> Deployments:
    """Say what travels beside the module."""
    made.files = bundle.files
    made.values = tuple((value.name, value.label, len(value.data)) for value in bundle.module.captured)
    made.notices = tuple(dict.fromkeys(bundle.module.notices))
    return made


async def _rollback(relay: Relay, *envs: Environment | str, version: str | None = None) -> Deployments:
    """Make an earlier version of environments current again, whatever the notebook says by now.

    Parameters
    ----------
    *envs : Environment or str
        The environments, or their names; they need not be declared here. All of them go back, or none.
    version : str, optional
        The version; by default the one that was current before, of each.

    Returns
    -------
    Deployments
        What is current now. It was not deployed anew: nothing is written but which version is current.

    Raises
    ------
    UnknownNameError
        For an environment that was never deployed, and a version that there is not.
    DeploymentError
        When there is no earlier version, or its bundle was edited or is gone.
    """
    names = [_name_of(env, "flyte.rollback") for env in envs]
    if not names:
        raise UsageError("nothing to go back with: name one environment or more")
    session = current_session()
    made = bring_back(session.store, {name: version or _before(session.store, name) for name in names})
    session.tell_deployment()
    return made


def bring_back(store: Store, versions: Mapping[str, str]) -> Deployments:
    """Make versions of environments current again whose bundles are whole; all of them, or none.

    Raises
    ------
    UnknownNameError, DeploymentError
        As ``flyte.rollback``.
    """
    for name, chosen in versions.items():
        row = store.deployed(name, chosen)
        insist_whole(store.bundles / row["bundle"], row["seal"])
    return store.bring_back(versions)


def _name_of(env: Environment | str, verb: str) -> str:
    if not isinstance(env, Environment | str):
        raise UsageTypeError(f"{verb}: given {env!r:.80}; accepted: environments, or their names")
    return env if isinstance(env, str) else env.name


def _before(store: Store, name: str) -> str:
    """Give the version that was current before the present one."""
    left = [one for one in store.history(name) if not one.current]
    if not left:
        raise DeploymentError(f"{name!r} has one version only; there is none to go back to")
    return max(left, key=_when_left).version


def _when_left(one: Deployment) -> Any:
    return one.until or one.created


def deployments(env: Environment | str | None = None) -> History:
    """Give the versions of an environment, the newest first, with which is current; or what is current of all.

    Those that this machine deployed to a cluster are among them; their ``place`` names it.

    Parameters
    ----------
    env : Environment or str, optional
        The environment or its name; without one, the current version of each environment that is deployed.

    Raises
    ------
    UnknownNameError
        For an environment that was never deployed; the nearest names are suggested.
    """
    store, name = current_session().store, None if env is None else _name_of(env, "flyte.deployments")
    placed = [one for one in store.placed(name) if name is not None or one.current]
    if name is not None and placed and name not in store.current():
        return History(placed)
    return History(sorted([*store.history(name), *placed], key=lambda one: one.created, reverse=True))


def prune(days: float = 30.0, dry_run: bool = True) -> Pruned:
    """Remove the versions that have not been current for long, and the bundles that no version needs any more.

    The current versions stay, and those that a running process uses.

    Parameters
    ----------
    days : float
        How long ago they were made or were current last.
    dry_run : bool
        Only say what would be removed, which is the default.

    Raises
    ------
    UsageError
        For a number of days below 0.
    """
    if not 0 <= days < 1e6:
        raise UsageError(f"flyte.prune(days=): given {days!r}; accepted: a number of days, 0 or more")
    return current_session().store.prune(timedelta(days=days), dry_run)


deploy = Verb(_deploy, portal)
rollback = Verb(_rollback, portal)
