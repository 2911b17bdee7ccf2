"""Cache: whether a task's outputs are kept, and what makes a kept output valid."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from flyte_nb.environments.declaration import Check, Declaration, WrongType, plain, refuse
from flyte_nb.environments.durations import ACCEPTED, Duration, optional_duration
from flyte_nb.environments.function_body import FunctionBodyPolicy, VersionParameters
from flyte_nb.errors import suggestion

__all__ = [
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "FunctionBodyPolicy",
    "VersionParameters",
    "cache_from_request",
]

BEHAVIORS = ("auto", "override", "disable")
_ALIASES = {
    **dict.fromkeys(("enable", "enabled", "on", "true", "yes"), "auto"),
    **dict.fromkeys(("off", "false", "no", "none"), "disable"),
}
_ACCEPTEDBEHAVIORS = f"one of {', '.join(map(repr, BEHAVIORS))} (or, in any case, {', '.join(sorted(_ALIASES))})"


@runtime_checkable
class CachePolicy(Protocol):
    """Gives a part of a cache version; any object with this method is one."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """Give a string that changes whenever a kept output is not valid any more."""
        ...


def _behavior(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongType(f"it is of type {type(value).__name__}")
    known = _ALIASES.get(value.lower(), value)
    if known not in BEHAVIORS:
        raise ValueError(suggestion(value, [*BEHAVIORS, *_ALIASES]))
    return known


def _ignored(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _policies(value: Any) -> list[CachePolicy] | None:
    if value is None:
        return None
    items = list(value) if isinstance(value, list | tuple) else [value]
    for item in items:
        if isinstance(item, type) or not isinstance(item, CachePolicy):
            raise WrongType(f"{item!r} has no get_version() of its own" if not isinstance(item, type) else "a class")
    return items


@dataclass(repr=False)
class Cache(Declaration):
    """Whether a task's outputs are kept, and what makes a kept output valid.

    Parameters
    ----------
    behavior : {"auto", "override", "disable"}
        Use kept outputs; compute again and keep the new ones; neither. Also "on", "true" and "yes" for "auto",
        "off", "false", "no" and "none" for "disable"; these words in any case.
    version_override : str, optional
        The version, in the place of one from the policies.
    serialize : bool
        Let one of several equal executions compute and the others wait for its outputs.
    ignored_inputs : str or tuple of str
        Inputs that do not count; kept as given (a list as a tuple).
    salt : str
        Goes into the version of every policy.
    policies : CachePolicy or list of CachePolicy, optional
        What versions come from; the function's body by default.
    max_age : int or timedelta, optional
        Seconds that a kept output stays valid. Kept as a timedelta.

    Notes
    -----
    A task without ``cache=`` has the behavior of its environment, which is "disable" unless it says otherwise.
    """

    behavior: Annotated[str, Check(_behavior, _ACCEPTEDBEHAVIORS, before=True, schema={"enum": list(BEHAVIORS)})]
    version_override: str | None = None
    serialize: bool = False
    ignored_inputs: Annotated[
        tuple[str, ...] | str,
        Check(_ignored, "the name of an input, or a tuple of names", before=True),
    ] = ()
    salt: str = ""
    policies: Annotated[
        list[CachePolicy] | CachePolicy | None,
        Check(_policies, "a CachePolicy or a list of them: objects with get_version(salt, params)", before=True),
    ] = None
    max_age: Annotated[Duration | None, Check(optional_duration, f"{ACCEPTED}, not negative")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.is_enabled():
            return
        if self.policies is None:
            self.policies = [FunctionBodyPolicy()]
        if not self.policies and self.version_override is None:
            raise refuse(self, "policies", self.policies, "at least one policy, or a version_override")

    def to_dict(self) -> dict[str, Any]:
        """Give the declaration as plain JSON data; a policy that is no dataclass is given by its class."""
        fields = super().to_dict()
        if "policies" in fields:
            fields["policies"] = [plain(p if dataclasses.is_dataclass(p) else type(p)) for p in self._policy_list()]
        return fields

    def is_enabled(self) -> bool:
        """Whether outputs are kept."""
        return self.behavior != "disable"

    def get_ignored_inputs(self) -> tuple[str, ...]:
        """Give the names of the inputs that do not count, always as a tuple."""
        return (self.ignored_inputs,) if isinstance(self.ignored_inputs, str) else self.ignored_inputs

    def get_version(self, params: VersionParameters | None = None) -> str:
        """Give the version that a kept output must have to be valid.

        Parameters
        ----------
        params : VersionParameters, optional
            What the policies look at; not needed with a ``version_override`` or when disabled.

        Returns
        -------
        str
            Empty when disabled; the override; the version of a pickled code bundle; else a digest of what the
            policies give.

        Raises
        ------
        DeclarationValueError
            When ``params`` is needed and missing, or when a policy raises.
        """
        if not self.is_enabled():
            return ""
        if self.version_override is not None:
            return self.version_override
        if params is None:
            raise refuse(self, "get_version(params)", None, "VersionParameters", "there is no version_override")
        if getattr(params.code_bundle, "pkl", None):  # a pickle's own version covers all that the policies see
            return str(params.code_bundle.computed_version)
        versions = [self._version_of(policy, params) for policy in self._policy_list()]
        return hashlib.sha256(json.dumps(versions).encode()).hexdigest()

    def _policy_list(self) -> list[CachePolicy]:
        return self.policies if isinstance(self.policies, list) else [self.policies] if self.policies else []

    def _version_of(self, policy: CachePolicy, params: VersionParameters) -> str:
        try:
            version = policy.get_version(self.salt, params)
        except Exception as error:  # a policy is the user's code: whatever it raises means that there is no version
            raise refuse(self, "policies", policy, "policies that give a version", f"it raised {error!r}") from error
        if not isinstance(version, str):
            raise refuse(self, "policies", policy, "policies that give a str", f"it gave {version!r}")
        return version


CacheRequest = Literal["auto", "override", "disable"] | Cache


def cache_from_request(request: CacheRequest) -> Cache:
    """Give what a ``cache=`` argument asks for; a given Cache stays the same object.

    Raises
    ------
    DeclarationError
        When it is neither a Cache nor the name of a behavior.
    """
    return request if isinstance(request, Cache) else Cache(behavior=request)
