"""A view with controls: shown live and still, what goes wrong is said, closed with the cell that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel
from widget_client import WidgetClient, widget_kernel

COUNTER = """
import threading
from flyte_nb.widgets.interactive import Interactive, open_views

class Counter(Interactive):
    def __init__(self):
        super().__init__()
        self.count, self.gone = 0, False

    def text(self):
        return f"counted {self.count} <times>"

    def body(self):
        return f"counted {self.count} &lt;times&gt;"

    def controls(self):
        import ipywidgets
        more, bad = ipywidgets.Button(description="More"), ipywidgets.Button(description="Bad")
        more.on_click(self.handler(lambda _: self.more()))
        bad.on_click(self.handler(lambda _: 1 / 0))
        return ipywidgets.HBox([more, bad])

    def more(self):
        self.count += 1
        self.say(f"now <{self.count}>", "done")
        self.renew()

    def left(self):
        self.gone = True
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, WidgetClient]]:
    with widget_kernel(tmp_path_factory.mktemp("interactive")) as (kernel, client):
        kernel.run(COUNTER)
        yield kernel, client


def test_it_is_shown_live_and_still(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    ran = kernel.run("c = Counter(); c")
    live, still = ran.outputs
    assert list(live.data) == ["application/vnd.jupyter.widget-view+json", "text/plain"]
    assert live.data["text/plain"] == ""
    assert still.data["text/plain"] == "counted 0 <times>"
    assert "counted 0 &lt;times&gt;" in still.data["text/html"]
    mark = kernel.value("c._mark").strip("'")
    assert f'class="{mark}"' in still.data["text/html"]
    assert f".{mark}{{display:none}}" in client.html()
    client.press("More")
    client.wait(lambda: "counted 1" in still.data["text/plain"])
    assert '<div role="status" aria-live="polite">' in client.html()
    assert "✓ now &lt;1&gt;" in client.html()
    client.press("Bad")
    assert "! ZeroDivisionError: division by zero" in client.html()
    kernel.run("c.close()")
    assert kernel.value("c.gone, open_views()") == "(True, [])"
    kernel.run("c.close()")


def test_a_cell_that_runs_again_closes_what_it_showed(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = opened
    told = kernel.run(
        "from types import SimpleNamespace\nfrom flyte_nb.widgets import interactive\n"
        "shell = get_ipython(); c = Counter()\n"
        "shell.get_parent = lambda: {'metadata': {'cellId': 'one'}}\n"
        "c._ipython_display_()\n"
        "shell.get_parent = lambda: {'metadata': {'cellId': 'two'}}\n"
        "c._ipython_display_()\n"
        "del shell.get_parent\n"
        "interactive._watch._before(SimpleNamespace(cell_id='one')); print(c.is_open)\n"
        "interactive._watch._before(SimpleNamespace(cell_id='two')); print(c.is_open, c.gone)\n"
        "interactive._watch._after(None)"
    )
    assert told.printed == "True\nFalse True\n"


def test_a_cell_that_runs_long_is_told_in_what_is_open(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("c = Counter(); c")
    kernel.run(
        "import time\nend = time.monotonic() + 30\n"
        "while 'a cell runs' not in c._status.value and time.monotonic() < end: time.sleep(0.05)\n"
        "assert 'a cell runs' in c._status.value"
    )
    assert "a cell runs" not in client.html()
    kernel.run("c.close()")


def test_without_a_front_end_it_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, object] = {}
    exec(COUNTER, scope)
    scope["Counter"]()._ipython_display_()  # type: ignore[operator]
    assert capsys.readouterr().out == "counted 0 <times>\n"
