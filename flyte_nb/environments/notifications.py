"""Notifications: whom to tell, and how, when a run reaches a phase that it does not leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from flyte_nb.environments.declaration import HIDDEN, Check, Declaration, WrongType, mask, set_fields
from flyte_nb.environments.phases import ActionPhase
from flyte_nb.environments.texts import Text, not_empty

__all__ = ["Email", "NamedDelivery", "NamedRule", "Notification", "Slack", "Teams", "Webhook"]

_PHASES = (ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.ABORTED, ActionPhase.TIMED_OUT)
_CREDENTIALS = {"webhook_url", "url", "headers"}  # whoever has these can post

# The platform fills in what stands in braces.
_SUBJECT = "{{.Run.Name}}: {{.Phase}}"
_MESSAGE = "{{.Run.Name}} in {{.Run.Project}}/{{.Run.Domain}}: {{.Phase}}\n{{.Error}}"
_BODY = {
    "run": "{{.Run.Name}}",
    "project": "{{.Run.Project}}",
    "domain": "{{.Run.Domain}}",
    "phase": "{{.Phase}}",
    "error": "{{.Error}}",
}


def _items(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise WrongType(f"a single {type(value).__name__}; write ({value!r},)")
    return tuple(value)


def _optional_items(value: Any) -> tuple[Any, ...] | None:
    return None if value is None else _items(value)


def _phases(value: Any) -> tuple[ActionPhase, ...]:
    given = (value,) if isinstance(value, str) else _items(value)
    if any(not isinstance(phase, str) for phase in given):
        raise WrongType("something in it is not an ActionPhase")
    phases = tuple(ActionPhase(phase) for phase in given)
    if not phases:
        raise ValueError("there is no phase")
    for phase in phases:
        if phase not in _PHASES:
            raise ValueError(f"{phase.value!r} is not such a phase")
    return phases


_Names = Annotated[tuple[str, ...], Check(_items, "a tuple or list of str", before=True)]
_Blocks = Annotated[tuple[dict[str, Any], ...] | None, Check(_optional_items, "a tuple or list of dicts", before=True)]
_Json = dict[str, Any] | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Notification(Declaration):
    """Tell somebody that a run reached a phase; the base of the ways to do so.

    Parameters
    ----------
    on_phase : ActionPhase or several
        SUCCEEDED, FAILED, ABORTED or TIMED_OUT. Kept as a tuple.
    """

    on_phase: Annotated[
        ActionPhase | tuple[ActionPhase, ...],
        Check(_phases, "one or several of " + ", ".join(phase.name for phase in _PHASES), before=True),
    ]

    def __repr__(self) -> str:
        shown = (f"{name}={HIDDEN if name in _CREDENTIALS else mask(name, v)}" for name, v in set_fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Email(Notification):
    """Tell somebody by e-mail.

    Parameters
    ----------
    recipients : tuple of str
        Addresses; at least one.
    cc, bcc : tuple of str
        Further addresses.
    subject, body : str
        The text; ``{{.Run.Name}}``, ``{{.Phase}}`` and ``{{.Error}}`` are filled in.
    html_body : str, optional
        The same as HTML.
    """

    recipients: Annotated[_Names, Check(not_empty, "a tuple or list of addresses, at least one")]
    cc: _Names = ()
    bcc: _Names = ()
    subject: str = _SUBJECT
    body: str = _MESSAGE
    html_body: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Slack(Notification):
    """Tell a Slack channel.

    Parameters
    ----------
    webhook_url : str
        The channel's incoming webhook; never shown.
    message : str, optional
        The text; a short one when there are no blocks either.
    blocks : tuple of dict, optional
        Slack's blocks, in the place of a text.
    """

    webhook_url: Text
    message: str | None = None
    blocks: _Blocks = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.message is None and self.blocks is None:
            object.__setattr__(self, "message", _MESSAGE)


@dataclass(frozen=True, kw_only=True, repr=False)
class Teams(Notification):
    """Tell a Microsoft Teams channel.

    Parameters
    ----------
    webhook_url : str
        The channel's incoming webhook; never shown.
    title : str
        The heading.
    message : str, optional
        The text; a short one when there is no card either.
    card : dict, optional
        An adaptive card, in the place of a text.
    """

    webhook_url: Text
    title: str = _SUBJECT
    message: str | None = None
    card: _Json = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.message is None and self.card is None:
            object.__setattr__(self, "message", _MESSAGE)


@dataclass(frozen=True, kw_only=True, repr=False)
class Webhook(Notification):
    """Send a request to any URL.

    Parameters
    ----------
    url : str
        Where to; never shown.
    method : str
        The HTTP method.
    headers : dict of str to str, optional
        Its headers; never shown.
    body : dict, optional
        Its JSON body; the run and its phase by default.
    """

    url: Text
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"] = "POST"
    headers: dict[str, str] | None = field(default=None, hash=False)
    body: _Json = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.body is None:
            object.__setattr__(self, "body", dict(_BODY))


@dataclass(frozen=True, kw_only=True, repr=False)
class NamedDelivery(Notification):
    """Tell somebody in a way that the platform keeps under a name.

    Parameters
    ----------
    name : str
        The name.
    """

    name: Text


@dataclass(frozen=True, repr=False)
class NamedRule(Declaration):
    """Whom to tell, and when, kept by the platform under a name.

    Parameters
    ----------
    name : str
        The name.
    """

    name: Text
