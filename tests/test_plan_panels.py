"""The panel of a plan: what is deployed is what it shows; what has changed is said; nothing is lost by a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel, Ran
from widget_client import WidgetClient, widget_kernel

SETUP = """%load_ext flyte_nb
import flyte_nb as flyte
from flyte_nb.widgets.interactive import open_views"""
DECLARED = """FACTOR = {factor}
base = flyte.TaskEnvironment("base", description="<script>alert(1)</script>")
@base.task
def double(x: int) -> int:
    return x * FACTOR
top = flyte.TaskEnvironment("top", depends_on=[base])
@top.task
def more(x: int) -> int:
    return x + 1"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Kernel, WidgetClient]]:
    with widget_kernel(tmp_path) as (kernel, client):
        kernel.run(SETUP)
        kernel.run(DECLARED.format(factor=2))
        yield kernel, client


def current(kernel: Kernel) -> dict[str, str]:
    printed = kernel.run(
        "import json; print(json.dumps({d.environment: d.version for d in flyte.deployments()}))"
    ).printed
    told: dict[str, str] = json.loads(printed.splitlines()[-1])
    return told


def still(ran: Ran) -> str:
    return str(ran.outputs[-1].data["text/plain"])


def is_disabled(client: WidgetClient, description: str) -> bool:
    return bool(client.state(description=description, _model_name="ButtonModel")["disabled"])


def test_a_plan_is_shown_live_and_still_and_deployed(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    ran = kernel.run("flyte.plan()")
    assert "application/vnd.jupyter.widget-view+json" in ran.outputs[0].data
    assert "create TaskEnvironment" in still(ran)
    assert "create TaskEnvironment" in client.html()
    assert current(kernel) == {}
    client.press("Deploy")
    client.wait(lambda: "✓ deployed 2 environments" in client.html())
    client.wait(lambda: "deployed at version" in still(ran))
    assert set(current(kernel)) == {"base", "top"}
    assert is_disabled(client, "Deploy")
    client.press("Plan again")
    assert "nothing to deploy" in client.html()
    assert is_disabled(client, "Deploy")
    assert "<script" not in client.html()
    kernel.run("for view in open_views(): view.close()")


def test_the_magic_shows_the_same_panel(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    ran = kernel.run("%flyte plan base --version one")
    assert "base" in still(ran)
    client.press("Deploy")
    client.wait(lambda: "✓ deployed 1 environment" in client.html())
    assert current(kernel) == {"base": "one"}
    assert json.loads(kernel.run("%flyte plan --json").shown)["counts"]


def test_what_has_changed_is_said_and_not_deployed(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("flyte.plan()")
    kernel.run("UNREAD = 1")
    assert "has changed since" not in client.html()
    kernel.run("FACTOR = 3")
    client.wait(lambda: "what is declared has changed since this plan was made" in client.html())
    assert is_disabled(client, "Deploy")
    client.click(client.one(description="Deploy", _model_name="ButtonModel"))  # as a front end that is behind
    client.wait(lambda: "nothing was deployed" in client.html())
    assert current(kernel) == {}
    client.press("Plan again")
    assert "has changed since" not in client.html()
    client.press("Deploy")
    client.wait(lambda: "✓ deployed 2 environments" in client.html())
    assert kernel.value("flyte.deployed('base.double')(x=1)") == "3"


def test_what_has_changed_is_told_apart(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("flyte.plan()")
    kernel.run("_ = flyte.deploy(base, top)")
    client.wait(lambda: "what is deployed has changed since" in client.html())
    assert "what is declared" not in client.html()
    kernel.run("FACTOR = 3")
    client.wait(lambda: "what is declared and what is deployed have changed since" in client.html())


def test_what_a_plan_notices_is_said_once(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = opened
    kernel.run("_ = flyte.draft(base).set('queue', 'fast').apply()")
    for line in ("flyte.plan()", "%flyte plan"):
        ran = kernel.run(line)
        assert "travels as a draft has changed it" in still(ran)
        assert "notice: " not in str(ran.outputs)


def test_a_plan_that_is_behind_when_it_is_shown_is_not_deployed(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("plan = flyte.plan()")
    kernel.run(DECLARED.format(factor=5))
    kernel.run("plan")
    client.wait(lambda: "has changed since" in client.html())
    assert current(kernel) == {}


def test_what_was_withdrawn_is_said(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("is_there = True")
    kernel.run("if is_there: extra = flyte.TaskEnvironment('extra')")
    kernel.run("flyte.plan(extra)")
    kernel.run("is_there = False")
    kernel.run("if is_there: extra = flyte.TaskEnvironment('extra')")  # the same cell again
    client.wait(lambda: "has changed since" in client.html())
    client.press("Plan again")
    client.wait(lambda: "extra" in client.html() and "! " in client.html())
    assert current(kernel) == {}


def test_a_failure_leaves_the_last_version_and_says_why(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    kernel.run("_ = flyte.deploy(base, top)")
    before = current(kernel)
    kernel.run("FACTOR = 7")
    ran = kernel.run("flyte.plan()")
    kernel.run(
        f"import pathlib; home = pathlib.Path({str(tmp_path)!r}) / '.flyte_nb' / 'bundles'\n"
        "home.rename(home.with_name('away')); home.write_text('')"
    )
    client.press("Deploy")
    client.wait(lambda: "! not deployed; what was deployed before goes on" in client.html())
    client.wait(lambda: "cannot be written" in still(ran))
    assert current(kernel) == before
    kernel.run("home.unlink(); home.with_name('away').rename(home)")
    client.press("Deploy")
    client.wait(lambda: "✓ deployed" in client.html())
    assert current(kernel) != before


def test_history_and_going_back(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("_ = flyte.deploy(base, version='v1'); FACTOR = 3")
    kernel.run("_ = flyte.deploy(base, version='v2')")
    kernel.run("flyte.plan(base)")
    client.press("▸ History")
    assert "current until" in client.html()
    assert list(client.state(description="version")["_options_labels"]) == ["v1, the one before"]
    client.press("Go back")
    client.wait(lambda: "back at version v1" in client.html())
    assert current(kernel) == {"base": "v1"}


def test_the_kernel_goes_on_while_it_is_deployed(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(
        "import threading, flyte_nb.engine.local.deployment as d\n"
        "gate, write = threading.Event(), d.Deploying._write\n"
        "def slow(self): gate.wait(60); return write(self)\n"
        "d.Deploying._write = slow"
    )
    kernel.run("flyte.plan()")
    client.press("Deploy")
    assert kernel.value("6 * 7") == "42"
    assert client.found(description="Cancel")
    assert "deploying …" in client.html()
    kernel.run("gate.set()")
    client.wait(lambda: "✓ deployed 2 environments" in client.html())


def test_it_can_be_cancelled(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(
        "import threading, flyte_nb.engine.local.deployment as d\n"
        "gate, write = threading.Event(), d.Deploying._write\n"
        "def slow(self): gate.wait(60); return write(self)\n"
        "d.Deploying._write = slow"
    )
    ran = kernel.run("flyte.plan()")
    client.press("Deploy")
    client.press("Cancel")
    kernel.run("gate.set()")
    client.wait(lambda: "it was cancelled" in still(ran))
    assert current(kernel) == {}


def test_a_closed_panel_listens_to_nothing(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = opened
    before = (
        "from flyte_nb.session import current_session as s; before = len(s().after_cell), len(s().after_deployment)"
    )
    kernel.run(before)
    kernel.run("flyte.plan()")
    assert kernel.value("(len(s().after_cell), len(s().after_deployment)) > before") == "True"
    kernel.run("for view in open_views(): view.close()")
    assert kernel.value("(len(s().after_cell), len(s().after_deployment)) == before") == "True"


def test_a_secret_is_never_in_a_widget(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    ran = kernel.run("flyte.TaskEnvironment('secret', env_vars={'API_TOKEN': 'sk-verysecretvalue123'})\nflyte.plan()")
    client.press("Deploy")
    client.wait(lambda: "✓ deployed" in client.html())
    assert "verysecret" not in json.dumps(client.widget_state, default=str)
    assert "verysecret" not in still(ran)
