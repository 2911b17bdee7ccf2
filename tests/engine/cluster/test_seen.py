"""How an app stands, as the messages of the protocol say it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.seen import Seen, seen_of

pytest.importorskip("connectrpc", reason="the Flyte SDK is not installed")

from flyteidl2.app import app_definition_pb2 as definition

CONNECTION = Connection("dns:///flyte.example.com", "shop", "development", secrets=("s3cret",))


def seen(*said: tuple[str, int, str, str], revision: int = 1, wanted: str = "ACTIVE", **ingress: str) -> Seen:
    """Read a message that says some things, each with a revision, a part and words."""
    app: Any = definition.App()
    app.metadata.id.name, app.metadata.revision = "web", revision
    app.spec.desired_state = definition.Spec.DesiredState.Value(f"DESIRED_STATE_{wanted}")
    for status, of, part, message in said:
        one = app.status.conditions.add(revision=of, message=message)
        one.deployment_status = definition.Status.DeploymentStatus.Value(f"DEPLOYMENT_STATUS_{status}")
        if part:
            one.substate = definition.Status.Substate.Value(part)
    for name, value in ingress.items():
        setattr(app.status.ingress, name, value)
    return seen_of(CONNECTION, SimpleNamespace(pb2=app, url="https://console/web"))


@pytest.mark.parametrize(
    ("status", "part", "wanted", "phase", "why"),
    [
        ("UNASSIGNED", "", "ACTIVE", "starting", "unassigned"),
        ("PENDING", "PULLING_IMAGE", "ACTIVE", "starting", "pulling image"),
        ("DEPLOYING", "CRASH_LOOP", "ACTIVE", "starting", "crash loop: no such module"),
        ("ACTIVE", "RUNNING", "ACTIVE", "active", ""),
        ("STARTED", "", "STARTED", "active", ""),
        ("ACTIVE", "SCALED_TO_ZERO", "ACTIVE", "idle", ""),
        ("SCALING_DOWN", "", "ACTIVE", "active", ""),
        ("FAILED", "", "ACTIVE", "failed", "the control plane does not say why"),
        ("FAILED", "OOM_KILLED", "ACTIVE", "failed", "oom killed: no such module"),
        ("ACTIVE", "", "STOPPED", "stopping", "active"),
        ("STOPPED", "", "STOPPED", "stopped", ""),
        ("UNASSIGNED", "", "STOPPED", "stopped", ""),
    ],
)
def test_every_word_of_a_control_plane_is_a_phase(status: str, part: str, wanted: str, phase: str, why: str) -> None:
    message = "no such module" if "no such module" in why else ""
    found = seen((status, 1, part, message), wanted=wanted)
    assert (found.phase, found.why) == (phase, why)


def test_what_was_said_of_an_earlier_revision_does_not_count() -> None:
    assert seen(("ACTIVE", 1, "", ""), revision=2).phase == "restarting"
    assert seen(("FAILED", 1, "", "old"), ("ACTIVE", 2, "", ""), revision=2).phase == "active"
    assert seen(("ACTIVE", 0, "", ""), revision=2).phase == "active"  # one that numbers nothing
    assert seen().phase == "starting"
    assert seen(wanted="STOPPED").phase == "stopping"


def test_secrets_and_addresses_that_are_none_are_not_told() -> None:
    found = seen(("FAILED", 1, "", "cannot log in with s3cret"), public_url="javascript:alert(1)")
    assert "s3cret" not in f"{found.why} {found}"
    assert found.url == ""
    assert seen(public_url="https://web.example.com").url == "https://web.example.com"
    assert seen(public_url="https://a", cname_url="shop.example.com").url == "https://shop.example.com"
