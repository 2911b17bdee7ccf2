"""The panel of a clone: checked as one types, read before it is applied, declared as a cell would; no secret in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel
from widget_client import WidgetClient, widget_kernel

SETUP = """%load_ext flyte_nb
import flyte_nb as flyte
from flyte_nb.widgets.interactive import open_views
base = flyte.TaskEnvironment("base", resources=flyte.Resources(cpu=1, memory="1Gi"), include=("data.csv",),
                             env_vars={"MODE": "fast", "API_TOKEN": "sk-verysecret12345"})
@base.task
def double(x: int) -> int:
    return x * 2"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Kernel, WidgetClient]]:
    (tmp_path / "data.csv").write_text("x\n" * 700)
    with widget_kernel(tmp_path) as (kernel, client):
        kernel.run(SETUP)
        yield kernel, client


def type_in(client: WidgetClient, label: str, text: str) -> None:
    client.set(client.one(description=label, _model_name="TextModel"), value=text)


def apply_is_off(client: WidgetClient) -> bool:
    return bool(client.state(description="Apply")["disabled"])


def test_it_is_read_filled_in_and_applied(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    ran = kernel.run("flyte.preview_clone(base, 'big')")
    assert "a preview, not declared yet" in ran.outputs[-1].data["text/plain"]
    assert "inherited from base" in client.html()
    assert "includes 1 file, 1.4 KiB" in client.html()
    type_in(client, "memory", "8Gi")
    assert "overridden" in client.html()
    client.set(client.one(description="env_vars", _model_name="CheckboxModel"), value=True)
    assert "reset to its default" in client.html()
    client.press("▸ Copy code")
    code = client.state(description="code")["value"]
    assert "base.clone_with(" in code
    assert 'memory="8Gi"' in code
    assert "big" not in kernel.value("list(flyte.current_registry())")
    client.press("Apply")
    assert "✓ declared big at In [" in client.html()
    assert kernel.value("big.resources.memory, big.env_vars") == "('8Gi', None)"
    assert kernel.run("@big.task\ndef triple(x: int) -> int:\n    return 3 * x\nflyte.run(triple, 2).outputs()").shown
    client.wait(lambda: "declared at In [" in ran.outputs[-1].data["text/plain"])  # it follows within a second
    assert apply_is_off(client)
    kernel.run(code)
    assert kernel.value("big.resources.memory") == "'8Gi'"


def test_what_is_wrong_is_said_at_the_input(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("flyte.preview_clone(base, 'big')")
    type_in(client, "name", "<Big>")
    assert "! given &#x27;&lt;Big&gt;&#x27;" in client.html()
    assert apply_is_off(client)
    type_in(client, "name", "big")
    for label, text, told in (
        ("CPU", "abc", "cpu: given"),
        ("memory", "10", "memory: given"),
        ("GPU", "Z9:1", "gpu: given"),
        ("replicas", "a:b", "accepted: a number"),
        ("variables", "A", "accepted: --env NAME=VALUE"),
        ("variables", "'A", "no closing quotation"),
    ):
        type_in(client, label, text)
        assert told in client.html(), label
        assert apply_is_off(client)
        client.click(client.one(description="Apply", _model_name="ButtonModel"))  # as a front end that is behind
        assert "nothing was declared" in client.html()
        type_in(client, label, "")
        assert not apply_is_off(client), label
    assert kernel.value("list(flyte.current_registry())") == "['base']"


def test_what_code_gives_holds_and_what_is_typed_comes_on_top(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("flyte.preview_clone(base, 'big', resources=flyte.Resources(cpu=4, memory='2Gi'), reset='include')")
    assert client.state(description="include", _model_name="CheckboxModel")["value"] is True
    assert client.state(description="memory")["placeholder"] == "2Gi, given in code"
    assert "given in code" in client.state(description="CPU")["placeholder"]
    type_in(client, "memory", "3Gi")
    client.press("Apply")
    assert kernel.value("big.resources.cpu, big.resources.memory, big.include") == "(4, '3Gi', ())"


def test_the_magic_fills_it_in_and_secrets_stay_in_the_kernel(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    line = "%flyte clone base big --cpu 3 --env LEVEL=debug --env DB_PASSWORD=verysecret-too --reset include"
    shown = kernel.run(line)
    assert client.state(description="CPU")["value"] == "3"
    assert client.state(description="variables")["value"] == "LEVEL=debug"
    type_in(client, "variables", "LEVEL=info API_KEY=verysecret-three")
    assert client.state(description="variables")["value"] == "LEVEL=info API_KEY="
    assert "looks like a secret was taken out" in client.html()
    client.press("▸ Copy code")
    assert 'os.environ["DB_PASSWORD"]' in client.state(description="code")["value"]
    state = json.dumps(client.widget_state, default=str)
    assert "verysecret" not in state + str(shown.outputs)
    client.press("Apply")
    assert "&#x27;API_TOKEN&#x27; looks like a secret" in client.html()
    values = {"API_TOKEN": "sk-verysecret12345", "DB_PASSWORD": "verysecret-too", "API_KEY": ""}
    kernel.run(f"import os; os.environ.update({values})")
    client.press("Apply")
    client.wait(lambda: "✓ declared big" in client.html())
    assert "verysecret" not in json.dumps(client.widget_state, default=str)
    assert kernel.value("big.env_vars['DB_PASSWORD'], big.env_vars['MODE'], big.resources.cpu") == (
        "('verysecret-too', 'fast', 3)"
    )


def test_it_is_of_what_is_declared_now(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("flyte.preview_clone(base, 'big')")
    kernel.run("flyte.draft(base).set('resources.memory', '5Gi').apply()")
    client.wait(lambda: "5Gi" in client.html())
    kernel.run("big = flyte.TaskEnvironment('big')")
    client.wait(lambda: "declared already" in client.html())
    client.press("Apply")
    assert kernel.value("big.resources.memory") == "'5Gi'"


def test_a_former_declaration_and_its_panel_agree(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("former = base; _ = flyte.draft(base).set('resources.memory', '5Gi').apply()")
    kernel.run("clone = flyte.preview_clone(former, 'big'); clone")
    client.wait(lambda: "5Gi" in client.html())
    assert "was declared again" in client.html()
    assert kernel.value("clone.apply().resources.memory") == "'5Gi'"
    client.wait(lambda: "as this has it" in client.html())
    assert "replaces it" not in client.html()


def test_what_cannot_be_written_as_code_is_said(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("from flyte_nb.environments.base import unannounced")
    kernel.run("with unannounced(): p = flyte.preview_clone(flyte.TaskEnvironment('other'), 'big')\np")
    client.press("Apply")
    assert "is bound to no variable" in client.html()
    assert kernel.value("'big' in flyte.current_registry()") == "False"


def test_a_closed_panel_listens_to_nothing(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = opened
    kernel.run("from flyte_nb.registry import process_registry as r; before = len(r._observers)")
    kernel.run("flyte.preview_clone(base, 'big')")
    assert kernel.value("len(r._observers) - before") == "1"
    kernel.run("for view in open_views(): view.close()")
    assert kernel.value("len(r._observers) - before") == "0"
