"""The editor in a kernel: opened, typed in, applied; its environment declared anew and withdrawn under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel
from widget_client import WidgetClient, widget_kernel

DECLARED = """
env = flyte.TaskEnvironment(
    "{name}",
    resources=flyte.Resources(cpu=1, memory="{memory}"),  # as measured
    queue={queue!r},
)

@env.task
def work(x: int) -> int:
    return x
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, WidgetClient]]:
    with widget_kernel(tmp_path_factory.mktemp("editor")) as (kernel, client):
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        yield kernel, client


@pytest.fixture
def opened(started: tuple[Kernel, WidgetClient]) -> Iterator[tuple[Kernel, WidgetClient]]:
    kernel, client = started
    client.widget_state.clear()
    yield kernel, client
    kernel.run("from flyte_nb.widgets.interactive import open_views\nfor view in open_views():\n    view.close()")


def declare(kernel: Kernel, name: str) -> None:
    """Run a cell that declares an environment."""
    kernel.run(DECLARED.format(name=name, memory="1Gi", queue=None))


def test_type_mend_undo_and_apply(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    declare(kernel, "ed-a")
    shown = kernel.run("%flyte edit ed-a")
    live, still = shown.outputs
    assert "application/vnd.jupyter.widget-view+json" in live.data
    assert "resources.memory  1Gi" in still.data["text/plain"]
    memory = client.one(description="memory")
    client.set(memory, value="8")
    assert "! it would be 8 bytes; write the unit, such as &#x27;8Mi&#x27; or &#x27;8Gi&#x27;" in client.html()
    assert client.state(description="Apply")["disabled"]
    client.set(memory, value="8Gi")
    assert "~ was 1Gi" in client.html()
    assert "ed-a.resources.memory" in client.html()
    assert "memory=&quot;8Gi&quot;),  # as measured" in client.html()
    client.set(client.one(description="cpu"), value="2")
    client.press("Undo")
    assert client.state(description="cpu")["value"] == "1"
    client.press("Redo")
    assert client.state(description="cpu")["value"] == "2"
    client.press("Apply")
    assert "✓ ed-a is declared so in this kernel; its source does not say it yet" in client.html()
    assert "The source does not say this yet" in client.html()
    assert "In the source" not in client.html()
    told = kernel.value("env_now = flyte.current_registry()['ed-a']; env_now.resources, work.resources.memory")
    assert told == "(Resources(cpu=2, memory='8Gi'), '8Gi')"
    client.press("Copy code")
    assert 'memory="8Gi"),  # as measured' in client.state(description="code")["value"]
    client.wait(lambda: "resources.memory  8Gi" in still.data["text/plain"])


def test_what_a_cell_declares_otherwise_arrives_under_the_draft(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    declare(kernel, "ed-b")
    kernel.run("editor = flyte.edit(env); editor")
    client.set(client.one(description="cpu"), value="4")
    kernel.run("flyte.TaskEnvironment('ed-b', resources=flyte.Resources(cpu=1, memory='2Gi'), queue='q')")
    assert client.state(description="memory")["value"] == "2Gi"
    assert client.state(description="cpu")["value"] == "4"
    place = kernel.run("print(editor.draft.env.place)").printed.strip()
    assert place.endswith("line 1")
    assert f"declared at {place}" in client.html()
    assert "+</strong> flyte.TaskEnvironment(&#x27;ed-b&#x27;, resources=flyte.Resources(cpu=4" in client.html()
    assert kernel.value("editor.draft.stale, editor.draft.conflicts") == "('', [])"


def test_conflicts_are_decided_field_by_field(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    declare(kernel, "ed-c")
    kernel.run("editor = flyte.edit(env); editor")
    client.set(client.one(description="cpu"), value="4")
    client.set(client.one(description="memory"), value="4Gi")
    kernel.run("flyte.TaskEnvironment('ed-c', resources=flyte.Resources(cpu=8, memory='8Gi'))")
    said = "resources.cpu was declared otherwise since: it was 1, yours is 4, theirs is 8"
    assert said in client.html()
    assert client.state(description="Apply")["disabled"]
    client.press("Keep mine (resources.cpu)")
    client.press("Take theirs (resources.memory)")
    assert client.state(description="memory")["value"] == "8Gi"
    assert not client.state(description="Apply")["disabled"]
    client.press("Apply")
    assert kernel.value("flyte.current_registry()['ed-c'].resources") == "Resources(cpu=4, memory='8Gi')"


def test_an_environment_withdrawn_under_its_editor(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    declare(kernel, "ed-d")
    kernel.run("editor = flyte.edit(env); editor")
    client.set(client.one(description="cpu"), value="4")
    kernel.run("flyte.current_registry()._entries.pop('ed-d'); editor.changed()")
    assert "&#x27;ed-d&#x27; is not declared any more; the draft is kept, and so is its code" in client.html()
    assert client.state(description="Apply")["disabled"]
    client.set(client.one(description="memory"), value="2Gi")
    client.press("Copy code")
    assert 'cpu=4, memory="2Gi"' in client.state(description="code")["value"]
    declare(kernel, "ed-d")
    assert "is not declared any more" not in client.html()
    assert client.state(description="cpu")["value"] == "4"


def test_a_secret_set_in_a_cell_is_seen(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("editor = flyte.edit(flyte.TaskEnvironment('ed-e', secrets='ed-key')); editor")
    client.press("▸ Secrets")
    client.wait(lambda: "ED_KEY: missing; %flyte secret set ed-key" in client.html())
    kernel.run("from flyte_nb.session import current_session\ncurrent_session().secrets.set('ed-key', 'hunter2')")
    client.wait(lambda: "ED_KEY: from session" in client.html())
    assert "hunter2" not in str(client.widget_state)


def test_nothing_is_sent_while_nothing_changes(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    declare(kernel, "ed-f")
    kernel.run("editor = flyte.edit(env); editor")
    client.messages = 0
    kernel.run("1 + 1")
    kernel.run("flyte.TaskEnvironment('ed-other')")
    assert client.messages == 0


def test_the_code_comes_with_the_next_cell(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    declare(kernel, "ed-g")
    kernel.run("editor = flyte.edit(env); editor")
    client.set(client.one(description="cpu"), value="4")
    client.press("Write to a new cell")
    assert "✓ the code comes in a new cell, below the next cell that you run" in client.html()
    assert "cpu=4" in kernel.run("print(get_ipython().payload_manager.read_payload()[0]['text'])").printed


def test_an_environment_of_a_file_is_written_there(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    path = tmp_path / "ed_module.py"
    path.write_text("import flyte_nb as flyte\nenv = flyte.TaskEnvironment('ed-file', queue='slow')  # here\n")
    kernel.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import ed_module; flyte.edit(ed_module.env)")
    client.press("▸ Cluster")
    client.set(client.one(description="queue"), value="fast")
    client.press("Write the file")
    assert 'queue="fast")  # here' in path.read_text()
    assert f"✓ wrote {path}" in client.html()
