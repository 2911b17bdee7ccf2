"""The live card of an app: it is told what changes, and its link is good for a while only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from flyte_nb.engine.local.apps.spec import AppPhase, ReplicaRecord
from flyte_nb.engine.local.apps.traffic import KEPT, History, Load
from flyte_nb.widgets import app_parts, live_app
from flyte_nb.widgets.apps import AppRecord
from flyte_nb.widgets.live_app import AppState, LiveCard
from flyte_nb.widgets.sparkline import characters, picture

from scripts import soon

REPLICA = ReplicaRecord("r1", AppPhase.ACTIVE, 41, 23001, "v1", datetime.now(timezone.utc))
APP = AppRecord("my-api", AppPhase.ACTIVE, "http://127.0.0.1:4000/", replicas=(REPLICA,), lines=("r1 | <b>hi</b>",),
                load=Load(requests=12), needs_token=True)  # fmt: skip


class Served:
    """An app that changes when the test says so."""

    def __init__(self, app: AppRecord = APP) -> None:
        self.now, self.stopped, self.withdrawn = app, 0, list[str]()
        self.ends_at_once = False
        self.listeners: list[Callable[[], None]] = []
        self.card = LiveCard(
            AppState(lambda: self.now, self.stop, lambda: "http://127.0.0.1:4000/?flyte_ticket=<x>",
                     self.withdrawn.append, self.observe)
        )  # fmt: skip
        self.box = self.card.widget()

    def stop(self) -> None:
        self.stopped += 1
        if self.ends_at_once:
            self.change(phase=AppPhase.STOPPED, replicas=())

    def observe(self, listener: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def change(self, **changes: object) -> None:
        self.now = replace(self.now, **changes)  # type: ignore[arg-type]
        for listener in list(self.listeners):
            listener()

    def seen(self) -> str:
        return "".join(widget.value for widget in self.card._shown.values())


@pytest.fixture
def served() -> Served:
    return Served()


def test_it_follows_its_app_to_the_end(served: Served) -> None:
    served.change(load=Load(requests=5000))
    assert soon(lambda: "5,000 so far" in served.seen(), 5)
    assert "&lt;b&gt;hi&lt;/b&gt;" in served.seen()
    served.card._stops.click()
    assert (served.stopped, served.card._stops.disabled) == (1, True)
    served.change(phase=AppPhase.STOPPED, replicas=())
    assert soon(lambda: "■ stopped" in served.seen() and served.card._opens.disabled, 5)
    assert soon(lambda: "✓ it has ended: it is stopped" in served.card._status.value, 5)
    assert "asked to stop" not in served.card._status.value
    served.change(phase=AppPhase.ACTIVE, replicas=(REPLICA,))  # it is served again
    assert soon(lambda: "▶ active" in served.seen() and not served.card._opens.disabled, 5)


def test_a_stop_that_is_done_at_once_is_told_as_done(served: Served) -> None:
    served.ends_at_once = True
    served.card._stops.click()
    assert soon(lambda: "it has ended" in served.card._status.value, 5)
    served.change(phase=AppPhase.STARTING)
    assert soon(lambda: served.card._status.value == "", 5)


def test_an_app_that_no_browser_can_look_at_has_no_open() -> None:
    served = Served(replace(APP, has_pages=False))
    assert "Open" not in str([button.description for button in buttons(served.box)])
    assert "asks for the token<" in served.seen()
    assert "<a " not in served.seen()


def test_addresses_are_links_where_that_is_safe() -> None:
    app = replace(APP, links=(("/docs", "Docs"), ("/\u202ex", "odd"), ('/"><script>', "bad")))
    told = app_parts.head(app)
    assert '<a href="http://127.0.0.1:4000/docs" target="_blank" rel="noopener noreferrer"' in told
    assert told.count("<a ") == 3
    assert "<script>" not in told
    assert "<a " not in app_parts.head(replace(app, url="javascript:alert(1)//"))
    assert "<a " not in app_parts.head(replace(app, phase=AppPhase.STOPPED))


def buttons(box: Any) -> list[Any]:
    inner = [found for child in getattr(box, "children", ()) for found in buttons(child)]
    return [*inner, box] if hasattr(box, "click") else inner


def test_what_fails_is_told(served: Served) -> None:
    served.change(phase=AppPhase.FAILED, why="it crashed <5> times", replicas=())
    assert soon(lambda: "it crashed &lt;5&gt; times" in served.seen(), 5)
    served.card._opens.click()
    assert "app my-api is failed; serve it again" in served.card._status.value


def test_its_link_goes_and_is_good_no_longer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_app, "LINK", 0.3)
    served.card._opens.click()
    assert 'href="http://127.0.0.1:4000/?flyte_ticket=&lt;x&gt;"' in served.seen()
    assert "works once" in served.seen()
    assert "flyte_ticket" not in served.card.text() + served.card.html()
    assert soon(lambda: "flyte_ticket" not in served.seen(), 5)
    assert served.withdrawn == ["http://127.0.0.1:4000/?flyte_ticket=<x>"]


def test_a_card_that_is_closed_listens_no_more_and_takes_its_link_along(served: Served) -> None:
    served.card._opens.click()
    served.card.close()
    assert served.listeners == []
    assert len(served.withdrawn) == 1


def test_the_last_minute() -> None:
    history = History()
    assert history.series() == ((), ())
    history.add(100.2, Load(rate=4.0, latency=0.1))
    history.add(100.9, Load(rate=8.0, latency=0.1))
    history.add(105.0, Load(rate=0.0))
    rates, _ = history.series()
    assert len(rates) == KEPT
    assert rates[-7:] == (0.0, 8.0, 8.0, 8.0, 8.0, 8.0, 0.0)
    for second in range(200):
        history.add(200.0 + second, Load(rate=float(second)))
    assert history.series()[0] == tuple(float(second) for second in range(200 - KEPT, 200))


def test_sparklines() -> None:
    assert characters([0, 0, 1, 2, 4, 8], 6) == "··▁▂▄█"
    assert characters([], 6) == ""
    drawn = picture([0.0] * 50 + [4.0, 0.0], "requests <b>")
    assert 'aria-label="requests &lt;b&gt;"' in drawn
    assert "0,19 49,19 50,1 51,19" in drawn  # what is level is told by its ends


def test_the_parts_of_a_card() -> None:
    rates = (0.0,) * 30 + (2.0,) * 30
    busy = replace(
        APP, load=Load(3, 0, 12, 1, 2.0, 0.004, {"r1": 3}), history=(rates, rates), links=(("/d", "<docs>"),)
    )
    assert "http://127.0.0.1:4000/d" in app_parts.head(busy)
    assert "&lt;docs&gt;" in app_parts.head(busy)
    assert "half were answered within 4.0 ms" in app_parts.traffic(busy)
    assert app_parts.traffic(busy).count("<svg") == 2
    assert "<svg" not in app_parts.traffic(APP)
    assert ">3<" in app_parts.replicas(busy)
    assert "the next request starts one" in app_parts.replicas(replace(APP, phase=AppPhase.IDLE, replicas=()))
