"""RunOutput, ArtifactValue and AppEndpoint: values of parameters that are looked up when the app starts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from flyte_nb.environments.declaration import Check, Declaration, WrongType, plain, refuse, refuse_type
from flyte_nb.errors import RuntimeUserError, suggestion

__all__ = ["AppEndpoint", "ArtifactValue", "RunOutput"]

_IO_CLASSES = {"File": "file", "Dir": "directory"}
_Value = TypeVar("_Value", bound="DelayedValue")


def io_kind(kind: type) -> str | None:
    """Tell what a class stands for: ``"file"`` for File, ``"directory"`` for Dir, None for any other."""
    return next((_IO_CLASSES[base.__name__] for base in kind.__mro__ if base.__name__ in _IO_CLASSES), None)


def _kind(value: Any) -> Any:
    if isinstance(value, type):
        value = "string" if value is str else io_kind(value) or value
    if not isinstance(value, str):
        raise WrongType(f"it is {getattr(value, '__qualname__', f'of type {type(value).__name__}')}")
    return value


def _any_kind(value: Any) -> Any:
    return None if value is None else _kind(value)


_Names = Literal["string", "file", "directory", "app_endpoint"]
_ACCEPTED = "'string', 'file', 'directory', 'app_endpoint', or one of the classes str, File and Dir"
Kind = Annotated[_Names, Check(_kind, _ACCEPTED, before=True)]
AnyKind = Annotated[_Names | None, Check(_any_kind, f"{_ACCEPTED}, or None", before=True)]


class _Complete(type):
    """Refuses a construction without a required field as it refuses a wrong one: a TypeError, and a ValueError."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not args:  # there are no positions; the constructor says so
            _require(cls, kwargs)
        return super().__call__(*args, **kwargs)


def _require(cls: Any, given: Mapping[str, Any]) -> None:
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.name not in given:
            raise refuse_type(cls, field.name, None, "a value", "it is missing")


@dataclass(kw_only=True, repr=False)
class DelayedValue(Declaration, metaclass=_Complete):
    """The base of values that are known only when an app starts; they travel as JSON."""

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> dict[str, Any]:
        """Give every field by name.

        Parameters
        ----------
        mode : {"python", "json"}
            Values as they are, or as JSON has them: lists for tuples.
        exclude_none : bool
            Leave out what is None.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if exclude_none:
            values = {name: value for name, value in values.items() if value is not None}
        return {name: plain(value) for name, value in values.items()} if mode == "json" else values

    def model_dump_json(self, *, indent: int | None = None, exclude_none: bool = False) -> str:
        """Give every field as JSON: compact, or over several lines with an ``indent``."""
        separators = (",", ":") if indent is None else None
        return json.dumps(self.model_dump(exclude_none=exclude_none), indent=indent, separators=separators)

    def model_copy(self: _Value, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> _Value:
        """Give a copy with some fields changed, which are checked; nothing in it is shared, ``deep`` or not."""
        return dataclasses.replace(self, **(update or {}))

    @classmethod
    def model_validate(cls: type[_Value], obj: Any) -> _Value:
        """Make the value from a mapping, which stays as it is; a value of this class is given back itself.

        Raises
        ------
        DeclarationError
            When it is not a mapping, a field is missing or unknown, or one is not what it accepts.
        """
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, Mapping):
            raise refuse_type(cls, "model_validate", obj, f"{cls.__name__} or a mapping of its fields")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := [key for key in obj if key not in fields]:
            raise refuse(cls, "model_validate", unknown[0], "the fields", suggestion(str(unknown[0]), fields))
        return cls(**obj)

    @classmethod
    def model_validate_json(cls: type[_Value], json_data: str | bytes) -> _Value:
        """Make the value from JSON; the inverse of `model_dump_json`."""
        return cls.model_validate(json.loads(json_data))

    async def materialize(self) -> Any:
        """Look the value up, where the app is served.

        Raises
        ------
        RuntimeUserError
            When nothing that knows the value is connected.
        """
        message = f"{self!r} is looked up by the cluster that serves the app, and none is connected"
        raise RuntimeUserError("ParameterMaterializationError", message)

    async def get(self) -> Any:
        """Give the value; the same as `materialize`."""
        return await self.materialize()


def _getter(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


@dataclass(kw_only=True, repr=False)
class RunOutput(DelayedValue):
    """An output of a run, of a given run or of the last run of a task.

    Parameters
    ----------
    type : {"string", "file", "directory", "app_endpoint"} or a class
        What the output is; the classes ``str``, ``File`` and ``Dir`` are kept as their words.
    run_name : str, optional
        The run.
    task_name : str, optional
        The task whose newest run is taken.
    task_version : str, optional
        The task's version.
    task_auto_version : {"latest", "current"}, optional
        Which version of the task, where none is given.
    getter : tuple of int and str
        The steps from the outputs to the value, the position of an output first.
    """

    type: Kind
    run_name: str | None = None
    task_name: str | None = None
    task_version: str | None = None
    task_auto_version: Literal["latest", "current"] | None = None
    getter: Annotated[
        tuple[int | str, ...],
        Check(_getter, "a tuple of positions and keys, such as (0,)", before=True),
    ] = (0,)

    def validate(self) -> None:
        """Check what the constructor leaves open: that the fields together name one output.

        Raises
        ------
        DeclarationValueError
            When neither or both of ``run_name`` and ``task_name`` are given, or a version does not apply.
        """
        if (self.run_name is None) == (self.task_name is None):
            given = (self.run_name, self.task_name)
            raise refuse(self, "run_name, task_name", given, "exactly one of run_name and task_name")
        versions = [version for version in (self.task_version, self.task_auto_version) if version is not None]
        if versions and self.task_name is None:
            raise refuse(self, "task_version", versions[0], "None, where a run is named")
        if len(versions) > 1:
            raise refuse(self, "task_version", versions, "only one of task_version and task_auto_version")

    async def materialize(self) -> Any:
        """Look the output up, where the app is served; checks the fields together first."""
        self.validate()
        return await super().materialize()


@dataclass(kw_only=True, repr=False)
class ArtifactValue(DelayedValue):
    """A version of an artifact.

    Parameters
    ----------
    name : str
        The artifact.
    version : str, optional
        Which version; the newest by default.
    project, domain : str, optional
        Where it belongs; where the app is deployed by default.
    type : {"string", "file", "directory", "app_endpoint"} or a class, optional
        What it is; an app is deployed only once it, or its parameter, has a type.
    """

    type: AnyKind = None
    name: str
    version: str | None = None
    project: str | None = None
    domain: str | None = None


@dataclass(kw_only=True, repr=False)
class AppEndpoint(DelayedValue):
    """The URL of another app.

    On this machine the variable ``NAME_TOKEN`` holds what that app asks for, if it does, where the parameter's
    ``env_var`` is ``NAME``.

    Parameters
    ----------
    app_name : str
        The other app.
    public : bool
        Whether its public URL is meant; otherwise the one inside the cluster.
    """

    type: Literal["string"] = "string"
    app_name: str
    public: bool = False

    async def materialize(self) -> AppEndpoint:
        """Give this value itself: a URL is looked up each time it is needed, since it can change."""
        return self
