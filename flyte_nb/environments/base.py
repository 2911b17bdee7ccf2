"""Environment: the infrastructure that tasks and apps share, and the announcement that one was declared."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar, cast

from flyte_nb.environments import place
from flyte_nb.environments.declaration import (
    Check,
    Declaration,
    WrongType,
    as_list,
    plain,
    refuse,
    refuse_type,
    set_fields,
)
from flyte_nb.environments.image import Image
from flyte_nb.environments.place import Place, here
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.provenance import Origin
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret

__all__ = ["Environment", "Listener", "is_heard", "listen", "unannounced"]

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_LONGEST_NAME = 253  # a Kubernetes object name
_LONGEST_DESCRIPTION = 255
_CUT = "...(cut)"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SYSTEM = re.compile(r"/+(boot|dev|etc|proc|run|sys)(/|$)")

_logger = logging.getLogger("flyte")


class Listener(Protocol):
    """Whoever wants to know what is declared: the registry. A worker process has none."""

    def declared(self, env: Environment) -> None:
        """Hear that ``env`` was constructed and is valid; an exception refuses it."""

    def binding(self, env: Environment, task: Any) -> None:
        """Hear that a task is about to be bound to ``env``."""

    def depending(self, env: Environment) -> None:
        """Hear that ``env.depends_on`` is about to be extended."""


_listener: Listener | None = None
_silent: ContextVar[bool] = ContextVar("silent", default=False)


def listen(listener: Listener | None) -> Listener | None:
    """Set who hears declarations (None: nobody) and give who did before."""
    global _listener
    before, _listener = _listener, listener
    return before


def announce(event: str, *args: Any) -> None:
    """Tell the listener, if there is one; ``event`` is the name of the `Listener` method."""
    if is_heard():
        getattr(_listener, event)(*args)


def is_heard() -> bool:
    """Tell whether somebody hears what is declared; in the process of a task nobody does."""
    return _listener is not None and not _silent.get()


@contextmanager
def unannounced() -> Iterator[None]:
    """Let nobody hear what is declared within: a preview, or the check of an edit."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"rename it, for example to {suggest_name(value)!r}")
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"it has {len(value)} characters")
    return value


def suggest_name(value: str) -> str:
    """Give the nearest valid environment name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", value)
    return "-".join(re.findall(r"[a-z0-9]+", spaced.lower()))[:_LONGEST_NAME] or "my-env"


def _description(value: str | None) -> str | None:
    if value is not None and len(value) > _LONGEST_DESCRIPTION:
        _logger.warning("a description of %d characters is cut at %d", len(value), _LONGEST_DESCRIPTION)
        return value[: _LONGEST_DESCRIPTION - len(_CUT)] + _CUT
    return value


def _variables(value: dict[str, str] | None) -> dict[str, str] | None:
    for name in value or ():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not a variable name")
        if "\0" in (value or {})[name]:
            raise ValueError(f"the value of {name!r} holds a NUL character")
    return value


def _include(value: Any) -> Any:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise WrongType(f"a single {type(value).__name__}; write ({value!r},)" if isinstance(value, str) else "")
    items = tuple(value)
    for item in items:
        if isinstance(item, str):
            _path(item)
    return items


def _path(value: str) -> None:
    """Refuse a path that cannot travel with the code, or that nobody means to ship."""
    if not value.strip():
        raise ValueError("an empty path")
    path = posixpath.normpath(value.replace("\\", "/"))
    if path == ".." or path.startswith("../"):
        raise ValueError(f"{value!r} leaves the directory of the declaration")
    if _SYSTEM.match(path):
        raise ValueError(f"{value!r} belongs to the operating system")


def _image(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("an empty URI")
    return value


Name = Annotated[
    str,
    Check(
        _name,
        "lower-case letters and digits in groups joined by single '-' or '_'",
        schema={"pattern": f"^{_NAME.pattern}$", "maxLength": _LONGEST_NAME},
    ),
]
Variables = Annotated[
    dict[str, str] | None,
    Check(_variables, "a dict of variable names to strings, such as {'LOG_LEVEL': 'info'}"),
]
Include = Annotated[tuple[str, ...], Check(_include, "paths as a tuple or list of str", before=True)]
ImageName = Annotated[str | Image | None, Check(_image, "a URI, an Image, or 'auto'")]
Description = Annotated[str | None, Check(_description, "text; cut at 255 characters")]

_Env = TypeVar("_Env", bound="Environment")


class _Announced(type):
    """Announces an environment once the whole of its construction, a subclass's own checks included, has passed."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _declared(super().__call__(*args, **kwargs))

    @property
    def __signature__(cls) -> inspect.Signature:
        """The fields; without this, help and completion would show the parameters of `__call__`."""
        init = inspect.signature(cls.__init__)  # type: ignore[misc]
        return init.replace(parameters=list(init.parameters.values())[1:])


def _declared(env: Any) -> Any:
    env.place = here()
    announce("declared", env)
    return env


@dataclass(repr=False)
class Environment(Declaration, metaclass=_Announced):
    """The infrastructure settings that tasks and apps share.

    Parameters
    ----------
    name : str
        Lower-case letters and digits in groups joined by single ``-`` or ``_``.
    depends_on : list of Environment
        Environments that are deployed with this one, before it.
    pod_template : str or PodTemplate, optional
        Advanced Kubernetes configuration, or the name of a template in the cluster.
    description : str, optional
        Cut at 255 characters.
    secrets : str, Secret or list of these, optional
        Credentials that the code receives.
    env_vars : dict of str to str, optional
        Environment variables of the process that runs the code.
    resources : Resources, optional
        What one execution asks of a machine.
    interruptible : bool
        Whether it may run on machines that can be taken away.
    image : str, Image or "auto"
        What is installed where it runs.
    include : tuple of str
        Extra files that travel with the code, relative to the place of the declaration.
    service_account : str, optional
        The Kubernetes service account it runs as.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts; nothing is registered then.
    """

    name: Name
    depends_on: Annotated[list[Environment], Check(as_list, "list of Environment", before=True)] = field(
        default_factory=list
    )
    pod_template: str | PodTemplate | None = None
    description: Description = None
    secrets: str | Secret | list[str | Secret] | None = None
    env_vars: Variables = None
    resources: Resources | None = None
    interruptible: bool = False
    image: ImageName = "auto"
    include: Include = ()
    service_account: str | None = None
    #: where it was declared
    place: Place = field(init=False, compare=False, default=Place("<unknown>", 0))
    _origin: Origin | None = field(init=False, compare=False, default=None)
    _unwritten: dict[str, Any] = field(init=False, compare=False, default_factory=dict)

    def __repr__(self) -> str:
        shown = [f"name={self.name!r}"]
        if self.depends_on:
            shown.append(f"depends_on=<{len(self.depends_on)}>")
        shown += [f"{change}" for change in _settings(self)]
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def origin(self) -> Origin | None:
        """Whom it was cloned from, and which settings it was given; None where it is no clone."""
        return self._origin

    @property
    def unwritten(self) -> dict[str, Any]:
        """The fields that drafts have changed and the source does not say yet, with what the source gives them."""
        return dict(self._unwritten)

    def to_dict(self) -> dict[str, Any]:
        """Give the declaration as plain JSON data; dependencies are given by name."""
        fields = {name: plain(value) for name, value in set_fields(self) if name != "depends_on"}
        if self.depends_on:
            fields["depends_on"] = [env.name for env in self.depends_on]
        return {"type": type(self).__name__, **fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "description": "the name of an environment"}  # an environment within another

    def _get_declaring_file(self) -> str:
        """Give the file that declared it; for a cell, the module that holds it, written where it is not there yet.

        Raises
        ------
        SliceError
            When something that the cell's declaration reads cannot leave the kernel.
        """
        if self.place.in_cell and place.module_file is not None:
            return place.module_file(self)
        return self.place.file

    @property
    def _declaring_file(self) -> str:
        """The same, under the other of the Flyte SDK's two names."""
        return self._get_declaring_file()

    def _get_kwargs(self) -> dict[str, Any]:
        """Give the fields that are set, under the Flyte SDK's name."""
        optional = ("resources", "secrets", "service_account", "env_vars", "pod_template", "description")
        given = {name: getattr(self, name) for name in optional if getattr(self, name) is not None}
        include = {"include": self.include} if self.include else {}
        return {"depends_on": list(self.depends_on), "image": self.image, **given, **include}

    def clone_with(self, *args: Any, **kwargs: Any) -> Environment:
        """Make a new environment that inherits the settings of this one; each kind of environment has its own.

        Raises
        ------
        NotImplementedError
            On Environment itself.
        """
        raise NotImplementedError(f"{type(self).__name__} has no clone_with; a TaskEnvironment has, and an app has")

    def add_dependency(self, *env: Environment) -> None:
        """Make this environment depend on others; one that is there already is not added again.

        Raises
        ------
        DeclarationTypeError
            When one of them is not an Environment.
        DeclarationValueError
            When one of them is this environment.
        """
        for one in env:
            if not isinstance(one, Environment):
                raise refuse_type(self, "add_dependency", one, "Environment")
            if one is self or one.name == self.name:
                raise refuse(self, "add_dependency", one.name, "another environment", "it is this environment itself")
        new = [one for i, one in enumerate(env) if not any(one is o for o in [*self.depends_on, *env[:i]])]
        if new:
            announce("depending", self)
            self.depends_on.extend(new)
            self._origin = self._origin and self._origin.changed("depends_on")


def _settings(env: Environment) -> list[str]:
    from flyte_nb.environments.declaration import mask

    return [f"{name}={mask(name, value)}" for name, value in set_fields(env) if name not in ("name", "depends_on")]


def overrides_in(arguments: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Give the field values among the arguments of a ``clone_with``: its ``locals()``, and what a subclass added."""
    others = ("self", "name", "reset", "own", "__class__")
    return {**{name: value for name, value in arguments.items() if name not in others}, **own}


def clone(env: _Env, name: str, overrides: dict[str, Any], reset: Iterable[str] = ()) -> _Env:
    """Make the clone behind every ``clone_with``: a new, announced environment of the same class.

    Parameters
    ----------
    env : Environment
        What is cloned; it stays as it is and shares nothing mutable with the clone.
    name : str
        The clone's name.
    overrides : dict
        Field values; None keeps the value of ``env``.
    reset : iterable of str
        Fields that go back to their default.

    Raises
    ------
    DeclarationValueError
        When ``reset`` names a field that does not exist, is required, or is overridden at the same time.
    TypeError
        When ``overrides`` names a field that does not exist, whatever value it gives.
    """
    fields = {f.name: f for f in dataclasses.fields(env) if f.init}
    if unknown := [key for key in overrides if key not in fields]:
        raise TypeError(
            f"clone_with() got an unexpected keyword argument {unknown[0]!r}; accepted: {', '.join(fields)}"
        )
    values = {key: own_copy(getattr(env, key), fields[key].metadata) for key in fields}
    optional = {key: f for key, f in fields.items() if _has_default(f)}
    given = {key: value for key, value in overrides.items() if value is not None}
    cleared = [reset] if isinstance(reset, str) else list(reset)
    for key in cleared:
        if key not in optional:
            raise refuse(env, "clone_with(reset=)", key, ", ".join(optional))
        if key in given:
            raise refuse(env, "clone_with(reset=)", key, "a field that is not given a value in the same call")
        default = optional[key]
        values[key] = default.default_factory() if callable(default.default_factory) else default.default
    kind: Any = type(env)
    made = type.__call__(kind, **{**values, **given, "name": name})  # announced when it knows where it comes from
    made._origin = Origin(env.name, frozenset(given), frozenset(cleared), env._origin)
    return cast("_Env", _declared(made))


def _has_default(declared: dataclasses.Field[Any]) -> bool:
    return declared.default is not dataclasses.MISSING or declared.default_factory is not dataclasses.MISSING


def own_copy(value: Any, metadata: Mapping[str, Any]) -> Any:
    """Copy a field value for another environment; environments inside and "shared" fields stay the same objects."""
    if metadata.get("shared"):
        return value
    if isinstance(value, list):
        return [item if isinstance(item, Environment) else copy.deepcopy(item) for item in value]
    return copy.deepcopy(value)
