"""Image fields: what the settings of an image accept, and their one conversion each."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from flyte_nb.environments.declaration import Check
from flyte_nb.environments.secrets import Secret

__all__ = ["Architecture", "Platforms", "PythonVersion", "RegistrySecret", "running_python"]

Architecture = Literal["linux/amd64", "linux/arm64"]
_OLDEST = (3, 10)  # the Flyte SDK has no release for an older Python


def _secret(value: Any) -> Any:
    return Secret(key=value) if isinstance(value, str) else value


def _platforms(value: Any) -> Any:
    value = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    if isinstance(value, tuple) and not value:
        raise ValueError("there is none")
    return value


def _python(value: Any) -> Any:
    value = tuple(value) if isinstance(value, list) else value
    if isinstance(value, tuple) and all(type(part) is int for part in value) and value < _OLDEST:
        raise ValueError("Flyte needs Python 3.10 or later")
    return value


def running_python() -> tuple[int, int]:
    """Give the major and the minor version of the running Python."""
    return sys.version_info[0], sys.version_info[1]


Platforms = Annotated[tuple[Architecture, ...], Check(_platforms, "'linux/amd64', 'linux/arm64' or both", before=True)]
PythonVersion = Annotated[tuple[int, int], Check(_python, "(3, 10) or later, such as (3, 12)", before=True)]
RegistrySecret = Annotated[Secret | None, Check(_secret, "the name of a secret, or a Secret", before=True)]
