"""Apps as cards: text, HTML, and the live card's life."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from flyte_nb.engine.local.apps.spec import AppPhase, ReplicaRecord
from flyte_nb.engine.local.apps.traffic import Load
from flyte_nb.widgets.app_parts import head, replicas, traffic
from flyte_nb.widgets.apps import AppRecord, apps, card

REPLICA = ReplicaRecord("r1", AppPhase.ACTIVE, 41, 23001, "v1", datetime.now(timezone.utc))
APP = AppRecord("my-api", AppPhase.ACTIVE, "http://127.0.0.1:4000/", replicas=(REPLICA,), lines=("r1 | <b>hi</b>",),
                load=Load(in_flight=2, requests=1234, failures=1, rate=12.34, latency=0.0021),
                links=(("/docs", "API documentation"),), needs_token=True)  # fmt: skip


def test_the_card_as_text() -> None:
    assert card(APP).text() == (
        "my-api  (app, active)\n"
        "  address            http://127.0.0.1:4000/  (asks for the token)\n"
        "  replicas           1 active\n"
        "  requests           1,234 so far, 12.3 per second, 1 failed, 2 in flight\n"
        "  latency            2.1 ms  (half of the last requests were quicker)\n"
        "  API documentation  http://127.0.0.1:4000/docs\n"
        "  replicas:\n"
        "    r1  active  pid 41\n"
        "  log:\n"
        "    r1 | <b>hi</b>"
    )


def test_what_is_shown_is_escaped_and_says_why_it_failed() -> None:
    failed = replace(APP, phase=AppPhase.FAILED, why="it crashed <5> times", replicas=())
    html = card(failed).html()
    assert "&lt;b&gt;hi&lt;/b&gt;" in html
    assert "it crashed &lt;5&gt; times" in html
    assert "none: the next request starts one" in card(replace(failed, phase=AppPhase.IDLE)).text()


def test_the_list_names_those_of_other_kernels() -> None:
    text = apps([APP], [{"name": "other", "url": "http://127.0.0.1:5000/", "pid": 7, "version": "v"}]).text()
    assert "another kernel's  http://127.0.0.1:5000/" in text
    assert "no app is served" in apps([], []).text()


def test_the_last_minute_is_drawn_in_characters() -> None:
    rates = (0.0,) * 40 + (10.0,) * 10 + (5.0,) * 10
    text = card(replace(APP, history=(rates, rates))).text()
    assert f"last minute        {'·' * 20}█████▄▄▄▄▄  (requests, at most 10.0 per second)" in text


def test_an_app_of_a_cluster_shows_what_a_cluster_tells() -> None:
    there = AppRecord(
        "my-api", AppPhase.STARTING, "", why="pulling <image>", load=None, count=0,
        note="behind the cluster's own sign-in", place="shop/development at dns:///f, revision 2",
    )  # fmt: skip
    assert card(there).text() == (
        "my-api  (app, starting)\n"
        "  address    none yet  (behind the cluster's own sign-in)\n"
        "  served by  shop/development at dns:///f, revision 2\n"
        "  state      pulling <image>\n"
        "  replicas   none"
    )
    assert "<image>" not in head(there)
    assert "no address yet" in head(there)
    assert (traffic(there), "replicas: none" in replicas(there)) == ("", True)
    active = replace(there, phase=AppPhase.ACTIVE, url="https://a", why="")
    assert "replicas   not told by the cluster" in card(active).text()
    assert "replicas   3" in card(replace(active, count=3)).text()
    assert "https://a" in apps([active], []).text()
