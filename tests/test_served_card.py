"""The card of a served app in a kernel: real replicas, real requests, and the messages of a front end."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from html import unescape

import pytest

from kernels import Kernel
from widget_client import WidgetClient, widget_kernel

APP = """
%load_ext flyte_nb
import flyte_nb as flyte, http.server, os
app = flyte.app.AppEnvironment("hello", port=8080, requires_auth=True)

@app.server
def serve():
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            print("<script>asked</script>", self.path, flush=True)
            if self.path == "/exit": os._exit(3)
            self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
            self.wfile.write(b"ok")
        def log_message(self, *args): pass
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, WidgetClient]]:
    with widget_kernel(tmp_path_factory.mktemp("served")) as (kernel, client):
        kernel.run(APP)
        kernel.run("handle = flyte.serve(app)")
        yield kernel, client


def asked(kernel: Kernel, path: str) -> None:
    url, token = kernel.value("handle.url").strip("'"), kernel.value("handle.token").strip("'")
    request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        urllib.request.urlopen(request, timeout=20).read()
    except urllib.error.HTTPError as error:
        error.close()
        assert path == "exit"


def test_an_app_from_its_card(served: tuple[Kernel, WidgetClient]) -> None:
    kernel, client = served
    live, still = kernel.run("handle").outputs
    assert "application/vnd.jupyter.widget-view+json" in live.data
    assert "▶ active" in client.html()
    for number in range(5):
        asked(kernel, f"x/{number}")
    client.wait(lambda: "5 so far" in client.html() and "x/4" in client.html())
    assert "&lt;script&gt;asked&lt;/script&gt; /x/4" in client.html()
    assert "<script>" not in client.html()
    client.wait(lambda: "5 so far" in still.data["text/plain"])
    # the way in: a link that works once, which no still form holds
    client.press("Open")
    link = re.search(r'href="([^"]*flyte_ticket[^"]*)"', client.html())
    assert link is not None
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert browser.open(unescape(link[1]), timeout=20).status == 200
    asked(kernel, "last")
    client.wait(lambda: "/last" in still.data["text/plain"])
    token = kernel.value("handle.token").strip("'")
    for form in (*still.data.values(), client.html()):
        assert token not in form
    assert "flyte_ticket" not in "".join(still.data.values())
    # a replica that ends is told, and the one in its place
    asked(kernel, "exit")
    # a GET whose replica ends is sent to one more, which ends by it as well
    client.wait(lambda: re.search(r">r[23]<", client.html()) is not None and ">r1<" not in client.html())
    client.press("Stop")
    client.wait(lambda: "■ stopped" in client.html() and "flyte_ticket" not in client.html())
    assert client.state(description="Open")["disabled"]
    client.wait(lambda: "(app, stopped)" in still.data["text/plain"])
    kernel.run("_ = handle.activate(wait=True)")  # the card follows it there
    client.wait(lambda: "▶ active" in client.html() and not client.state(description="Open")["disabled"])


def test_a_link_that_was_taken_away_lets_nobody_in(served: tuple[Kernel, WidgetClient]) -> None:
    kernel, _ = served
    kernel.run("_ = handle.activate(wait=True)\ncard = handle.card(); card.widget()")
    kernel.run("card._open(); link = card._link; card._take_away()")
    url = kernel.value("link").strip("'")
    assert "flyte_ticket" in url
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(url, timeout=20)
    refused.value.close()
    assert refused.value.code == 401
    kernel.run("card.close()")


def test_cards_that_are_closed_listen_no_more_and_nothing_is_sent_while_nothing_changes(
    served: tuple[Kernel, WidgetClient],
) -> None:
    kernel, client = served
    kernel.run("_ = handle.activate(wait=True)\nfrom flyte_nb.widgets.interactive import open_views")
    kernel.run("for view in open_views(): view.close()")
    assert kernel.value("len(handle._service.observers)") == "0"
    kernel.run("import threading; before = threading.enumerate()\none, two = handle.card(), handle.card()")
    kernel.run("display(one); display(two)")
    assert kernel.value("len(handle._service.observers), len(handle._observers)") == "(1, 2)"
    asked(kernel, "x")
    time.sleep(7)  # the rate of the last seconds falls back to nothing
    kernel.run("None")
    sent = client.traffic
    time.sleep(1.5)
    kernel.run("None")
    assert client.traffic == sent
    kernel.run(  # none for a card
        "from flyte_nb.widgets import interactive\nimport time\nend = time.monotonic() + 30\n"
        "def more(): return set(threading.enumerate()) - set(before) - {interactive._watch._timer}\n"
        "while more() and time.monotonic() < end: time.sleep(0.05)\nassert not more(), more()"
    )
    kernel.run("one.close(); two.close()")
    assert kernel.value("len(handle._service.observers), open_views()") == "(0, [])"
