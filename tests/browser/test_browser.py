"""What a person sees and does in a real JupyterLab."""

from __future__ import annotations

import re
import time

import pytest

pytest.importorskip("playwright", reason="needs playwright: pip install flyte_nb[test]")

from front_end import DARK, LIGHT, PATIENCE, Lab, Notebook, Pictures, violations
from playwright.sync_api import expect

LOAD = "%load_ext flyte_nb\nimport flyte_nb as flyte"
#: a view with all that the base of the views gives
NOTED = """
from flyte_nb.widgets.interactive import Interactive
from flyte_nb.views import escape

class Noted(Interactive):
    noted = "nothing"

    def text(self):
        return f"noted: {self.noted}"

    def body(self):
        return f"<p>noted: {escape(self.noted)}</p>"

    def controls(self):
        import ipywidgets
        self.what = ipywidgets.Text(description="What:")
        note, bad = ipywidgets.Button(description="Note"), ipywidgets.Button(description="Fail")
        note.on_click(self.handler(lambda _: self.note()))
        bad.on_click(self.handler(lambda _: 1 / 0))
        return ipywidgets.VBox([self.what, ipywidgets.HBox([note, bad])])

    def note(self):
        self.noted = self.what.value
        self.say(f"noted {self.noted}", "done")
        self.renew()
"""
SHOW = "view = Noted(); view"


@pytest.fixture
def noted(page: Lab) -> Notebook:
    """A notebook whose third cell shows a view with controls, live."""
    page.write("noted", [LOAD, NOTED, SHOW])
    notebook = page.open("noted")
    for number in range(3):
        notebook.run(number)
    return notebook


def note(notebook: Notebook, what: str, cell: int = 2) -> None:
    notebook.output(cell).get_by_label("What:").fill(what)
    notebook.output(cell).get_by_role("button", name="Note", exact=True).click()


def test_a_view_is_live_and_its_still_form_is_not_seen(noted: Notebook, pictures: Pictures) -> None:
    shown = noted.output(2)
    note(noted, "<b>milk</b>")
    expect(shown.get_by_role("status")).to_have_text("✓ noted <b>milk</b>")
    expect(shown.get_by_text("noted: <b>milk</b>")).to_be_hidden()
    shown.get_by_role("button", name="Fail", exact=True).click()
    expect(shown.get_by_role("status")).to_have_text("! ZeroDivisionError: division by zero")
    pictures.take(shown, "live")
    noted.type("view.close()")
    expect(shown.get_by_text("noted: <b>milk</b>")).to_be_visible()
    expect(shown.get_by_role("button")).to_have_count(0)
    pictures.take(shown, "closed")


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "no-kernel"])
def test_a_saved_view_is_readable(noted: Notebook, pictures: Pictures, trusted: bool, kernel: bool) -> None:
    note(noted, "bread")
    expect(noted.output(2).get_by_text("noted: bread")).to_have_count(1)
    noted.close()
    opened = noted.lab.open("noted" if trusted else noted.lab.receive("noted"), kernel)
    assert opened.is_trusted == trusted
    expect(opened.output(2)).to_have_text(re.compile(r"^\s*noted: bread\s*$"), use_inner_text=True)
    pictures.take(opened.output(2), "reopened")


def test_a_page_that_is_loaded_anew_shows_the_live_view(noted: Notebook) -> None:
    note(noted, "eggs")
    expect(noted.output(2).get_by_text("noted: eggs")).to_have_count(1)
    noted.save()
    noted.lab.reload()
    opened = noted.lab.open("noted")
    expect(opened.output(2).get_by_label("What:")).to_have_value("eggs")
    expect(opened.output(2).get_by_text("noted: eggs", exact=True)).to_be_hidden()
    note(opened, "flour")
    expect(opened.output(2).get_by_role("status")).to_have_text("✓ noted flour")


def test_a_long_cell_is_told(noted: Notebook, pictures: Pictures) -> None:
    number = noted.add("import time, pathlib\nwhile not pathlib.Path('go').exists(): time.sleep(0.1)")
    noted.run(number, wait=False)
    status = noted.output(2).get_by_role("status")
    expect(status).to_contain_text("a cell runs: what you press here may have to wait", timeout=PATIENCE)
    note(noted, "later")
    pictures.take(noted.output(2), "busy")
    (noted.lab.root / "go").touch()
    expect(status).to_have_text("✓ noted later", timeout=PATIENCE)


def test_running_the_cell_again_shows_the_view_anew(noted: Notebook) -> None:
    note(noted, "first")
    shown = noted.run(2)
    expect(shown.get_by_label("What:")).to_have_value("")
    expect(shown.get_by_role("button")).to_have_count(2)
    expect(noted.type("from flyte_nb.widgets.interactive import open_views; len(open_views())")).to_contain_text("1")


#: what cells show without a press: cards, what a cell changed, tables, a plan, a graph, a run
SHOWN = [
    LOAD,
    """%%flyte prepare --cpu 1 --memory 512Mi --env API_KEY=sk-1234567890abcdef --description "Reads <b>all</b>"
@task
def read(x: int) -> int:
    return x""",
    """%%flyte train --cpu 2 --memory 4Gi --gpu A100:1 --depends-on prepare --cache auto
@task
def fit(x: int) -> int:
    return x""",
    "flyte.current_registry()['prepare']",
    "%flyte list",
    "%flyte show train",
    "%flyte graph",
    "%flyte plan",
    "%flyte clone train train-small --cpu 1",
    "flyte.run(read, 1)",
    "%flyte runs",
    "%flyte help",
    "%flyte deploy --dry-run",
    """%%flyte prepare --cpu 2 --memory 1Gi
@task
def read(x: int) -> int:
    return x + 1""",
]


def test_what_cells_show_is_accessible_in_both_themes(page: Lab, pictures: Pictures) -> None:
    page.write("shown", SHOWN)
    notebook = page.open("shown")
    notebook.run_all()
    for theme in (LIGHT, DARK):
        page.theme(theme)
        with notebook.in_full():
            pictures.take(page.page, theme.split()[-1].lower())
        assert violations(notebook) == []
    assert "sk-1234567890abcdef" not in notebook.saved_outputs()


def test_what_is_not_accessible_is_found(page: Lab) -> None:
    page.write("pale", [f"{number}\n" * 100 for number in range(3)])
    notebook = page.open("pale")
    notebook.type(
        "from IPython.display import HTML\nHTML('<p style=\"color:#aaa;background:#fff\">pale words</p><button></button>')"
    )
    assert sorted(found.split()[0] for found in violations(notebook)) == ["button-name", "color-contrast"]
