"""``%flyte`` and ``flyte.browse``: found, chosen, shown, deployed, served; it follows what cells change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbclient.util import run_sync

from kernels import Kernel
from scripts import ran
from widget_client import WidgetClient, widget_kernel

SETUP = """%load_ext flyte_nb
import flyte_nb as flyte
from flyte_nb.app import AppEnvironment
from flyte_nb.widgets.interactive import open_views"""
DECLARED = """FACTOR = {factor}
base = flyte.TaskEnvironment(
    "base", description="shared <b>by</b> all\u202e", env_vars={{"API_TOKEN": "sk-verysecret12345"}}
)
@base.task
def double(x: int) -> int:
    return x * FACTOR
top = flyte.TaskEnvironment("top", depends_on=[base])
@top.task
def more(x: int) -> int:
    return x + 1"""
COMMAND = "python -m http.server 8080"
SITE = f"""site = AppEnvironment("site", command="{COMMAND}", requires_auth=False)"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Kernel, WidgetClient]]:
    with widget_kernel(tmp_path) as (kernel, client):
        kernel.run(SETUP)
        yield kernel, client


def lines(client: WidgetClient) -> list[str]:
    """Give the lines of the list, without the columns' blanks."""
    labels = client.state(description="environments")["_options_labels"]
    return [" ".join(label.replace("\u00a0", " ").split()) for label in labels]


def names(client: WidgetClient) -> list[str]:
    return [line.split()[1] for line in lines(client)]


def choose(client: WidgetClient, name: str) -> None:
    client.set(client.one(description="environments"), index=names(client).index(name))


def test_it_follows_what_cells_change(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    shown = kernel.run("%flyte")
    assert "no environment is declared yet" in shown.outputs[-1].data["text/plain"]
    assert "no environment is declared yet" in client.html()
    kernel.run(DECLARED.format(factor=2))
    client.wait(lambda: names(client) == ["base", "top"])
    assert lines(client)[0].startswith("+ base task 1 declared In [")
    client.wait(lambda: "top" in shown.outputs[-1].data["text/plain"])
    kernel.run("_ = flyte.deploy(base, top)")
    client.wait(lambda: all(line.startswith("= ") for line in lines(client)))
    kernel.run("FACTOR = 3")
    client.wait(lambda: lines(client)[0].startswith("! base task 1 out of date (deployed at"))
    assert lines(client)[1].startswith("= top")
    kernel.run("FACTOR = 2")
    client.wait(lambda: lines(client)[0].startswith("= base"))
    kernel.run("flyte.draft(top).set('description', 'new').apply()")
    client.wait(lambda: lines(client)[1].startswith("! top"))


def test_what_a_cell_did_not_touch_is_not_found_out_again(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(DECLARED.format(factor=2))
    kernel.run("_ = flyte.deploy(base, top)")
    kernel.run(
        "from flyte_nb.standing import Standing\nasked, check = [], Standing.check\n"
        "def counted(self, names): names = list(names); asked.append(names); return check(self, names)\n"
        "Standing.check = counted"
    )
    kernel.run("flyte.browse()")
    assert kernel.value("[n for names in asked for n in names]") == "['base', 'top']"
    kernel.run("asked.clear(); UNREAD = 1")
    assert kernel.value("asked") == "[]"
    kernel.run("FACTOR = 3")
    client.wait(lambda: lines(client)[0].startswith("! base"))
    assert kernel.value("asked") == "[['base']]"


def test_searching_narrowing_and_choosing(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("for i in range(120): flyte.TaskEnvironment(f'env-{i}')\n" + DECLARED.format(factor=2))
    kernel.run("flyte.browse()")
    assert len(lines(client)) == 50
    assert "page 1 of 3" in client.html()
    client.press("Next page")
    assert "page 2 of 3" in client.html()
    search = client.one(description="search")
    client.set(search, value="MORE top")
    assert names(client) == ["top"]
    client.set(search, value="<nothing>")
    assert lines(client) == []
    assert "none of 122 environments matches" in client.html()
    client.set(search, value="env-11")
    assert names(client)[:3] == ["env-11", "env-110", "env-111"]
    for chosen in (0, 1):  # Enter shows the first, and again the next
        run_sync(client._send)(search, {"method": "custom", "content": {"event": "submit"}})
        assert client.state(description="environments")["index"] == chosen
    assert "env-110" in client.html()
    client.set(search, value="")
    client.set(client.one(description="sort by"), index=1)
    client.set(client.one(description="show"), index=2)
    assert "122 environments" in client.html()


def test_the_views_of_the_chosen_one(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(DECLARED.format(factor=2))
    kernel.run("flyte.browse()")
    choose(client, "base")
    assert "double(x: int) -&gt; int" in client.html()
    client.press("Graph")
    assert "<svg" in client.html()
    client.press("Clone")
    assert client.state(description="name")["value"] == "base-copy"
    client.press("Plan")
    assert not client.found(description="name", _model_name="TextModel") or kernel.value("len(open_views())") == "2"
    assert kernel.value("sorted(type(v).__name__ for v in open_views())") == "['Browser', 'PlanPanel']"
    client.press("Deploy now")
    client.wait(lambda: lines(client)[0].startswith("= base"))
    client.press("Card")
    assert kernel.value("sorted(type(v).__name__ for v in open_views())") == "['Browser']"
    assert "deployed at" in client.html()
    kernel.run("for view in open_views(): view.close()")


def test_one_that_was_withdrawn_is_said(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("is_there = True")
    kernel.run("if is_there: one = flyte.TaskEnvironment('one')")
    kernel.run("flyte.browse()")
    choose(client, "one")
    kernel.run("is_there = False")
    kernel.run("if is_there: one = flyte.TaskEnvironment('one')")  # the same cell again
    client.wait(lambda: "one is not declared any more" in client.html())
    assert lines(client) == []


def test_an_app_is_served_and_stopped(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(SITE)
    kernel.run("flyte.browse()")
    choose(client, "site")
    client.press("Serve")
    client.wait(lambda: lines(client)[0].startswith("▶ site app serving"), timeout=60)
    assert "✓ site is served at http://127.0.0.1:" in client.html()
    client.press("Stop")
    client.wait(lambda: lines(client)[0].startswith("+ site app declared"), timeout=60)
    assert client.found(description="Serve")


def test_what_is_served_can_be_stopped_however_it_stands(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(SITE)
    kernel.run(f"front = AppEnvironment('front', command={COMMAND!r}, requires_auth=False, depends_on=[site])")
    kernel.run("flyte.browse()")
    kernel.run("_ = flyte.serve(front)")
    client.wait(lambda: all("serving" in line for line in lines(client)), timeout=60)
    choose(client, "site")  # served because another needs it
    assert client.found(description="Stop")
    assert not client.state(description="Stop")["disabled"]
    listed = kernel.run("%flyte list").outputs[-1].data["text/plain"]
    assert [line.split()[-1] for line in listed.splitlines()[1:]] == ["serving", "serving"]
    assert json.loads(kernel.run("%flyte show site --json").outputs[-1].data["text/plain"])["state"] == ["serving"]
    client.press("Stop")
    client.wait(lambda: any(line.startswith("+ site app declared") for line in lines(client)), timeout=60)


def test_an_app_that_does_not_start_says_why(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("""bad = AppEnvironment("bad", command="python -c 'raise SystemExit(3)'", requires_auth=False)""")
    kernel.run("flyte.browse()")
    choose(client, "bad")
    client.press("Serve")
    client.wait(lambda: "! " in client.html() and "did not start" in client.html(), timeout=60)
    assert not client.state(description="Serve")["disabled"]


def test_hostile_text_is_inert_and_secrets_stay_hidden(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(DECLARED.format(factor=2))
    kernel.run("flyte.TaskEnvironment('big', description='</textarea><script>' * 50_000)")
    shown = kernel.run("flyte.browse()")
    for name in ("base", "big"):
        choose(client, name)
        for button in ("Card", "Graph", "Clone", "Plan"):
            client.press(button)
    state = json.dumps(client.widget_state, default=str)
    assert "verysecret" not in state + str(shown.outputs)
    assert "<script>" not in client.html() + shown.html
    assert "\u202e" not in client.html()
    client.set(client.one(description="search"), value="</select><script>")
    assert "<script>" not in client.html()


def test_what_cannot_be_deployed_says_so_and_the_rest_is_told(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run(DECLARED.format(factor=2))
    kernel.run("_ = flyte.deploy(base, top)")
    kernel.run("import threading; FACTOR = threading.Lock()")
    kernel.run("flyte.browse()")
    assert lines(client)[0].startswith("! base task 1 cannot be deployed")
    assert lines(client)[1].startswith("= top")


def test_a_closed_browser_listens_to_nothing(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = opened
    kernel.run(
        "from flyte_nb.session import current_session as s\n"
        "def ears(): return len(s().after_cell), len(s().after_deployment), len(s().registry._observers)\n"
        "before = ears()"
    )
    kernel.run("flyte.browse()")
    assert kernel.value("ears() > before") == "True"
    kernel.run("for view in open_views(): view.close()")
    assert kernel.value("ears() == before") == "True"


def test_a_thousand_take_little(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    kernel.run("for i in range(1_000): flyte.TaskEnvironment(f'env-{i}', resources=flyte.Resources(cpu=1))")
    before = client.traffic
    kernel.run("flyte.browse()")
    assert client.traffic - before < 500_000
    assert len(lines(client)) == 50
    before = client.traffic
    kernel.run("one = flyte.TaskEnvironment('another')")
    client.wait(lambda: "another" in names(client))
    assert client.traffic - before < 50_000


def test_without_widgets_it_is_a_table_and_the_magic_is_help(tmp_path: Path) -> None:
    told = ran(
        [
            "-c",
            "from IPython.core.interactiveshell import InteractiveShell\n"
            "shell = InteractiveShell.instance(); import flyte_nb as flyte; flyte.load_ipython_extension(shell)\n"
            "flyte.TaskEnvironment('mine'); print(flyte.browse().text())\n"
            "print(type(shell.run_line_magic('flyte', '')).__name__)",
        ],
        tmp_path,
    )
    assert told.returncode == 0, told.stderr
    assert "+  mine" in told.stdout
    assert told.stdout.strip().endswith("Stack")


def test_the_text_has_what_the_running_cell_declares(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = opened
    kernel.run("browser = flyte.browse(); browser")
    assert "late" in kernel.run("late = flyte.TaskEnvironment('late'); print(browser.text())").printed
