"""Apps as the Flyte SDK has them: ports, scaling, domains, parameters, and the three kinds of app environments."""

from __future__ import annotations

from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.images import image_of
from flyte_nb.engine.cluster.kinds import Kind, same_value, translate
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.app_links import Link
from flyte_nb.environments.connector import ConnectorEnvironment
from flyte_nb.environments.delayed_values import AppEndpoint, ArtifactValue, RunOutput
from flyte_nb.environments.domains import Domain, Subdomain
from flyte_nb.environments.fastapi_app import FastAPIAppEnvironment
from flyte_nb.environments.parameters import Parameter
from flyte_nb.environments.ports import Port
from flyte_nb.environments.scaling import Scaling
from flyte_nb.environments.timeouts import Timeouts

__all__ = ["HOOKS", "KINDS", "fastapi_app"]

#: the functions of an app that are no fields
HOOKS = ("_on_startup", "_server", "_on_shutdown")


def _links(declared: FastAPIAppEnvironment) -> list[Any]:
    """Give the links without the one to the documentation, which the SDK adds itself."""
    own = [link for link in declared.links if not (link.is_relative and link.path == declared.app.docs_url)]
    return [translate(link) for link in own]


def fastapi_app(declared: FastAPIAppEnvironment, arguments: dict[str, Any]) -> Any:
    """Make the SDK's environment of a FastAPI application, which keeps the state that the SDK would take from it."""
    state = declared.app.state
    try:
        return sdk.find("flyte.app.extras.FastAPIAppEnvironment")(**arguments)
    finally:
        declared.app.state = state


KINDS = (
    Kind(Port, "flyte.app.Port"),
    Kind(Link, "flyte.app.Link"),
    Kind(Scaling, "flyte.app.Scaling"),
    Kind(Scaling.Concurrency, "flyte.app.Scaling.Concurrency"),
    Kind(Scaling.RequestRate, "flyte.app.Scaling.RequestRate"),
    Kind(Timeouts, "flyte.app.Timeouts"),
    Kind(Domain, "flyte.app.Domain"),
    Kind(Subdomain, "flyte.app.Subdomain", values={"function": same_value("function")}),
    Kind(Parameter, "flyte.app.Parameter"),
    Kind(RunOutput, "flyte.app.RunOutput"),
    Kind(ArtifactValue, "flyte.app.ArtifactValue"),
    Kind(AppEndpoint, "flyte.app.AppEndpoint"),
    Kind(AppEnvironment, "flyte.app.AppEnvironment", values={"image": image_of}),
    Kind(ConnectorEnvironment, "flyte.app.ConnectorEnvironment", values={"image": image_of}),
    Kind(
        FastAPIAppEnvironment,
        "flyte.app.extras.FastAPIAppEnvironment",
        values={
            "image": image_of,
            "links": _links,
            "app": same_value("app"),
            "uvicorn_config": same_value("uvicorn_config"),
        },
        make=fastapi_app,
    ),
)
