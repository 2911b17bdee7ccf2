"""Settings: what this process was initialized with."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte_nb.context.task_context import current_context
from flyte_nb.errors import InitializationError

__all__ = [
    "Settings",
    "current_domain",
    "current_project",
    "is_control_plane_available",
    "is_initialized",
    "note_connected",
    "remember",
    "remembered",
]


@dataclass(frozen=True)
class Settings:
    """What ``flyte.init`` and its kin were told.

    Parameters
    ----------
    org, project, domain : str, optional
        Where runs and deployments belong.
    endpoint : str, optional
        The address of a control plane; it is connected to when a run or a deployment is to go there.
    root_dir : Path, optional
        What the paths of the code are relative to.
    config : Path, optional
        The configuration file that was named.
    options : dict
        How to connect: the other arguments, which may be secret.
    """

    org: str | None = None
    project: str | None = None
    domain: str | None = None
    endpoint: str | None = None
    root_dir: Path | None = None
    config: Path | None = None
    options: dict[str, Any] = field(default_factory=dict, repr=False)


_remembered: Settings | None = None
_connected: Settings | None = None  # those that a control plane was found with


def remember(settings: Settings | None) -> None:
    """Take the settings of this process, in place of earlier ones; their root directory becomes importable, once."""
    global _remembered
    _remembered = settings
    root = str(settings.root_dir) if settings is not None and settings.root_dir is not None else None
    if root is not None and root not in sys.path:
        sys.path.append(root)


def remembered() -> Settings:
    """Give the settings of this process; empty ones when it was not initialized."""
    return _remembered or Settings()


def is_initialized() -> bool:
    """Tell whether ``flyte.init`` or one of its kin was called in this process."""
    return _remembered is not None


def note_connected() -> None:
    """Take it that a control plane was found with the settings that there are."""
    global _connected
    _connected = remembered()


def is_control_plane_available() -> bool:
    """Tell whether runs can go to a Flyte cluster: ``flyte.init`` or ``%flyte connect`` named one, or found it.

    A task that runs on this machine is told that there is none, as by the Flyte SDK.
    """
    if current_context.get() is not None:
        return False
    told = remembered()
    is_named = bool(told.endpoint or told.config or told.options.get("api_key"))
    return is_named or (_connected is not None and _connected == told)


def current_project() -> str:
    """Give the project of the running task, or else the one that this process was initialized with.

    Raises
    ------
    InitializationError
        When neither is known.
    """
    return _current("project")


def current_domain() -> str:
    """Give the domain of the running task, or else the one that this process was initialized with.

    Raises
    ------
    InitializationError
        When neither is known.
    """
    return _current("domain")


def _current(what: str) -> str:
    context = current_context.get()
    found = (getattr(context.action, what) if context is not None else None) or getattr(remembered(), what)
    if found is None:
        raise InitializationError(
            "NotInitialized", "user", f"no {what} is known; name it with flyte.init({what}=…) or a configuration file"
        )
    return str(found)
