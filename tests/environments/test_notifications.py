"""Notifications: whom to tell, how, and at which phases."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from flyte_nb.environments.notifications import (
    Email,
    NamedDelivery,
    NamedRule,
    Notification,
    Slack,
    Teams,
    Webhook,
)
from flyte_nb.environments.phases import ActionPhase
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError

FAILED, SUCCEEDED = ActionPhase.FAILED, ActionPhase.SUCCEEDED
TERMINAL = {"succeeded", "failed", "aborted", "timed_out", "recovered"}
MAKERS: list[Any] = [
    lambda phase: Email(on_phase=phase, recipients=["a@b.ch"]),
    lambda phase: Slack(on_phase=phase, webhook_url="https://example.org"),
    lambda phase: Teams(on_phase=phase, webhook_url="https://example.org"),
    lambda phase: Webhook(on_phase=phase, url="https://example.org"),
    lambda phase: NamedDelivery(on_phase=phase, name="pager"),
]


def test_phases() -> None:
    values = "queued waiting_for_resources initializing running paused succeeded failed aborted timed_out recovered"
    assert [phase.value for phase in ActionPhase] == values.split()
    assert {phase.value for phase in ActionPhase if phase.is_terminal} == TERMINAL
    assert ActionPhase("failed") is FAILED
    assert FAILED == "failed"


@pytest.mark.parametrize("make", MAKERS)
def test_on_phase(make: Any) -> None:
    assert make(FAILED).on_phase == (FAILED,)
    assert make([FAILED, SUCCEEDED]).on_phase == (FAILED, SUCCEEDED)
    assert make((ActionPhase.ABORTED, ActionPhase.TIMED_OUT)).on_phase == (ActionPhase.ABORTED, ActionPhase.TIMED_OUT)
    assert make("failed").on_phase[0] is FAILED
    for wrong in ((), [], ActionPhase.RUNNING, (FAILED, ActionPhase.QUEUED), "done"):
        with pytest.raises(DeclarationValueError, match="on_phase"):
            make(wrong)
    for wrong in (None, 3, [3]):
        with pytest.raises(DeclarationTypeError, match="on_phase"):
            make(wrong)


@pytest.mark.parametrize("make", MAKERS)
def test_frozen_hashable_equal(make: Any) -> None:
    one, same = make(FAILED), make([FAILED])
    assert one == same
    assert hash(one) == hash(same)
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert isinstance(one, Notification)
    with pytest.raises(AttributeError):
        one.on_phase = (SUCCEEDED,)


def test_keywords_only() -> None:
    with pytest.raises(TypeError):
        NamedDelivery(FAILED, "pager")  # type: ignore[misc]


def test_email() -> None:
    mail = Email(on_phase=FAILED, recipients=["a@b.ch"], cc=["c@d.ch"])  # type: ignore[arg-type]
    assert (mail.recipients, mail.cc, mail.bcc, mail.html_body) == (("a@b.ch",), ("c@d.ch",), (), None)
    assert "{{.Run.Name}}" in mail.subject
    assert mail.body
    for none in ((), []):
        with pytest.raises(DeclarationValueError, match=r"Email\.recipients"):
            Email(on_phase=FAILED, recipients=none)  # type: ignore[arg-type]
    for wrong in ("a@b.ch", None, [3]):
        with pytest.raises(DeclarationTypeError, match=r"Email\.recipients"):
            Email(on_phase=FAILED, recipients=wrong)  # type: ignore[arg-type]


def test_slack() -> None:
    assert Slack(on_phase=FAILED, webhook_url="u").message
    assert Slack(on_phase=FAILED, webhook_url="u", message="m").message == "m"
    blocks = Slack(on_phase=FAILED, webhook_url="u", blocks=[{"type": "divider"}])  # type: ignore[arg-type]
    assert (blocks.message, blocks.blocks) == (None, ({"type": "divider"},))
    hash(blocks)


def test_teams() -> None:
    teams = Teams(on_phase=FAILED, webhook_url="u")
    assert teams.message
    assert teams.title
    card = Teams(on_phase=FAILED, webhook_url="u", card={"type": "AdaptiveCard"})
    assert (card.message, card.card) == (None, {"type": "AdaptiveCard"})
    hash(card)


def test_webhook() -> None:
    hook = Webhook(on_phase=FAILED, url="u")
    assert (hook.method, hook.headers) == ("POST", None)
    assert hook.body
    assert hook.body is not Webhook(on_phase=FAILED, url="u").body
    assert Webhook(on_phase=FAILED, url="u", body={}).body == {}
    with pytest.raises(DeclarationValueError, match=r"Webhook\.method"):
        Webhook(on_phase=FAILED, url="u", method="SEND")  # type: ignore[arg-type]


def test_empty_texts() -> None:
    makers: list[Any] = [
        lambda: Slack(on_phase=FAILED, webhook_url=""),
        lambda: Teams(on_phase=FAILED, webhook_url=""),
        lambda: Webhook(on_phase=FAILED, url=""),
        lambda: NamedDelivery(on_phase=FAILED, name=""),
        lambda: NamedRule(""),
    ]
    for make in makers:
        with pytest.raises(DeclarationValueError, match="empty"):
            make()


def test_named_rule() -> None:
    assert NamedRule("on-call") == NamedRule(name="on-call")
    assert len({NamedRule("a"), NamedRule("a")}) == 1
    with pytest.raises(AttributeError):
        NamedRule("a").name = "b"  # type: ignore[misc]


def test_what_lets_others_post_is_not_shown() -> None:
    shown = repr(Slack(on_phase=FAILED, webhook_url="https://hooks/T0/B1"))
    shown += repr(Webhook(on_phase=FAILED, url="https://hooks/T0/B1", headers={"Authorization": "B1"}))
    assert "B1" not in shown
