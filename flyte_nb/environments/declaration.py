"""Declaration: what every declared object shares — checked fields, canonical forms, a safe repr.

Each declared class is a plain dataclass that inherits from `Declaration`. Its fields are annotated with the types
they accept; `Check` adds what a type cannot say. All of it is checked in one place, `Declaration.__post_init__`,
which user subclasses made with ``@dataclass`` pass through too.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, NamedTuple

from flyte_nb.environments.shapes import shape_of
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError

_OWN = __name__.rpartition(".")[0].partition(".")[0] + "."  # "flyte_nb."
_LONGEST = 80
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
#: set while a declaration is read from its JSON form: whoever declared it has been warned already
reading: ContextVar[bool] = ContextVar("reading", default=False)


class WrongType(ValueError):  # noqa: N818 - the reason, not the error
    """Raised by a rule for a value of the wrong type; it reaches the user as a `DeclarationTypeError`."""


@dataclasses.dataclass(frozen=True)
class Check:
    """A rule beside a type, in ``Annotated[type, Check(...)]``.

    Parameters
    ----------
    rule : callable
        Takes the value and returns it, converted where the field converts. Raises ``ValueError`` for a wrong
        value and `WrongType` for a wrong type, with the reason as message.
    accepted : str
        What the field accepts, in words; shown in the error and as the description in the JSON Schema.
    before : bool
        Run the rule before the type is checked, to convert (an ``int`` to a ``timedelta``, a list to a tuple).
    schema : mapping
        Facts for the JSON Schema: ``pattern``, ``minimum``, ``examples`` …
    """

    rule: Callable[[Any], Any]
    accepted: str
    before: bool = False
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        wrap = (
            core_schema.no_info_before_validator_function
            if self.before
            else core_schema.no_info_after_validator_function
        )
        return wrap(self.rule, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        return {**handler(schema), "description": self.accepted, **self.schema}


def as_list(value: Any) -> Any:
    """Turn a tuple into a list, for fields that are lists; anything else is left to the type check."""
    return list(value) if isinstance(value, tuple) else value


class Change(NamedTuple):
    """One difference between two declarations: the field and its values before and after."""

    field: str
    before: Any
    after: Any


class Declaration:
    """The base of every declared object: inert, equal by value, checked when it is made.

    Raises
    ------
    DeclarationError
        From the constructor, when a field is not what it accepts: a ``TypeError`` for a wrong type, a
        ``ValueError`` for a wrong value. The message names the field, what was given and what is accepted.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__repr__" not in cls.__dict__:  # a user's ``@dataclass`` would put one in its place that masks nothing
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]
        if pretty := getattr(cls, "_repr_pretty_", None):  # IPython asks each class for both, one after the other
            cls._repr_pretty_ = pretty  # type: ignore[attr-defined]

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        shown = (f"{name}={mask(name, value)}" for name, value in set_fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_dict(self) -> dict[str, Any]:
        """Give the declaration as plain JSON data: its type and every field that is not at its default."""
        return {"type": type(self).__name__, **{name: plain(value) for name, value in set_fields(self)}}

    def to_json(self) -> str:
        """Give the canonical JSON: sorted keys, no spaces, the same bytes for equal declarations."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """Give the SHA-256 of the canonical JSON, in hex; stable across processes and Python versions."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def diff(self, other: Declaration) -> list[Change]:
        """List the fields in which ``other`` differs from this declaration, in declared order.

        Parameters
        ----------
        other : Declaration
            The later declaration.
        """
        ours, theirs = all_fields(self), all_fields(other)
        return [
            Change(name, ours.get(name), theirs.get(name))
            for name in {**ours, **theirs}
            if not same(ours.get(name), theirs.get(name))
        ]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        from flyte_nb.environments import forms

        return forms.json_schema(cls)


def check_fields(declared: Declaration) -> None:
    """Check every field of ``declared`` and store the converted values.

    Raises
    ------
    DeclarationError
        For the first field that is not what it accepts.
    """
    from pydantic import ValidationError

    for name, validate, accepted in checks(typing.cast("Any", type(declared))):
        value = getattr(declared, name)
        try:
            checked = validate(value)
        except ValidationError as error:
            raise refusal(f"{type(declared).__name__}.{name}", value, accepted, error) from None
        if checked is not value:
            object.__setattr__(declared, name, checked)


def refuse(declared: Declaration | type, field: str, given: Any, accepted: str, reason: str = "") -> DeclarationError:
    """Make the error for a wrong value that no single field can see, such as two fields that exclude each other."""
    kind = declared if isinstance(declared, type) else type(declared)
    return DeclarationValueError(f"{kind.__name__}.{field}", mask(field, given), accepted, reason)


def refuse_type(
    declared: Declaration | type, field: str, given: Any, accepted: str, reason: str = ""
) -> DeclarationError:
    """Make the error for a value of the wrong type, where no field's own check applies (a method's argument)."""
    kind = declared if isinstance(declared, type) else type(declared)
    return DeclarationTypeError(f"{kind.__name__}.{field}", mask(field, given), accepted, reason)


def refusal(field: str, value: Any, accepted: str, error: Any) -> DeclarationError:
    """Translate pydantic's list of errors into the one that helps."""
    wrong_value, reasons = False, []
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        reason = getattr(cause, "reason", "") or str(cause)  # a rule may make an inner declaration, which says why
        if isinstance(cause, WrongType | TypeError) or (cause is None and _is_type_error(detail["type"])):
            reasons.append(reason if cause is not None else _where(detail, value))
        else:
            wrong_value = True
            reasons.insert(0, reason if cause is not None else detail["msg"])
    kind = DeclarationValueError if wrong_value else DeclarationTypeError
    return kind(field, mask(field, value), accepted, reasons[0])


def _where(detail: Mapping[str, Any], value: Any) -> str:
    """Word which part of a value has the wrong type: the whole of it, or an item of a list or a dict."""
    keys = [key for key in detail["loc"] if isinstance(value, Mapping | list | tuple) and _has(value, key)]
    if keys:
        return f"item {keys[0]!r} is of type {type(detail['input']).__name__}"
    return f"it is of type {type(value).__name__}"


def _has(value: Any, key: Any) -> bool:
    return key in value if isinstance(value, Mapping) else isinstance(key, int) and key < len(value)


def _is_type_error(code: str) -> bool:
    return code.endswith("_type") or code in (
        "is_instance_of",
        "is_subclass_of",
        "callable_type",
        "none_required",
    )


@functools.lru_cache(maxsize=512)
def checks(kind: type[Declaration]) -> tuple[tuple[str, Callable[[Any], Any], str], ...]:
    """Compile one validator a field, for the fields that this package declares."""
    from pydantic import ConfigDict, TypeAdapter

    strict = ConfigDict(strict=True, arbitrary_types_allowed=True)
    checks = []
    for name, annotation in field_types(typing.cast("Any", kind)).items():
        bare = typing.get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
        config = None if dataclasses.is_dataclass(bare) else strict
        validate = TypeAdapter(annotation, config=config).validator.validate_python
        checks.append((name, validate, accepted_by(annotation)))
    return tuple(checks)


@functools.lru_cache(maxsize=512)
def field_types(kind: type[Declaration]) -> dict[str, Any]:
    """Give the annotation of each constructor field of a declared class that this package declares itself."""
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith(_OWN) and dataclasses.is_dataclass(base):
            hints.update(typing.get_type_hints(base, include_extras=True))
    wanted = {f.name for f in dataclasses.fields(typing.cast(Any, kind)) if f.init}
    return {name: hint for name, hint in hints.items() if name in wanted}


def accepted_by(annotation: Any) -> str:
    """Word what an annotation accepts: the text of its `Check`, else the names of its types."""
    for extra in reversed(getattr(annotation, "__metadata__", ())):
        if isinstance(extra, Check):
            return extra.accepted
    if hasattr(annotation, "__metadata__"):
        return accepted_by(typing.get_args(annotation)[0])
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(repr(a) for a in args)
    if origin is not None and str(origin) in ("typing.Union", "<class 'types.UnionType'>"):
        return " or ".join(dict.fromkeys(accepted_by(a) for a in args))
    if origin in (list, set, frozenset) and args:
        return f"{origin.__name__} of {accepted_by(args[0])}"
    if annotation is type(None):
        return "None"
    return annotation.__name__ if isinstance(annotation, type) and not args else str(annotation).replace("typing.", "")


def all_fields(declared: Declaration) -> dict[str, Any]:
    """Give the compared fields of a declaration by name."""
    return {f.name: getattr(declared, f.name) for f in dataclasses.fields(typing.cast(Any, declared)) if f.compare}


def set_fields(declared: Declaration) -> Iterator[tuple[str, Any]]:
    """Give the fields that are not at their default."""
    for name, default, make in _defaults(typing.cast("Any", type(declared))):
        value = getattr(declared, name)
        default = make() if callable(make) and value is not default else default
        if isinstance(value, timedelta) and type(default) is int:  # a duration's default is written in seconds
            default = timedelta(seconds=default)
        if value is not default and (default is dataclasses.MISSING or not same(value, default)):
            yield name, value


@functools.lru_cache(maxsize=512)
def _defaults(kind: Any) -> tuple[tuple[str, Any, Any], ...]:
    """Give the compared fields of a class, each with its default and what makes one."""
    return tuple((f.name, f.default, f.default_factory) for f in dataclasses.fields(kind) if f.compare)


def same(one: Any, other: Any) -> bool:
    """Compare two field values; an object that cannot be compared is never the same."""
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # a stranger's __eq__ (an array, a client's model) may raise or answer with an array
        return False


def plain(value: Any) -> Any:
    """Turn a field value into JSON data, one way for every declaration."""
    if value is None or isinstance(value, str | bool | int | float):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Declaration):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=repr)
    return _plain_other(value)


def _plain_other(value: Any) -> Any:
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if callable(getattr(value, "to_dict", None)) and not isinstance(value, type):
        return plain(value.to_dict())  # the kubernetes client's models
    if hasattr(value, "__qualname__"):  # a class or a function; a callable object has none
        return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        return {
            "type": type(value).__name__,
            **{f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)},
        }
    return stable_repr(value)


def stable_repr(value: Any) -> str:
    """Give the repr of a value without addresses in memory, so that it is the same in every process."""
    return _ADDRESS.sub("", _safe_repr(value))


_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)|(^|[_\-.])(pass|pwd|secret|token|credentials?|(api|access|private|secret)?_?key|auth|dsn)s?($|[_\-.\d])"
)
_SECRET_VALUE = re.compile(
    r"^(sk-|ghp_|gho_|github_pat_|xox[abp]-|AKIA|ASIA|eyJ[\w-]+\.eyJ|-----BEGIN )|://[^/\s:@]+:[^/\s@]+@"
)
HIDDEN = "'********'"


def looks_secret(name: str, value: Any = None) -> bool:
    """Tell whether a variable's name or value looks like a secret, so that it is never shown."""
    return bool(_SECRET_NAME.search(name)) or (isinstance(value, str) and bool(_SECRET_VALUE.search(value)))


def mask(name: str, value: Any) -> str:
    """Give a short repr of a field's value, with anything that looks like a secret hidden."""
    if isinstance(value, str) and value and name.rpartition(".")[2] != "secrets" and looks_secret("", value):
        return HIDDEN
    if isinstance(value, Mapping):
        items = [f"{k!r}: {_mask_item(k, v)}" for k, v in list(value.items())[:20]]
        return "{" + ", ".join(items) + (", …" if len(value) > len(items) else "") + "}"
    if isinstance(value, list | tuple) and any(isinstance(v, str) and looks_secret("", v) for v in value):
        return f"[{', '.join(mask('', v) for v in value[:5])}{', …' if len(value) > 5 else ''}]"
    if isinstance(value, list | tuple) and len(value) > 6:
        return f"[{', '.join(_mask_item('', v) for v in value[:5])}, … {len(value)} in all]"
    if type(value) in (list, tuple) and any(looks_secret("", v) for v in value):
        return f"[{', '.join(_mask_item('', v) for v in value)}]"
    return shorten(value)


def _mask_item(name: Any, value: Any) -> str:
    """Mask one item of a container; a container in it is shown only as far as it is no secret's place."""
    if looks_secret(str(name), value):
        return HIDDEN
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_hidden_or(k, v)}" for k, v in list(value.items())[:20]) + "}"
    return shorten(value)


def _hidden_or(name: Any, value: Any) -> str:
    return HIDDEN if looks_secret(str(name), value) else shorten(value)


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a stranger's __repr__
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def mask_inputs(inputs: Mapping[str, Any]) -> str:
    """Give the inputs of a run on one line, with those hidden whose name or value looks like a secret."""
    return ", ".join(f"{n}={HIDDEN if looks_secret(n, v) else mask(n, v)}" for n, v in inputs.items())


def shorten(value: Any, longest: int = _LONGEST) -> str:
    """Give the repr of a value, cut in the middle of nowhere but never long."""
    if name := getattr(value, "name", None) if type(value).__name__.endswith("Environment") else None:
        return f"{type(value).__name__}({name!r})"
    if isinstance(value, list) and value and type(value[0]).__name__.endswith("Environment"):
        return "[" + ", ".join(shorten(v) for v in value) + "]"
    text = shape_of(value) or _safe_repr(value)
    return text if len(text) <= longest or isinstance(value, Declaration) else text[: longest - 1] + "…"
