"""What a view of a run costs the kernel: ``python tests/benchmarks/widgets_runs.py``.

A real kernel shows a run of 10,000 actions whose events come at a rate; meanwhile a front end asks for trivial cells.
Told are how long those take, with and without a view, what is sent, and how much of a processor the view takes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from kernels import Kernel
from widget_client import widget_kernel

SECONDS, ACTIONS = 5.0, 10_000
FEED = """
import json, threading, time
from ipykernel.comm.comm import BaseComm
from flyte_nb.engine.base import Action, Event, Outputs, Phase, Run, now
from flyte_nb.widgets.run_view import RunState, RunView

sent = []
publish = BaseComm.publish_msg

def counted(self, kind, data=None, *args, **kwargs):
    sent.append(len(json.dumps(data, default=str)))
    return publish(self, kind, data, *args, **kwargs)

BaseComm.publish_msg = counted

def made():
    return Run("bench", "e.root", actions=[Action("a0", "e.root", None, Phase.RUNNING, now(), queued=now())])

def view_of(run):
    return RunView(RunState(run, tail=lambda action: [], attempts=lambda action: []))

def feed(run, rate, seconds):
    "Tell of actions, each as it starts and as it ends, so many events a second; the last event ends the run."
    begin, told = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        for number in range(told, int(elapsed * rate)):
            tell(run, number)
        told = max(int(elapsed * rate), told)
        time.sleep(0.002)
    end(run)

def tell(run, number):
    which, ends = number // 2 % ACTIONS, number % 2
    group = f"part {which % 5}"
    action = Action(f"a{which + 1}", "e.step", "a0", Phase.SUCCEEDED if ends else Phase.RUNNING, now(),
                    now() if ends else None, queued=now(), group=group)
    run.observers.tell(Event(run.name, action))

def end(run):
    run.root.phase, run.root.ended, run.error = Phase.SUCCEEDED, now(), None
    run.result = Outputs.of(1, ("o0",))
    run.observers.tell(Event(run.name, run.root.copy()))
"""


def measure() -> dict[str, Any]:
    """Give the figures by name."""
    found: dict[str, Any] = {}
    with widget_kernel(Path(tempfile.mkdtemp())) as (kernel, _):
        kernel.run(f"%load_ext flyte_nb\nACTIONS = {ACTIONS}\n{FEED}")
        _asked(kernel, 2.0)
        found["trivial cell, nothing else"] = _told(_asked(kernel, SECONDS))
        for rate in (1_000, 10_000):
            for is_shown in (False, True):
                key = f"{rate:,} events per second, {'a view' if is_shown else 'no view'}"
                found[key] = _at_rate(kernel, rate, is_shown)
        found["all at once"] = _at_once(kernel)
    return found


def _at_rate(kernel: Kernel, rate: int, is_shown: bool) -> dict[str, Any]:
    kernel.run("run = made(); view = view_of(run)" + ("; display(view)" if is_shown else ""))
    kernel.run("del sent[:]")
    kernel.run(f"cpu = time.process_time(); feeder = threading.Thread(target=feed, args=(run, {rate}, {SECONDS}))\n"
               "feeder.start()")  # fmt: skip
    taken = _told(_asked(kernel, SECONDS))
    kernel.run("feeder.join(); cpu = time.process_time() - cpu")
    taken["processor"] = f"{float(kernel.value('cpu')) / SECONDS:.0%}"
    if is_shown:  # counted in the kernel: a client lets go of what arrives while it waits for another cell
        kernel.run("while len(run.observers): time.sleep(0.01)")
        count, total = int(kernel.value("len(sent)")), int(kernel.value("sum(sent)"))
        taken["bytes per second"], taken["bytes per message"] = round(total / SECONDS), round(total / max(count, 1))
        kernel.run("view.close()")
    return taken


def _at_once(kernel: Kernel) -> dict[str, Any]:
    """Give how quickly a view takes in what is told as fast as can be."""
    kernel.run("run = made(); view = view_of(run); display(view)")
    kernel.run(
        "began = time.perf_counter()\nfor number in range(2 * ACTIONS): tell(run, number)\n"
        "told = time.perf_counter() - began\nend(run)\nwhile len(run.observers): time.sleep(0.001)\n"
        "shown = time.perf_counter() - began"
    )
    told, shown = (float(kernel.value(name)) for name in ("told", "shown"))
    kernel.run("view.close()")
    return {
        "events": 2 * ACTIONS,
        "told in ms": round(told * 1e3),
        "shown after ms": round(shown * 1e3),
        "events per second": round(2 * ACTIONS / shown),
    }


def _asked(kernel: Kernel, seconds: float) -> list[float]:
    """Ask for trivial cells, one after the other, and give how long each took, in ms."""
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        kernel.run("None")
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _told(taken: list[float]) -> dict[str, Any]:
    ordered = sorted(taken)
    return {
        "cells": len(taken),
        "median ms": round(statistics.median(ordered), 1),
        "99 of 100 ms": round(ordered[int(len(ordered) * 0.99)], 1),
        "longest ms": round(ordered[-1], 1),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
