"""Spec: what an app asks for, as its declaration is when it is served; and the records of what became of it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from flyte_nb.engine.definition import Definition
from flyte_nb.environments.image import Image
from flyte_nb.environments.parameters import Parameter
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.scaling import Scaling
from flyte_nb.environments.secrets import Secret

__all__ = ["AppPhase", "Limits", "ReplicaRecord", "Spec"]


class AppPhase(enum.Enum):
    """Where an app, or a replica of one, stands."""

    STARTING = "starting"
    ACTIVE = "active"
    IDLE = "idle"  # scaled to zero; a request starts a replica
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds.

    Parameters
    ----------
    activate : float
        Until a replica answers.
    server : float
        From when it is asked to stop until the server has.
    shutdown : float
        For the shutdown hook.
    drain : float
        For the requests that a replica still has when it is taken away.
    """

    activate: float = 60.0
    server: float = 6.0
    shutdown: float = 5.0
    drain: float = 30.0


@dataclass(frozen=True)
class Spec:
    """What an app asks for.

    Parameters
    ----------
    name : str
        The app's.
    version : str
        Another one means other code or another declaration.
    definition : Definition
        Where a process finds it.
    port : int
        Where its server says it listens.
    metrics_port : int, optional
        Another port that its server listens on.
    h2c : bool
        Whether it speaks HTTP/2 without TLS, as gRPC does.
    command : tuple of str
        The words of the program that serves; empty where a function does.
    declared : bool
        Whether the process loads the declaration: it has a server or a hook.
    scaling : Scaling
        How many replicas.
    request_timeout : float, optional
        Seconds a request may take.
    requires_auth : bool
        Whether callers need the token.
    env_vars : dict
        Variables of its processes.
    image, resources, secrets, parameters
        As declared.
    health_path : str
        What is asked for to learn whether it is ready; empty where listening is enough.
    limits : Limits
        How long things may take.
    fit : str
        What becomes of a request for more than the machine has.
    links : tuple of (path, title)
        Pages of the app that are offered where it is shown.
    raw_data_path, project, domain : str
        What the app is told of where it runs.
    """

    name: str
    version: str
    definition: Definition
    port: int
    metrics_port: int | None = None
    h2c: bool = False
    command: tuple[str, ...] = ()
    declared: bool = True
    scaling: Scaling = field(default_factory=Scaling)
    request_timeout: float | None = None
    requires_auth: bool = True
    env_vars: dict[str, str] = field(default_factory=dict, repr=False)
    image: Image | None = field(default=None, repr=False)
    resources: Resources | None = None
    secrets: tuple[Secret, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    health_path: str = ""
    limits: Limits = Limits()
    fit: str = "clamp"
    links: tuple[tuple[str, str], ...] = ()
    raw_data_path: str = ""
    project: str = ""
    domain: str = ""
    #: the file that the definition's is a copy of; empty for one made of cells
    source: str = ""
    #: gives the output of a run that a parameter names
    find_output: Callable[[object], object] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ReplicaRecord:
    """One replica as it is now.

    Parameters
    ----------
    id : str
        Its name: ``"r1"``.
    phase : AppPhase
        Where it stands.
    pid, port : int
        Its process, and the port of this machine that it listens on; 0 before there is one.
    version : str
        Of what it was started from.
    since : datetime
        When it entered its phase.
    note : str
        What there is to know: what it waits for, why it ended.
    """

    id: str
    phase: AppPhase
    pid: int
    port: int
    version: str
    since: datetime
    note: str = ""
