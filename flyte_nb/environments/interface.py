"""NativeInterface: the inputs and outputs of a task, with their types, read from its signature."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_nb.environments.annotations import EMPTY, describe
from flyte_nb.environments.declaration import stable_repr
from flyte_nb.environments.values import check_value
from flyte_nb.errors import InputError, ParameterError, suggestion

__all__ = ["EMPTY", "NativeInterface", "check_value", "describe", "parse"]


class _HasDefault:
    """The mark of an input whose default is known elsewhere."""


@dataclass(frozen=True)
class NativeInterface:
    """The inputs and outputs of a task.

    Parameters
    ----------
    inputs : dict
        Name to ``(type, default)``; ``inspect.Parameter.empty`` for no default.
    outputs : dict
        Name to type; the names are ``o0``, ``o1`` … unless a NamedTuple gives them.
    docstring : str
        The task's own description.
    """

    inputs: dict[str, tuple[Any, Any]]
    outputs: dict[str, Any]
    docstring: str = ""

    has_default: typing.ClassVar[type] = _HasDefault

    @classmethod
    def from_callable(cls, func: Callable[..., Any]) -> NativeInterface:
        """Read the interface of a function.

        Raises
        ------
        ValueError
            For ``*args``, ``**kwargs`` and positional-only parameters: the inputs of a task are passed by name.
        TypeError
            For a tuple of one or of any number of items as the return annotation.
        NameError
            For an annotation that names what does not exist.
        """
        hints = {name: _enumerated(kind) for name, kind in typing.get_type_hints(func).items()}
        inputs = {}
        for name, parameter in inspect.signature(func).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ValueError(
                    f"{func.__qualname__}: given {parameter}; "
                    "accepted: named inputs, since *args and **kwargs have no names"
                )
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise ValueError(
                    f"{func.__qualname__}: given {name!r} before '/'; "
                    "accepted: named inputs, since they are passed by name"
                )
            inputs[name] = (_with_none(hints.get(name, EMPTY), parameter.default), parameter.default)
        return cls(inputs, _outputs(hints.get("return")), inspect.getdoc(func) or "")

    @classmethod
    def from_types(
        cls, inputs: Mapping[str, Any], outputs: Mapping[str, Any], default_inputs: Mapping[str, Any] | None = None
    ) -> NativeInterface:
        """Make an interface from types.

        Parameters
        ----------
        inputs : mapping
            Name to type, or to ``(type, default)``; the default `has_default` stands for one in ``default_inputs``.
        outputs : mapping
            Name to type.
        default_inputs : mapping, optional
            The defaults known elsewhere.

        Raises
        ------
        ValueError
            For a `has_default` without its entry in ``default_inputs``.
        """
        made = {}
        for name, given in inputs.items():
            kind, default = given if isinstance(given, tuple) else (given, EMPTY)
            if default is cls.has_default:
                if name not in (default_inputs or {}):
                    raise InputError(
                        f"input {name!r} is marked as having a default; accepted: its value in default_inputs"
                    )
                default = (default_inputs or {})[name]
            made[name] = (kind, default)
        return cls(made, dict(outputs))

    def json_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the inputs: an object, those without default required."""
        properties = {name: _schema(kind) for name, (kind, _) in self.inputs.items()}
        return {"type": "object", "properties": properties, "required": self.required_inputs()}

    def required_inputs(self) -> list[str]:
        """List the inputs without a default."""
        return [name for name, (_, default) in self.inputs.items() if default is EMPTY]

    def num_required_inputs(self) -> int:
        """Count the inputs without a default."""
        return len(self.required_inputs())

    def has_outputs(self) -> bool:
        """Tell whether the task returns anything."""
        return bool(self.outputs)

    def get_input_types(self) -> dict[str, Any]:
        """Give the type of each input."""
        return {name: kind for name, (kind, _) in self.inputs.items()}

    def convert_to_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Bind arguments to inputs, as Python binds them to parameters.

        Raises
        ------
        InputError
            For too many, missing, unknown or doubly given inputs.
        """
        if len(args) > len(self.inputs):
            raise InputError(f"given {len(args)} positional inputs; accepted: {self._listed()}")
        bound = dict(zip(self.inputs, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.inputs:
                raise InputError(f"unknown input {name!r}; accepted: {self._listed()}")
            if name in bound:
                raise InputError(f"input {name!r} is given twice, by position and by name")
            bound[name] = value
        return bound

    def complete(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Bind arguments to inputs and insist on those without a default.

        Raises
        ------
        InputError
            As `convert_to_kwargs`, and for a missing input.
        """
        bound = self.convert_to_kwargs(*args, **kwargs)
        missing = [name for name in self.required_inputs() if name not in bound]
        if missing:
            raise InputError(f"missing input {', '.join(map(repr, missing))}; accepted: {self._listed()}")
        return bound

    def parse(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Read inputs from text, as a command line or a magic gives them.

        Raises
        ------
        ParameterError
            For an unknown input or a text that is not a value of its type.
        """
        return {name: self._parse_one(name, text) for name, text in texts.items()}

    def _parse_one(self, name: str, text: str) -> Any:
        if name not in self.inputs:
            raise ParameterError(f"unknown input {name!r}; accepted: {self._listed()}")
        kind = self.inputs[name][0]
        try:
            return parse(text, kind)
        except ValueError as error:
            raise ParameterError(
                f"input {name!r}: given {text!r}; accepted: {describe(kind)} ({_first_line(error)})"
            ) from None

    def _listed(self) -> str:
        return str(self) if self.inputs else "no inputs"

    def __repr__(self) -> str:
        inputs = ", ".join(_input(name, kind, default, _named, str) for name, (kind, default) in self.inputs.items())
        kinds = [f"{name}: {_named(kind)}" for name, kind in self.outputs.items()]
        outputs = {0: "", 1: f" -> {''.join(kinds)}"}.get(len(kinds), f" -> ({', '.join(kinds)})")
        return f"({inputs}){outputs}:"

    def __str__(self) -> str:
        inputs = ", ".join(
            _input(name, kind, default, describe, stable_repr) for name, (kind, default) in self.inputs.items()
        )
        kinds = [describe(kind) for kind in self.outputs.values()]
        outputs = {0: "None", 1: "".join(kinds)}.get(len(kinds), f"({', '.join(kinds)})")
        return f"({inputs}) -> {outputs}"


def _input(name: str, kind: Any, default: Any, word: Callable[[Any], str], show: Callable[[Any], str]) -> str:
    text = name if kind is EMPTY else f"{name}: {word(kind)}"
    return text if default is EMPTY else f"{text} = {show(default)}"


def _named(kind: Any) -> str:
    """Name a type as the Flyte SDK's reprs do: a class by its name, any other by its repr."""
    return (
        kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else "Any" if kind is Any else repr(kind)
    )


def _with_none(kind: Any, default: Any) -> Any:
    """Let None pass where it is the default, as in ``x: int = None``."""
    if default is not None or kind is EMPTY or kind is Any or type(None) in typing.get_args(kind):
        return kind
    return typing.Optional[kind]  # noqa: UP045 - a kind may be a text, which has no "|"


def _enumerated(kind: Any) -> Any:
    """Turn a Literal of strings into an Enum class, as in the Flyte SDK; other Literals accept anything."""
    if typing.get_origin(kind) is not typing.Literal:
        return kind
    words = typing.get_args(kind)
    return enum.Enum("LiteralEnum", {word: word for word in words}) if all(isinstance(w, str) for w in words) else Any


def _schema(kind: Any) -> dict[str, Any]:
    """Give the JSON Schema of one type; of any object where pydantic knows no rule for it."""
    from pydantic.errors import PydanticInvalidForJsonSchema

    if kind is EMPTY or kind is Any:
        return {}
    unknown: tuple[type[Exception], ...] = (*_no_rules(), PydanticInvalidForJsonSchema)
    try:
        return dict(_adapter(kind).json_schema())
    except unknown:
        return {"description": describe(kind)}


def _outputs(annotation: Any) -> dict[str, Any]:
    if annotation in (None, type(None), EMPTY):
        return {}
    if isinstance(annotation, tuple):  # a bare tuple of types
        kinds = list(annotation)
        if len(kinds) < 2:
            raise TypeError(f"return annotation: given {annotation!r}; accepted: the type itself")
    elif isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return dict(typing.get_type_hints(annotation))
    elif typing.get_origin(annotation) is tuple:
        kinds = list(typing.get_args(annotation))
        if len(kinds) == 1 or Ellipsis in kinds:
            raise TypeError(
                f"return annotation: given {describe(annotation)}; accepted: a type, or a tuple of two or more types"
            )
    else:
        return {"o0": annotation}
    return {f"o{i}": kind for i, kind in enumerate(kinds)}


def parse(text: str, kind: Any) -> Any:
    """Read one value of a type from text: itself for a str, else JSON, else what pydantic makes of the words.

    Raises
    ------
    ValueError
        When the text is not a value of the type.
    """
    from pydantic import ValidationError

    if kind is str:
        return text
    if kind is EMPTY or kind is Any:
        return _json_or_text(text)
    try:
        adapter = _adapter(kind)
        try:
            made = adapter.validate_json(text)
        except ValidationError:
            member = _member(text, kind)
            return adapter.validate_python(text) if member is None else member
        _refuse_unknown(text, kind)
        return made
    except _no_rules() as error:
        raise ValueError(f"a {describe(kind)} cannot be written as text") from error


def _member(text: str, kind: Any) -> Any:
    """Give the member of an enumeration, or of one among other types, that has a name; None for none."""
    kinds = [one for one in (kind, *typing.get_args(kind)) if isinstance(one, type) and issubclass(one, enum.Enum)]
    return next((one.__members__[text] for one in kinds if text in one.__members__), None)


def _refuse_unknown(text: str, kind: Any) -> None:
    """Refuse what a dataclass has no field for: pydantic leaves it out in silence, and a typo with it."""
    if not dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__"):
        return
    given, fields = json.loads(text), [field.name for field in dataclasses.fields(kind) if field.init]
    unknown = [name for name in given if name not in fields] if isinstance(given, dict) else []
    if unknown:
        raise ValueError(f"there is no field {unknown[0]!r}; {suggestion(unknown[0], fields)}")


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _adapter(kind: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(kind, config=None if _has_config(kind) else ConfigDict(arbitrary_types_allowed=True))


def _no_rules() -> tuple[type[Exception], ...]:
    """Give what pydantic raises for a type that it knows no rule for."""
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    return PydanticUserError, PydanticUndefinedAnnotation, SyntaxError, NameError


def _has_config(kind: Any) -> bool:
    return isinstance(kind, type) and (
        hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__pydantic_fields__") or hasattr(kind, "__total__")
    )


def _first_line(error: Exception) -> str:
    """Give pydantic's own sentence, without its heading and its link."""
    errors = getattr(error, "errors", None)
    return str(errors(include_url=False)[0]["msg"]) if callable(errors) else str(error)
