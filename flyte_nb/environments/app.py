"""AppEnvironment: the infrastructure of an app that serves requests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import MethodType
from typing import Annotated, Any, TypeVar

from flyte_nb.environments.app_command import default_command, words
from flyte_nb.environments.app_context import ctx, served_at
from flyte_nb.environments.app_links import Link
from flyte_nb.environments.base import Environment, clone, overrides_in, suggest_name
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.declaration import Check, as_list, refuse, refuse_type
from flyte_nb.environments.domains import Domain
from flyte_nb.environments.image import Image
from flyte_nb.environments.parameter_transport import override, to_transport
from flyte_nb.environments.parameters import Parameter
from flyte_nb.environments.ports import AnyPort, Port, as_port
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.scaling import Scaling
from flyte_nb.environments.secrets import SecretRequest
from flyte_nb.environments.timeouts import Timeouts
from flyte_nb.errors import InitializationError

__all__ = ["AppEnvironment"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LONGEST_NAME = 63  # a DNS label: the name becomes part of a host name
_ENDPOINT_VARIABLE = "INTERNAL_APP_ENDPOINT_PATTERN"
_DEFAULT_POOL = "default"
_HOOKS = ("_on_startup", "_server", "_on_shutdown")

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Self = TypeVar("_Self", bound="AppEnvironment")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"rename it, for example to {_suggested(value)!r}")
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"it has {len(value)} characters")
    return value


def _suggested(value: str) -> str:
    return suggest_name(value)[:_LONGEST_NAME].strip("-")


def _words(value: list[str] | str | None) -> list[str] | str | None:
    try:
        words(value)
    except ValueError as error:  # an open quotation
        raise ValueError(f"a shell cannot split it: {error}") from None
    return value


AppName = Annotated[
    str,
    Check(
        _name,
        "at most 63 lower-case letters, digits and '-', starting and ending with a letter or digit",
        schema={"pattern": f"^{_NAME.pattern}$", "maxLength": _LONGEST_NAME},
    ),
]
Words = Annotated[list[str] | str | None, Check(_words, "a list of str, or text that a shell can split")]


@dataclass(repr=False)
class AppEnvironment(Environment):
    """The infrastructure of an app: a process that serves requests for as long as it is deployed.

    Parameters
    ----------
    name : str
        At most 63 lower-case letters, digits and ``-``: the name becomes a DNS label.
    type : str, optional
        A word for what kind of app it is, where it is shown.
    port : int or Port
        Where it listens; kept as a `Port`.
    args : list of str or str, optional
        What follows the command. Text is split as a shell does.
    command : list of str or str, optional
        What is run in the container; by default Flyte's own server, which calls the hooks below.
    requires_auth : bool
        Whether callers have to identify themselves.
    scaling : Scaling
        How many replicas run.
    domain : Domain, optional
        Where it is reached.
    links : list of Link
        Pages of the app that are offered where it is shown.
    parameters : list of Parameter
        Values that it receives when it starts.
    cluster_pool : str
        The pool of clusters that it runs in.
    cluster : str, optional
        The very cluster that it runs in.
    timeouts : Timeouts
        How long a request may take.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts, two parameters have one name, parameters are given to a command
        that cannot receive them, or both a cluster and a pool are given.

    See Also
    --------
    Environment : the settings shared with tasks.
    """

    name: AppName
    type: str | None = None
    port: AnyPort = field(default_factory=lambda: Port(8080))
    args: Words = None
    command: Words = None
    requires_auth: bool = True
    scaling: Scaling = field(default_factory=Scaling)
    domain: Domain | None = field(default_factory=Domain)
    links: Annotated[list[Link], Check(as_list, "list of Link", before=True)] = field(default_factory=list)
    parameters: Annotated[list[Parameter], Check(as_list, "list of Parameter", before=True)] = field(
        default_factory=list
    )
    cluster_pool: str = _DEFAULT_POOL
    cluster: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    _on_startup: Callable[..., Any] | None = field(init=False, compare=False, default=None)
    _server: Callable[..., Any] | None = field(init=False, compare=False, default=None)
    _on_shutdown: Callable[..., Any] | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_parameters()
        if self.cluster is not None and self.cluster_pool != _DEFAULT_POOL:
            raise refuse(self, "cluster_pool", self.cluster_pool, repr(_DEFAULT_POOL), "a cluster is given too")

    def _check_parameters(self) -> None:
        names = [parameter.name for parameter in self.parameters]
        for name in names:
            if names.count(name) > 1:
                raise refuse(self, "parameters", name, "a name for each parameter", f"{name!r} is there twice")
        if names and self.command is not None and words(self.command)[:1] != ["fserve"]:
            raise refuse(self, "command", self.command, "None or a command that starts with 'fserve'",
                         "parameters are given, and another command would not receive them")  # fmt: skip

    def on_startup(self, fn: _Function) -> _Function:
        """Call a function before the app serves, as ``@app.on_startup``; it may be async.

        It receives the app's parameters that it has arguments for, by name. It is given back unchanged.
        """
        return self._hook("_on_startup", fn)

    def server(self, fn: _Function) -> _Function:
        """Serve the app with a function, as ``@app.server``; it may be async. It is given back unchanged."""
        return self._hook("_server", fn)

    def on_shutdown(self, fn: _Function) -> _Function:
        """Call a function after the app has served, as ``@app.on_shutdown``; it may be async."""
        return self._hook("_on_shutdown", fn)

    def _hook(self, name: str, fn: _Function) -> _Function:
        if not callable(fn):
            raise refuse_type(self, name.removeprefix("_"), fn, "a function")
        setattr(self, name, fn)
        return fn

    def get_port(self) -> Port:
        """Give the port that the app listens on."""
        port: Port = as_port(self.port)  # it may have been assigned since it was checked
        return port

    @property
    def endpoint(self) -> str:
        """The URL of the app, for code that calls it.

        Raises
        ------
        InitializationError
            When it is neither served on this machine nor deployed where this code runs.
        """
        if address := served_at(self.name):
            return address
        if ctx().mode == "local" or current_runner.get() is not None:
            return f"http://localhost:{self.get_port().port}"
        if pattern := os.environ.get(_ENDPOINT_VARIABLE):
            return pattern.replace("{app_fqdn}", self.name)
        message = f"the endpoint of app {self.name!r} is known once it is served: serve or deploy it first"
        raise InitializationError("NotServed", "user", message)

    def container_args(self, serialize_context: Any) -> list[str]:
        """Give the arguments that follow the command in the container.

        Parameters
        ----------
        serialize_context : object
            The context of the deployment.
        """
        return words(self.args)

    def container_cmd(self, serialize_context: Any, parameter_overrides: list[Parameter] | None = None) -> list[str]:
        """Give the command that is run in the container.

        Parameters
        ----------
        serialize_context : object
            The context of the deployment: project, domain, org, version, image cache and code bundle.
        parameter_overrides : list of Parameter, optional
            Parameters that replace the app's own of the same name.

        Raises
        ------
        DeclarationValueError
            When a parameter has no value.
        UnknownNameError
            When an override names no parameter of the app.
        """
        if self.command is not None:
            return words(self.command)
        parameters = override(self.parameters, parameter_overrides)
        return default_command(self, serialize_context, to_transport(parameters) if parameters else "")

    def clone_with(
        self: _Self,
        name: str,
        image: str | Image | None = None,
        resources: Resources | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        depends_on: list[Environment] | None = None,
        description: str | None = None,
        interruptible: bool | None = None,
        service_account: str | None = None,
        *,
        include: Iterable[str] | None = None,
        pod_template: Any = None,
        type: str | None = None,  # noqa: A002 - the Flyte SDK's name
        port: int | Port | None = None,
        args: list[str] | str | None = None,
        command: list[str] | str | None = None,
        requires_auth: bool | None = None,
        scaling: Scaling | None = None,
        domain: Domain | None = None,
        links: list[Link] | None = None,
        parameters: list[Parameter] | None = None,
        cluster_pool: str | None = None,
        cluster: str | None = None,
        timeouts: Timeouts | None = None,
        reset: Iterable[str] = (),
        **own: Any,
    ) -> _Self:
        """Make a new environment that inherits every setting of this one but those given, and its functions.

        Parameters
        ----------
        name : str
            The name of the new environment.
        reset : iterable of str
            Fields that go back to their default; None keeps a value.
        **own
            Fields that a subclass added.

        Returns
        -------
        AppEnvironment
            Of the same class, registered, with the same startup, server and shutdown functions.

        Raises
        ------
        DeclarationError
            When a value is not what its field accepts.
        """
        overrides = overrides_in(locals(), own)
        cloned = clone(self, name, overrides, reset)
        self._give_hooks(cloned)
        return cloned

    def _give_hooks(self, cloned: AppEnvironment) -> None:
        for hook in _HOOKS:
            function = getattr(self, hook)
            if getattr(function, "__self__", None) is self:  # a method of this object becomes the clone's
                function = MethodType(function.__func__, cloned)
            setattr(cloned, hook, function)
