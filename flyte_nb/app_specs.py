"""App specs: what apps ask for, as they are declared now, for those who serve them on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flyte_nb.engine.definition import SCRIPT, Definition
from flyte_nb.engine.local.apps.serving import Apps
from flyte_nb.engine.local.apps.spec import Limits, Spec
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.connector import METRICS_PORT, ConnectorEnvironment
from flyte_nb.environments.delayed_values import RunOutput
from flyte_nb.environments.image import Image
from flyte_nb.environments.parameters import Parameter
from flyte_nb.environments.secrets import secrets_from_request
from flyte_nb.errors import UnknownNameError, UsageError
from flyte_nb.notebook.module import FILE
from flyte_nb.run_outputs import find_output
from flyte_nb.served_connectors import guard, words_for_cells
from flyte_nb.session import Session

if TYPE_CHECKING:
    from flyte_nb.serve_context import ServeContext

__all__ = ["apps_of", "command_of", "insist_on_a_program", "insist_on_parameters", "log_variables", "spec_of"]

H2C = "h2c"  # the name of a port where HTTP/2 is spoken without TLS, as gRPC does
#: what an app's command is run as, by its first word; the rest of the words follow
SERVERS = {"c0": (sys.executable, "-m", "flyte_nb.connectors.server")}


def apps_of(session: Session) -> Apps:
    """Give the apps that a session serves."""
    engine = session.engine("local")
    assert isinstance(engine, LocalEngine)
    return engine.apps


def spec_of(session: Session, app: AppEnvironment, how: ServeContext) -> Spec:
    """Say what an app asks for, as it is declared now; its code is written where its replicas find it.

    Raises
    ------
    UsageError
        When it has neither a server nor a command, or speaks HTTP/2 and is to ask for a token.
    SliceError, DeploymentError
        When something it reads cannot leave the kernel, or a file it includes is not there.
    UnknownNameError
        When a value is given for a parameter that it does not have.
    """
    command = command_of(app)
    _insist_it_can_be_served(app)
    bundle = session.shipping.bundle([app])
    apps = apps_of(session)
    apps.prepare()
    home = bundle.write(apps.folder / app.name / "code")
    hooks = (app._on_startup, app._server, app._on_shutdown)
    inside = any(file.is_included for file in bundle.files)
    request = app.timeouts.request
    return Spec(
        name=app.name,
        version=bundle.version,
        definition=Definition(home / FILE, SCRIPT, folder=home, inside=inside),
        port=app.get_port().port,
        metrics_port=METRICS_PORT if isinstance(app, ConnectorEnvironment) else None,
        h2c=app.get_port().name == H2C,
        command=() if app._server is not None else (*command, *words_for_cells(session, app, home)),
        declared=any(hooks),
        scaling=app.scaling,
        request_timeout=request.total_seconds() if isinstance(request, timedelta) else request,
        requires_auth=app.requires_auth and not guard(app),
        env_vars={**(app.env_vars or {}), **guard(app), **log_variables(how), **(how.env_vars or {})},
        image=_image(app),
        resources=app.resources,
        secrets=tuple(secrets_from_request(app.secrets)),
        parameters=_parameters(app, (how.parameter_values or {}).get(app.name, {})),
        health_path=how.health_check_path or "",
        limits=_limits(how),
        fit=how.fit,
        links=tuple((link.path, link.title) for link in app.links),
        raw_data_path=how.raw_data_path or "",
        project=how.project or "",
        domain=how.domain or "",
        source="" if session.workbook.shell is not None else app.place.file,
        find_output=lambda asked: _output(session, asked),
    )


def insist_on_a_program(app: AppEnvironment) -> None:
    """Refuse an app that has neither a server nor a command.

    Raises
    ------
    UsageError
        With what to give it.
    """
    if app._server is None and not command_of(app):
        raise UsageError(f"app {app.name!r} has nothing to serve with; give it @{app.name.replace('-', '_')}.server, "
                         "a command or args")  # fmt: skip


def _insist_it_can_be_served(app: AppEnvironment) -> None:
    insist_on_a_program(app)
    if app.get_port().name == H2C and app.requires_auth and not guard(app):
        raise UsageError(f"app {app.name!r} speaks HTTP/2, as the name 'h2c' of its port says, and its gateway cannot "
                         "look into that for a token; say requires_auth=False, and where others use this machine have "
                         "the app ask for a token itself, as an interceptor of gRPC can")  # fmt: skip


def command_of(app: AppEnvironment) -> tuple[str, ...]:
    """Give the words of the program that serves an app which has no server function."""
    arguments = app.container_args(None)
    words = [*(app.container_cmd(None) if app.command is not None else ()), *arguments]
    return (*SERVERS.get(words[0], words[:1]), *words[1:]) if words else ()


def _image(app: AppEnvironment) -> Image | None:
    image = app.image
    return image if isinstance(image, Image) and image != Image.from_debian_base() else None


def _limits(how: ServeContext) -> Limits:
    plain = Limits()
    return replace(
        plain, activate=how.activate_timeout or plain.activate, server=how.deactivate_timeout or plain.server
    )


def log_variables(how: ServeContext) -> dict[str, str]:
    """Give the variables that say what is logged."""
    levels = {"LOG_LEVEL": how.log_level, "USER_LOG_LEVEL": how.user_log_level}
    told = {name: str(level) for name, level in levels.items() if level is not None}
    return {**told, "LOG_FORMAT": how.log_format} if told or how.log_format != "console" else told


def _parameters(app: AppEnvironment, values: dict[str, Any]) -> tuple[Parameter, ...]:
    insist_on_parameters(app, values)
    return tuple(
        replace(parameter, value=values[str(parameter.name)]) if str(parameter.name) in values else parameter
        for parameter in app.parameters
    )


def insist_on_parameters(app: AppEnvironment, values: Iterable[str]) -> None:
    """Refuse values of parameters that an app does not have.

    Raises
    ------
    UnknownNameError
        With the parameters that it has.
    """
    names = [str(parameter.name) for parameter in app.parameters]
    for name in values:
        if name not in names:
            raise UnknownNameError(f"parameter of app {app.name!r}", name, names)


def _output(session: Session, asked: object) -> object:
    assert isinstance(asked, RunOutput)
    return find_output(session.store, asked)
