"""Serves an app to 1, then 200, then 1 client: ``python tests/benchmarks/app_ramp.py [--picture FILE.svg]``.

The app is what a notebook would have: ``flyte.serve`` of a FastAPI app under uvicorn that insists on port 8080, takes
50 ms for an answer, asks for its token, and has between one and five replicas. The clients are in a process of their
own; each asks, waits for the answer, pauses (``--pause`` says how long) and asks again, on one connection; every other
one posts, which is never tried twice. An answer other than 200, a connection that breaks off and 30 s without an answer
are failures; there should be none. Prints a table of what happened over time, and draws it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import flyte_nb as flyte

TAKES = 0.05  # seconds for an answer
MOST = 200
#: seconds, and the clients there are then; between them their number grows and falls evenly
COURSE = ((0.0, 1), (3.0, 1), (24.0, MOST), (34.0, MOST), (48.0, 1), (60.0, 1))
STEP = 2.0  # seconds of a row
LATE = 30.0  # seconds after which an answer is a failure

app_env = flyte.app.AppEnvironment(
    name="ramp",
    port=8080,
    scaling=flyte.app.Scaling(replicas=(1, 5), metric=flyte.app.Scaling.Concurrency(8), scaledown_after=4),
)


@app_env.server
def serve() -> None:
    import uvicorn
    from fastapi import FastAPI

    api = FastAPI()

    @api.api_route("/", methods=["GET", "POST"])
    async def work() -> dict[str, bool]:
        await asyncio.sleep(TAKES)
        return {"done": True}

    uvicorn.run(api, host="0.0.0.0", port=8080, log_level="warning")


class Row(NamedTuple):
    """What happened in one step."""

    seconds: float
    clients: int
    replicas: int
    requests: int
    failures: int
    median: float  # milliseconds, as the next two
    high: float  # 95 of 100 were quicker
    slowest: float


def clients_at(seconds: float) -> int:
    """Give the number of clients that there should be."""
    for (since, before), (until, after) in itertools.pairwise(COURSE):
        if seconds < until:
            return round(before + (after - before) * (seconds - since) / (until - since))
    return 0


# the clients' process


class Visitors:
    """As many clients as the course says."""

    def __init__(self, port: int, pause: float, token: str) -> None:
        self._port, self._pause = port, pause
        head = f" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer {token}\r\n\r\n"
        self._requests = [(method + head).encode() for method in ("GET", "POST")]
        self._began = time.perf_counter()
        self.times: list[float] = []
        self.failures: list[str] = []

    @property
    def now(self) -> float:
        return time.perf_counter() - self._began

    async def visit(self, number: int) -> None:
        """Ask while there shall be as many clients as this one's number says."""
        writer = None
        while clients_at(self.now) >= number:
            began = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(self._requests[number % 2])
                if told := await asyncio.wait_for(self._failure(reader), LATE):
                    self.failures.append(told)
                else:
                    self.times.append(time.perf_counter() - began)
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                self.failures.append(repr(error))
                writer = None
            await asyncio.sleep(self._pause)
        if writer is not None:
            writer.close()

    @staticmethod
    async def _failure(reader: asyncio.StreamReader) -> str:
        """Read an answer; give it where it is none of the app's."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
        body = await reader.readexactly(int(length))
        return "" if head.startswith("HTTP/1.1 200 ") else f"{head.partition(chr(13))[0]}: {body.decode()}"

    async def run(self) -> None:
        """Come and go; tell of each step in a line of JSON."""
        visits: dict[int, asyncio.Task[None]] = {}
        told = 0.0
        while clients_at(self.now):
            for number in range(1, clients_at(self.now) + 1):
                if number not in visits or visits[number].done():
                    visits[number] = asyncio.create_task(self.visit(number))
            await asyncio.sleep(0.05)
            if self.now - told >= STEP:
                told = self.now
                self._tell(told)
        await asyncio.gather(*visits.values())
        self._tell(self.now)

    def _tell(self, now: float) -> None:
        times, failures = self.times, self.failures
        self.times, self.failures = [], []
        print(
            json.dumps({"seconds": now, "clients": clients_at(now), "times": times, "failures": failures}), flush=True
        )


# the kernel's process


def ramp(pause: float) -> tuple[list[Row], list[str]]:
    """Serve, and have the clients come and go; give the rows, and what failed."""
    rows, failures = [], []
    print(
        "| s | clients | replicas | requests | failures | median ms | 95 of 100, ms | slowest ms |\n" + "|---" * 8 + "|"
    )
    with flyte.serve(app_env) as handle:
        command = [sys.executable, __file__, "--visit", handle.endpoint.rpartition(":")[2], "--pause", str(pause)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as visitors:
            assert visitors.stdin is not None
            assert visitors.stdout is not None
            print(handle.token, file=visitors.stdin, flush=True)
            for line in visitors.stdout:
                told = json.loads(line)
                ready = sum(replica.phase.value == "active" for replica in handle.replicas)
                row = Row(told["seconds"], told["clients"], ready, len(told["times"]) + len(told["failures"]),
                          len(told["failures"]), *(1000 * figure for figure in spread(told["times"])))  # fmt: skip
                print("| " + " | ".join(f"{value:.0f}" for value in row) + " |", flush=True)
                rows.append(row)
                failures += told["failures"]
        load = handle.metrics
    print(f"\n{sum(row.requests for row in rows)} requests, {len(failures)} failures; by the app's own count "
          f"{load.requests} and {load.failures}; at most {max(row.replicas for row in rows)} replicas")  # fmt: skip
    return rows, failures


def spread(times: Sequence[float]) -> tuple[float, float, float]:
    """Give the median, what 95 of 100 stay below, and the largest."""
    if len(times) < 2:
        return (times or [0.0])[0], max(times, default=0.0), max(times, default=0.0)
    return statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1], max(times)


# the picture

PANELS: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("clients", "one", lambda row: row.clients),
    ("replicas", "one", lambda row: row.replicas),
    (f"requests in {STEP:g} s", "one", lambda row: row.requests),
    ("failures", "bad", lambda row: row.failures),
    ("milliseconds for an answer: median; dashed, what 95 of 100 stay below", "two", lambda row: row.high),
)
LEFT, WIDTH, HEIGHT, GAP = 56, 620, 80, 34
STYLE = (
    ".ramp{--paper:#fff;--ink:#1f2328;--rule:#8c959f;--one:#5b2bd6;--two:#9a5b00;--bad:#b3261e}"
    "@media(prefers-color-scheme:dark){"
    ".ramp{--paper:#0d1117;--ink:#e6edf3;--rule:#6e7681;--one:#a78bfa;--two:#e3a008;--bad:#ff7b72}}"
)


def drawn(rows: Sequence[Row]) -> str:
    """Draw the rows over time, each column in a panel of its own; right on light and on dark paper."""
    parts: list[str] = []
    end = max(row.seconds for row in rows)
    for place, (title, colour, of) in enumerate(PANELS):
        top, most = 24 + place * (HEIGHT + GAP), max([1.0, *map(of, rows)])
        parts.append(_frame(top, title, most))
        points = [(row.seconds / end * WIDTH, of(row) / most) for row in rows]
        parts.append(_line(points, top, colour, "5 4" if colour == "two" else "none"))
        if colour == "two":
            parts.append(_line([(row.seconds / end * WIDTH, row.median / most) for row in rows], top, "one"))
    bottom = 24 + len(PANELS) * (HEIGHT + GAP)
    marks = "".join(f'<text x="{LEFT + at / end * WIDTH:.0f}" y="{bottom - 16}" text-anchor="middle">{at:.0f} s</text>'
                    for at in range(0, int(end) + 1, 10))  # fmt: skip
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="ramp" role="img" aria-label="A ramp of clients over time" '
            f'viewBox="0 0 {LEFT + WIDTH + 24} {bottom}" width="{LEFT + WIDTH + 24}" height="{bottom}" '
            f'font-family="system-ui,sans-serif" font-size="12" fill="var(--ink)"><style>{STYLE}</style>'
            f'<rect width="100%" height="100%" fill="var(--paper)"/>{"".join(parts)}{marks}</svg>\n')  # fmt: skip


def _frame(top: int, title: str, most: float) -> str:
    return (f'<text x="{LEFT}" y="{top - 7}" font-weight="600">{title}</text>'
            f'<text x="{LEFT - 8}" y="{top + 9}" text-anchor="end">{most:.0f}</text>'
            f'<text x="{LEFT - 8}" y="{top + HEIGHT}" text-anchor="end">0</text>'
            f'<path d="M{LEFT},{top}v{HEIGHT}h{WIDTH}" fill="none" stroke="var(--rule)"/>')  # fmt: skip


def _line(points: Sequence[tuple[float, float]], top: int, colour: str, dashes: str = "none") -> str:
    places = " ".join(f"{LEFT + x:.1f},{top + HEIGHT * (1 - y):.1f}" for x, y in points)
    return (f'<polyline points="{places}" fill="none" stroke="var(--{colour})" stroke-width="1.8" '
            f'stroke-dasharray="{dashes}"/>')  # fmt: skip


def main() -> None:
    """Run the ramp; the exit code tells whether a request failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, help="where the picture goes")
    parser.add_argument("--pause", type=float, default=0.25, help="seconds of a client between two requests; 0.25")
    parser.add_argument("--visit", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.visit:
        asyncio.run(Visitors(options.visit, options.pause, sys.stdin.readline().strip()).run())
        return
    rows, failures = ramp(options.pause)
    for told in failures[:10]:
        print("failed:", told)
    if options.picture is not None:
        options.picture.write_text(drawn(rows))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
