"""Serving: ``flyte.serve`` and ``flyte.with_servecontext`` — an app on this machine, or at a cluster."""

from __future__ import annotations

from typing import Any, Literal

from flyte_nb.cluster_app import ClusterApp
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.portal import Relay, Verb
from flyte_nb.serve_context import ServeContext
from flyte_nb.served_app import ServedApp
from flyte_nb.verbs import portal

__all__ = ["serve", "with_servecontext"]


async def _serve(
    relay: Relay, app_env: AppEnvironment, *, engine: Literal["local", "cluster"] = "local"
) -> ServedApp | ClusterApp:
    """Serve an app on this machine, where its replicas are processes of their own behind one address, or at a cluster.

    Parameters
    ----------
    app_env : AppEnvironment
        The app. Apps that it depends on are served first, where they are not yet. One that is served already is
        replaced, at the same address, where it has changed.
    engine : {"local", "cluster"}
        ``"cluster"`` is the Flyte cluster that this process knows (``flyte.init``, ``%flyte connect``): the app goes on
        there when this process ends.

    Returns
    -------
    AppHandle
        Once it answers: with ``url``, ``phase``, ``logs()``, ``deactivate()``; on this machine with ``token``,
        ``replicas`` and ``metrics``, too.

    Raises
    ------
    RuntimeUserError
        When it does not start: its start-up hook raised, its server ended, or nothing listens in time. The message
        has the end of its log, or the cluster's page about it.
    MissingSecretError, ResourceError, ImageBuildError
        When what it asks for cannot be had here.
    UsageError
        When it has nothing to serve with, a parameter has no value, or the app that a parameter names is not served.
    SliceError, DeploymentError
        When something it reads cannot leave the kernel, or a file that it includes is not there; for a cluster, when
        the installed Flyte SDK cannot express it.
    InitializationError, UnionRpcError
        When no cluster is known, or it cannot be asked.
    """
    return await ServeContext(engine=engine).served(relay, app_env)


serve = Verb(_serve, portal)


def with_servecontext(mode: str | None = None, **options: Any) -> ServeContext:
    """Say how an app is to be served: ``flyte.with_servecontext(env_vars={"A": "1"}).serve(app_env)``.

    Parameters
    ----------
    mode : {"local", "remote"}, optional
        Where it is served; ``"local"`` by default, ``"remote"`` is ``engine="cluster"``.
    **options
        The other parameters of `ServeContext`.

    Raises
    ------
    DeclarationError
        For an unknown mode, and for a parameter that is not what it accepts.
    TypeError
        For an unknown parameter.
    """
    return ServeContext(mode, **options)  # type: ignore[arg-type]  # it checks
