"""Parameter: a value that an app receives when it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType
from flyte_nb.environments.delayed_values import AnyKind, AppEndpoint, ArtifactValue, RunOutput, io_kind

__all__ = ["Parameter"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNNAMED = "i0"


def _name(value: Any) -> Any:
    return _UNNAMED if value is None else value


def _value(value: Any) -> Any:
    if value is None or isinstance(value, str | RunOutput | ArtifactValue | AppEndpoint) or is_stored(value):
        return value
    raise WrongType(f"it is of type {type(value).__name__}")


def _variable(value: str | None) -> str | None:
    if value is not None and not _VARIABLE.fullmatch(value):
        raise ValueError("not the name of a variable in a shell")
    return value


def is_stored(value: Any) -> bool:
    """Tell whether a value is a File or a Dir."""
    return io_kind(type(value)) is not None and hasattr(value, "path")


@dataclass(repr=False)
class Parameter(Declaration):
    """A value that an app receives when it starts, by name.

    Parameters
    ----------
    name : str or None
        What the app's functions and `get_parameter` call it; ``"i0"`` when None.
    value : str, File, Dir, RunOutput, ArtifactValue or AppEndpoint, optional
        The value, or how to find it. May be left out and given when the app is served.
    type : {"string", "file", "directory", "app_endpoint"}, optional
        What the app receives; follows from the value by default.
    env_var : str, optional
        An environment variable that carries it too: letters, digits and ``_``, not starting with a digit.
    download : bool
        Whether a file or a directory is downloaded before the app starts.
    mount : str, optional
        Where it is downloaded to.
    ignore_patterns : list of str
        Patterns of files in a directory that are not downloaded.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts.
    """

    name: Annotated[str | None, Check(_name, "str, or None for 'i0'", before=True)]
    value: Annotated[
        Any, Check(_value, "str, File, Dir, RunOutput, ArtifactValue, AppEndpoint or None", before=True)
    ] = None
    type: AnyKind = None
    env_var: Annotated[
        str | None,
        Check(_variable, "letters, digits and '_', not starting with a digit, such as 'MODEL_PATH'"),
    ] = None
    download: bool = True
    mount: str | None = None
    ignore_patterns: list[str] = field(default_factory=list)
