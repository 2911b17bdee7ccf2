"""What a person sees and does in a real JupyterLab."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="needs playwright: pip install flyte_nb[browser]")

from front_end import DARK, LIGHT, PATIENCE, Lab, Notebook, Pictures, violations
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # a machine may be busy
expect.set_options(timeout=PATIENCE)

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


def test_a_view_whose_kernel_was_started_again_is_its_still_form(noted: Notebook, pictures: Pictures) -> None:
    note(noted, "salt")
    expect(noted.output(2).get_by_text("noted: salt")).to_have_count(1)
    noted.lab.restart_kernel()
    expect(noted.output(2).get_by_text("noted: salt")).to_be_visible()
    expect(noted.output(2).get_by_role("button")).to_have_count(0)  # none that can be seen
    pictures.take(noted.output(2), "restarted")
    for number in range(3):
        noted.run(number)
    expect(noted.output(2).get_by_text("noted: nothing")).to_be_hidden()
    note(noted, "pepper")
    expect(noted.output(2).get_by_role("status")).to_have_text("✓ noted pepper")


def test_a_long_cell_is_told(noted: Notebook, pictures: Pictures) -> None:
    number = noted.add("import time, pathlib\nwhile not pathlib.Path('go').exists(): time.sleep(0.1)")
    noted.run(number, wait=False)
    status = noted.output(2).get_by_role("status")
    expect(status).to_contain_text("a cell runs: what you press here may have to wait")
    note(noted, "later")
    pictures.take(noted.output(2), "busy")
    (noted.path.parent / "go").touch()
    expect(status).to_have_text("✓ noted later")


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


# --- an environment in the editor ---

ENV = """env = flyte.TaskEnvironment(
    name="train", resources=flyte.Resources(cpu=1, memory="1Gi"), env_vars={"MODE": "fast", "API_KEY": KEY}
)

@env.task
def fit(n: int) -> int:
    return n
"""
KEY = 'KEY = "-".join(["sk", "1234567890abcdef"])'  # so that the cell does not hold it


@pytest.fixture
def edited(page: Lab) -> Notebook:
    """A notebook whose last cell, number 3, shows the editor of an environment."""
    page.write("edited", [LOAD, KEY, ENV, "editor = flyte.edit(env); editor"])
    notebook = page.open("edited")
    notebook.run_all()
    expect(field(notebook, "cpu")).to_have_value("1")
    return notebook


def field(notebook: Notebook, label: str, cell: int = 3) -> Locator:
    return notebook.output(cell).get_by_label(label, exact=True)


def button(notebook: Notebook, name: str, cell: int = 3) -> Locator:
    return notebook.output(cell).get_by_role("button", name=name, exact=True)


def test_an_environment_is_edited(edited: Notebook, pictures: Pictures) -> None:
    shown = edited.output(3)
    field(edited, "cpu").fill("2")
    expect(shown).to_contain_text("train.resources.cpu 1 → 2")
    field(edited, "memory").fill("lots")
    expect(shown.get_by_role("status").filter(has_text="! it is not a number with a unit")).to_be_visible()
    pictures.take(shown, "refused")
    button(edited, "Undo").click()
    expect(field(edited, "memory")).to_have_value("1Gi")
    field(edited, "accelerator").select_option("T4")
    expect(shown).to_contain_text("train.resources.gpu")
    button(edited, "Undo").click()
    expect(field(edited, "accelerator")).to_have_value("none")
    button(edited, "Redo").click()
    expect(shown).to_contain_text("train.resources.gpu")
    button(edited, "Undo").click()
    button(edited, "Apply").click()
    expect(shown.get_by_role("status").filter(has_text="✓ train is declared so in this kernel")).to_be_visible()
    expect(edited.type("flyte.current_registry()['train'].resources.cpu")).to_contain_text("2")
    assert violations(edited) == []
    pictures.take(shown, "applied")
    assert "1234567890abcdef" not in edited.saved_outputs()


def test_what_is_edited_is_written_to_a_new_cell(edited: Notebook) -> None:
    field(edited, "memory").fill("4Gi")
    expect(edited.output(3)).to_contain_text("train.resources.memory '1Gi' → '4Gi'")
    button(edited, "Write to a new cell").click()
    expect(edited.output(3).get_by_role("status").filter(has_text="the code comes in a new cell")).to_be_visible()
    edited.type("None")
    expect(edited.panel.locator(".jp-CodeCell").last).to_contain_text('memory="4Gi"')


def test_a_cell_that_runs_again_keeps_the_draft(edited: Notebook, pictures: Pictures) -> None:
    field(edited, "cpu").fill("2")
    expect(edited.output(3)).to_contain_text("train.resources.cpu 1 → 2")
    edited.change(2, ENV.replace("cpu=1", "cpu=4").replace('"fast"', '"slow"'))
    edited.run(2)
    told = edited.output(3).get_by_role("status").filter(has_text="resources.cpu was declared otherwise")
    expect(told).to_contain_text("it was 1, yours is 2, theirs is 4")
    expect(field(edited, "cpu")).to_have_value("2")
    assert violations(edited) == []
    pictures.take(edited.output(3), "conflict")
    edited.output(3).get_by_role("button", name="Keep mine").click()
    expect(told).to_have_count(0)
    button(edited, "Apply").click()
    expect(edited.output(3).get_by_role("status").filter(has_text="✓ train is declared so")).to_be_visible()
    expect(
        edited.type("env = flyte.current_registry()['train']; env.resources.cpu, env.env_vars['MODE']")
    ).to_contain_text("(2, 'slow')")


def test_an_environment_is_edited_with_the_keyboard_alone(edited: Notebook) -> None:
    keys = edited.page.keyboard
    edited.focus_output(3)
    keys.press("Tab")
    order = [focused(edited)]
    while "cpu" not in order and len(order) < 10:
        keys.press("Tab")
        order.append(focused(edited))
    assert order == ["▾ Resources", "cpu"]  # the buttons above have nothing to do yet, so they are passed over
    keys.press("Control+a")
    keys.type("2")
    expect(edited.output(3)).to_contain_text("train.resources.cpu 1 → 2")
    for _ in range(5):
        keys.press("Shift+Tab")
        if focused(edited) == "Apply":
            break
    keys.press("Enter")
    expect(edited.output(3).get_by_role("status").filter(has_text="✓ train is declared so")).to_be_visible()


def focused(notebook: Notebook) -> str:
    """Tell what has the keyboard, by its name for people who do not see it."""
    return str(
        notebook.page.evaluate("""() => {
        const on = document.activeElement;
        return (on.labels?.[0] ?? on).textContent.trim() || on.getAttribute('aria-label') || on.className;
    }""")
    )


def test_all_of_the_editor_is_accessible_in_both_themes(edited: Notebook, pictures: Pictures) -> None:
    for name in ("Image", "Variables", "Secrets", "Cache", "Warm processes", "Files", "Dependencies", "Cluster"):
        button(edited, f"▸ {name}").click()
        expect(button(edited, f"▾ {name}")).to_be_visible()
    for theme in (LIGHT, DARK):
        edited.lab.theme(theme)
        with edited.in_full():
            pictures.take(edited.output(3), theme.split()[-1].lower())
        assert violations(edited) == []


# --- the environments, a plan, a clone ---

TWO = """fetch = flyte.TaskEnvironment(name="fetch")
train = flyte.TaskEnvironment(name="train", depends_on=(fetch,), env_vars={"API_KEY": "hidden-1234567890abcdef"})

@fetch.task
def read(day: str) -> str:
    return day

@train.task
def fit(n: int) -> int:
    return n
"""


def test_environments_are_found_and_deployed(page: Lab, pictures: Pictures) -> None:
    page.write("browsed", [LOAD, TWO, "%flyte"])
    notebook = page.open("browsed")
    notebook.run_all()
    shown, found = notebook.output(2), field(notebook, "environments", 2).locator("option")
    expect(found).to_have_count(2)
    field(notebook, "search", 2).fill("fi")
    expect(found).to_have_text([re.compile("train")])
    notebook.page.keyboard.press("Enter")
    expect(shown).to_contain_text("fit(n: int) -> int")
    assert violations(notebook) == []
    pictures.take_outputs(notebook, 2, "found")
    button(notebook, "Plan", 2).click()
    expect(shown).to_contain_text("2 to create")
    button(notebook, "Deploy", 2).click()
    expect(shown.get_by_role("status").filter(has_text="✓ deployed 2 environments")).to_be_visible()
    field(notebook, "search", 2).fill("")
    expect(found).to_have_text([re.compile("fetch.*deployed"), re.compile("train.*deployed")])
    notebook.type("new = flyte.TaskEnvironment(name='newest')")
    expect(found).to_have_count(3)
    for theme in (DARK, LIGHT):
        page.theme(theme)
        assert violations(notebook) == []
    assert "1234567890abcdef" not in notebook.saved_outputs()
    notebook.close()
    opened = page.open("browsed", kernel=False)
    expect(opened.output(2)).to_contain_text("newest")
    expect(opened.output(2).get_by_role("button")).to_have_count(0)


def test_environments_are_chosen_with_the_keyboard_alone(page: Lab) -> None:
    page.write("browsed-by-key", [LOAD, TWO, "%flyte"])
    notebook = page.open("browsed-by-key")
    notebook.run_all()
    expect(field(notebook, "environments", 2).locator("option")).to_have_count(2)
    notebook.focus_output(2)
    order = []
    for _ in range(4):
        notebook.page.keyboard.press("Tab")
        order.append(focused(notebook))
    assert order == ["search", "show", "sort by", "environments"]
    # JupyterLab keeps the arrow keys for itself, so the search goes from one to the next with Enter
    field(notebook, "search", 2).focus()
    notebook.page.keyboard.press("Enter")
    expect(notebook.output(2)).to_contain_text("read(day: str) -> str")
    notebook.page.keyboard.press("Enter")
    expect(notebook.output(2)).to_contain_text("fit(n: int) -> int")
    while focused(notebook) != "Plan":
        notebook.page.keyboard.press("Tab")
    notebook.page.keyboard.press("Space")
    expect(notebook.output(2)).to_contain_text("2 to create")


def test_a_plan_is_deployed_and_a_clone_is_made(page: Lab, pictures: Pictures) -> None:
    page.write("planned", [LOAD, TWO, "%flyte plan", "%flyte clone train train-small --cpu 1"])
    notebook = page.open("planned")
    notebook.run_all()
    plan, clone = notebook.output(2), notebook.output(3)
    expect(plan).to_contain_text("2 to create")
    assert violations(notebook) == []
    button(notebook, "Deploy", 2).click()
    expect(plan.get_by_role("status").filter(has_text="✓ deployed 2 environments")).to_be_visible()
    field(notebook, "memory", 3).fill("2Gi")
    expect(clone).to_contain_text("memory='2Gi'")
    button(notebook, "Apply", 3).click()
    expect(notebook.type("flyte.current_registry()['train-small'].resources")).to_contain_text("memory='2Gi'")
    page.theme(DARK)
    assert violations(notebook) == []
    with notebook.in_full():
        pictures.take(page.page, "dark")
    assert "1234567890abcdef" not in notebook.saved_outputs()


# --- a run, an app ---


def test_a_run_is_watched_and_cancelled(page: Lab, pictures: Pictures) -> None:
    page.write(
        "watched",
        [
            LOAD,
            """env = flyte.TaskEnvironment(name="work")

@env.task
def part(n: int) -> int:
    import pathlib, time
    print(f"part <{n}>")
    while not pathlib.Path(f"part-{n}").exists():
        time.sleep(0.02)
    return n

@env.task
def whole(n: int) -> int:
    return sum(flyte.map(part, range(n)))
""",
            "run = flyte.with_runcontext(wait=False).run(whole, 2)\nflyte.watch(run)",
        ],
    )
    notebook = page.open("watched")
    notebook.run_all()
    shown = notebook.output(2)
    expect(shown).to_contain_text("0 of 2 tasks called are done")
    (notebook.path.parent / "part-0").touch()
    expect(shown).to_contain_text("1 of 2 tasks called are done")
    expect(shown).to_contain_text("part <1>")
    assert violations(notebook) == []
    field(notebook, "or action", 2).fill("a1")
    notebook.page.keyboard.press("Enter")
    expect(field(notebook, "Log of", 2)).to_have_value("a1  work.part")
    button(notebook, "Cancel run", 2).click()
    expect(shown).to_contain_text("aborted: 1")
    expect(button(notebook, "Cancel run", 2)).to_be_disabled()
    page.theme(DARK)
    pictures.take(shown, "dark")
    assert violations(notebook) == []
    notebook.close()
    opened = page.open("watched", kernel=False)
    expect(opened.output(2)).to_contain_text("2 of 2 tasks called are done · ■ aborted: 1")
    expect(opened.output(2).get_by_role("button")).to_have_count(0)


APP = """app = flyte.app.AppEnvironment(name="hello", port=8080)

@app.server
async def serve():
    import asyncio
    async def answer(reader, writer):
        if await reader.read(1000):
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\ncontent-length: 5\\r\\n\\r\\nhello")
        writer.close()
    async with await asyncio.start_server(answer, "127.0.0.1", 8080) as server:
        print("<b>ready</b>")
        await server.serve_forever()
"""


def test_an_app_is_opened_and_stopped(page: Lab, pictures: Pictures) -> None:
    page.write("served", [LOAD, APP, "%flyte serve hello"])
    notebook = page.open("served")
    notebook.run_all()
    shown = notebook.output(2)
    expect(shown).to_contain_text("▶ active")
    expect(shown).to_contain_text("<b>ready</b>")
    button(notebook, "Open", 2).click()
    with page.page.expect_popup() as opened:
        shown.get_by_role("link", name="open hello").click()
    expect(opened.value.locator("body")).to_have_text("hello")
    opened.value.close()
    expect(shown).to_contain_text(re.compile("[1-9] so far"))
    assert violations(notebook) == []
    pictures.take(shown, "active")
    assert "token=" not in notebook.saved_outputs()
    button(notebook, "Stop", 2).click()
    expect(shown).to_contain_text("■ stopped")
    expect(button(notebook, "Stop", 2)).to_be_disabled()
    page.theme(DARK)
    assert violations(notebook) == []
    pictures.take(shown, "stopped")
    notebook.close()
    opened_again = page.open("served", kernel=False)
    expect(opened_again.output(2)).to_contain_text("stopped")
    expect(opened_again.output(2).get_by_role("button")).to_have_count(0)


# --- the tests themselves ---


def test_what_is_not_accessible_is_found(page: Lab) -> None:
    page.write("pale", [f"{number}\n" * 100 for number in range(3)])
    notebook = page.open("pale")
    notebook.type(
        "from IPython.display import HTML\n"
        "HTML('<p style=\"color:#aaa;background:#fff\">pale words</p><button></button>')"
    )
    assert sorted(found.split()[0] for found in violations(notebook)) == ["button-name", "color-contrast"]
