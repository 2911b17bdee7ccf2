"""A run as one watches it: with a real kernel, real workers and the messages of a front end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel
from scripts import soon
from widget_client import WidgetClient, widget_kernel

TASKS = """
%load_ext flyte_nb
import flyte_nb as flyte, asyncio, os, time
from pathlib import Path
warm = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy((1, 2)))
kept = flyte.TaskEnvironment("kept", cache="auto")
root = flyte.TaskEnvironment("root", depends_on=[warm, kept])

@warm.task
def step(x: int) -> int:
    if x == 3:
        raise ValueError("no <script>alert(3)</script>")
    return x

@kept.task
def prepare(x: int) -> int:
    print("prepared", x)
    return x

@root.task(retries=1)
def shaky(flag: str) -> int:
    with open(flag, "a") as file:
        file.write("x")
    if Path(flag).read_text() == "x":
        raise RuntimeError("the first time it fails")
    print("the second time it does not")
    return 1

@root.task
async def sweep(n: int, flag: str) -> int:
    print("begins </pre><script>alert(1)</script> \\u202e \\x1b[31mred\\x1b[0m")
    await prepare.aio(1)
    with flyte.group("the <b>steps"):
        await asyncio.gather(*(step.aio(i) for i in range(n)), return_exceptions=True)
    await shaky.aio(flag)
    return n

@root.task
def sleeps(flag: str) -> int:
    print("sleeps", flush=True)
    end = time.monotonic() + 60
    while not os.path.exists(flag) and time.monotonic() < end:
        time.sleep(0.02)
    return 1

@root.task
def dies() -> int:
    print("last words", flush=True)
    os._exit(7)

def begin(task, **inputs):
    return flyte.with_runcontext(wait=False).run(task, **inputs)
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, WidgetClient]]:
    with widget_kernel(tmp_path_factory.mktemp("watching")) as (kernel, client):
        kernel.run(TASKS)
        yield kernel, client


@pytest.fixture(autouse=True)
def closed(opened: tuple[Kernel, WidgetClient]) -> Iterator[None]:
    yield
    opened[0].run("from flyte_nb.widgets.interactive import open_views\nfor view in open_views(): view.close()")
    opened[1].widget_state.clear()


def text_of(still: object) -> str:
    return str(still.data["text/plain"])  # type: ignore[attr-defined]


def log_of(client: WidgetClient) -> str:
    """Give the HTML of the lines of the log that are shown."""
    blocks = client.state(tabbable=True, _model_name="VBoxModel")["children"]
    return "\n".join(client.widget_state[block.partition("_MODEL_")[2]]["value"] for block in reversed(blocks))


def test_a_run_from_its_beginning_to_its_end(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    ran = kernel.run(f"run = begin(sweep, n=30, flag={str(tmp_path / 'once')!r})\nrun")
    live, still = ran.outputs
    assert "application/vnd.jupyter.widget-view+json" in live.data
    client.wait(lambda: re.search(r"^\S+  \(root\.sweep, ✓ succeeded", text_of(still)) is not None, 60)
    text = text_of(still)
    assert "32 of 32 tasks called are done" in text
    assert re.search(r"warm\.step x 30  in the <b>steps +✓ 29 succeeded, ✗ 1 failed", text)
    assert re.search(r"✗ failed · ValueError: no <script>alert\(3\)</script>", text)
    assert re.search(r"a\d+  root\.shaky +✓ succeeded · attempt 2", text)
    assert re.search(r"o0 +30", text)
    html = client.html()
    assert "in the &lt;b&gt;steps" in html
    assert "<script>" not in html
    assert "<script>" not in still.data["text/html"]
    assert "begins &lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; \\u202e red" in html
    assert "prepared 1" in html
    assert 'class="flyte-nb-bar"' in html
    assert soon(lambda: kernel.value("len(run.observers)") == "0")  # it has ended: nobody listens any more
    assert client.state(description="Cancel run")["disabled"]
    # the log of one action, chosen among those that are listed
    choice = client.state(description="Log of")
    number = next(n for n, label in enumerate(choice["_options_labels"]) if "root.shaky" in label)
    client.set(client.one(description="Log of"), index=number)
    assert "the second time it does not" in log_of(client)
    assert "prepared 1" not in log_of(client)
    html = client.html()
    assert re.search(r"attempt 1<.*✗ failed after .*the first time it fails", html, re.S)
    # and of one by its id
    client.set(client.one(description="or action"), value="a99")
    assert "! no action named &#x27;a99&#x27;" in client.html()
    client.set(client.one(description="or action"), value="a1")
    assert re.search("<pre[^>]*>prepared 1</pre>$", log_of(client))


def test_kept_outputs_and_a_run_by_its_name_from_the_store(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    kernel.run("run = flyte.run(prepare, x=5); again = flyte.run(prepare, x=5)")
    told = kernel.run("%flyte watch --text").shown
    assert re.match(r"prepare-\w+  \(kept\.prepare, ✓ kept outputs", told)
    shown = kernel.run("view = flyte.watch(run.name); view")
    assert re.search(r"\(kept\.prepare, ✓ succeeded · ", text_of(shown.outputs[-1]))
    assert "prepared 5" in client.html()
    assert not client.found(description="Cancel run")
    assert "no run named 'nothing-0'" in kernel.run("%flyte watch nothing-0", fails=True).error
    assert "accepted: a run, or the name of one" in kernel.run("flyte.watch(3)", fails=True).error


def test_a_run_is_cancelled_with_the_button(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    ran = kernel.run(f"%flyte run sleeps flag={tmp_path / 'never'} --watch")
    assert ran.printed == ""
    client.wait(lambda: "sleeps\n" in client.html() or ">sleeps<" in client.html())
    assert "▶ running since" in client.html()
    client.press("Cancel run")
    client.wait(lambda: "■ aborted" in text_of(ran.outputs[-1]))
    client.wait(lambda: "✓ it has ended: it is aborted" in client.html())
    assert "ABORTED: the run was cancelled" in client.html()
    assert "ABORTED: the run was cancelled" in text_of(ran.outputs[-1])
    assert client.state(description="Cancel run")["disabled"]
    client.press("Cancel run")
    client.wait(lambda: "it is aborted" in client.html())


def test_a_worker_that_dies_is_told(opened: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = opened
    ran = kernel.run("begin(dies)")
    client.wait(lambda: "✗ failed" in text_of(ran.outputs[-1]))
    client.wait(lambda: "last words" in client.html())
    assert "exit code 7" in client.html()


def test_a_view_that_is_closed_listens_no_more(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, _ = opened
    flag = tmp_path / "end"
    kernel.run(f"run = begin(sleeps, flag={str(flag)!r}); one, two = flyte.watch(run), flyte.watch(run.name)")
    kernel.run("display(one); display(two)")
    assert kernel.value("len(run.observers)") == "2"
    assert re.search(r"\n  as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", kernel.run("print(one.text())").printed.rstrip("\n"))
    kernel.run("one.close()")
    assert kernel.value("len(run.observers)") == "1"
    kernel.run("two.close()")
    assert kernel.value("len(run.observers), open_views()") == "(0, [])"
    flag.touch()
    assert kernel.value("run.outputs()[0]") == "1"
    assert kernel.run("run").shown.startswith("sleeps-")  # it has ended: the card, as ever
    assert "application/vnd.jupyter.widget-view+json" not in kernel.run("run").outputs[0].data


def test_nothing_is_sent_while_nothing_happens(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    flag = tmp_path / "end"
    kernel.run(f"run = begin(sleeps, flag={str(flag)!r}); view = flyte.watch(run)\nview")
    client.wait(lambda: ">sleeps<" in client.html())
    kernel.run("sent = []\nfrom ipywidgets import Widget\nsend = Widget._send\n"
               "Widget._send = lambda self, *a, **k: (sent.append(1), send(self, *a, **k))[1]")  # fmt: skip
    kernel.run("time.sleep(1.2); del sent[:]; end = view._pace._late.interval; time.sleep(1.5)")
    assert kernel.value("len(sent) < 6") == "True"  # at most one row, should the axis have come to its end
    kernel.run("Widget._send = send")
    flag.touch()
    client.wait(lambda: "✓ succeeded" in client.html())


def test_what_a_run_prints_is_shown_in_one_place(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    ran = kernel.run(f"begin(sweep, n=1, flag={str(tmp_path / 'f')!r})")
    client.wait(lambda: re.search(r"root\.sweep, ✓ succeeded", text_of(ran.outputs[-1])) is not None, 60)
    assert "prepared" not in ran.printed
    assert "the second time" not in ran.printed


def test_a_run_of_another_process_is_looked_at_again(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    flag = tmp_path / "end"
    kernel.run(f"run = begin(sleeps, flag={str(flag)!r})\nwhile not run.logs(): time.sleep(0.02)")
    kernel.run(  # as another process sees it: it has the record alone
        "from flyte_nb.watching import view_of\nfrom flyte_nb.session import current_session\n"
        "view = view_of(current_session(), current_session().store.run(run.name)); display(view)"
    )
    assert not client.found(description="Cancel run")
    assert "▶ running since" in client.html()
    flag.touch()
    kernel.run("run.wait()")
    client.press("Look again")
    assert "✓ as recorded now: it is succeeded" in client.html()
    assert "✓ succeeded" in client.html()


def test_ten_thousand_actions_are_bounded(opened: tuple[Kernel, WidgetClient], tmp_path: Path) -> None:
    kernel, client = opened
    (tmp_path / "f").write_text("x")
    before = client.traffic
    ran = kernel.run(f"run = begin(sweep, n=10_000, flag={str(tmp_path / 'f')!r})\nrun")
    client.wait(lambda: re.search(r"root\.sweep, ✓ succeeded", text_of(ran.outputs[-1])) is not None, 110)
    assert "10,002 of 10,002 tasks called are done" in text_of(ran.outputs[-1])
    assert "warm.step x 10,000" in text_of(ran.outputs[-1])
    assert len(ran.outputs[-1].data["text/html"]) < 20_000
    assert client.traffic - before < 3_000_000
