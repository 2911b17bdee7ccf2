"""How parameters travel to an app: serialised into its command, and read back by its code."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import os
import zlib
from collections.abc import Iterable

from flyte_nb.environments.declaration import refuse
from flyte_nb.environments.delayed_values import AppEndpoint, DelayedValue, io_kind
from flyte_nb.environments.parameters import Parameter
from flyte_nb.errors import UnknownNameError, UsageError, suggestion

__all__ = ["from_transport", "get_parameter", "to_transport"]

#: the environment variable that names the JSON file of an app's parameters, by name
VALUES_VARIABLE = "flyte-parameters.json"


@dataclasses.dataclass(frozen=True)
class SerialisedParameter:
    """A parameter as it travels: text, with what to do with it.

    Parameters
    ----------
    name : str
        The parameter's name.
    value : str
        The text, the path, or how to find the value as JSON.
    type : str
        ``"string"``, ``"file"``, ``"directory"`` or ``"app_endpoint"``.
    download : bool
        Whether it is downloaded before the app starts.
    env_var, dest : str or None
        The environment variable that carries it, and where it is downloaded to.
    ignore_patterns : list of str
        Patterns of files that are not downloaded.
    """

    name: str
    value: str
    type: str
    download: bool
    env_var: str | None = None
    dest: str | None = None
    ignore_patterns: list[str] = dataclasses.field(default_factory=list)


def serialise(parameter: Parameter) -> SerialisedParameter:
    """Put one parameter into the form in which it travels.

    Raises
    ------
    DeclarationValueError
        When it has no value, or a value whose type is not known.
    """
    text, kind = _text(parameter)
    mounted = parameter.mount is not None
    kind = parameter.type or kind
    fetched = not isinstance(parameter.value, str | AppEndpoint)
    download = (fetched and (parameter.download or mounted)) or (mounted and kind in ("file", "directory"))
    return SerialisedParameter(
        str(parameter.name),
        text,
        kind,
        download,
        parameter.env_var,
        parameter.mount,
        list(parameter.ignore_patterns),
    )


def _text(parameter: Parameter) -> tuple[str, str]:
    """Give the text of a parameter's value and what the value is."""
    value = parameter.value
    if value is None:
        raise refuse(parameter, "value", value, "a value", f"parameter {parameter.name!r} was given none")
    if isinstance(value, str):
        return value, "string"
    if isinstance(value, AppEndpoint):
        return value.model_dump_json(), "app_endpoint"
    if isinstance(value, DelayedValue):
        kind = value.model_dump()["type"] or parameter.type
        if kind is None:
            raise refuse(parameter, "type", None, "a type, here or of the value", "what it is, is not known yet")
        return value.model_dump_json(), kind
    return str(value.path), io_kind(type(value)) or "string"


def to_transport(parameters: Iterable[Parameter]) -> str:
    """Serialise parameters for a command line: the same text for equal parameters, base64 of gzip of JSON."""
    items = [dataclasses.asdict(serialise(parameter)) for parameter in parameters]
    packed = gzip.compress(json.dumps({"parameters": items}).encode(), mtime=0)
    return base64.b64encode(packed).decode()


def from_transport(text: str) -> list[SerialisedParameter]:
    """Read back what `to_transport` wrote.

    Raises
    ------
    ValueError
        When the text is something else.
    """
    try:
        items = json.loads(gzip.decompress(base64.b64decode(text, validate=True)))["parameters"]
        return [SerialisedParameter(**item) for item in items]
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise UsageError(f"not the serialised parameters of an app: {error}") from error


def override(parameters: list[Parameter], overrides: Iterable[Parameter] | None) -> list[Parameter]:
    """Replace parameters by those of the same name.

    Raises
    ------
    UnknownNameError
        When there is no parameter of that name.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for parameter in overrides or ():
        if parameter.name not in known:
            raise UnknownNameError("parameter", str(parameter.name), map(str, known))
        known[parameter.name] = parameter
    return list(known.values())


def get_parameter(name: str) -> str:
    """Give the value of a parameter to the code of a running app; read anew at each call.

    Parameters
    ----------
    name : str
        The parameter's name.

    Returns
    -------
    str
        The text, or the path of what was downloaded.

    Raises
    ------
    ValueError
        When no app is being served in this process.
    KeyError
        When the app has no parameter of that name.
    """
    path = os.environ.get(VALUES_VARIABLE)
    if not path:
        raise UsageError(f"no app is served in this process: the variable {VALUES_VARIABLE!r} is not set")
    with open(path, encoding="utf-8") as file:
        values: dict[str, str] = json.load(file)
    if name not in values:
        raise KeyError(f"no parameter named {name!r}; {suggestion(name, values)}")
    return values[name]
