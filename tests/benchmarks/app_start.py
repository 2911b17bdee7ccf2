"""How long an app takes from scale zero to its first answer: ``python tests/benchmarks/app_start.py [ROUNDS]``.

A FastAPI app with ``replicas=(0, 1)`` is scaled to zero, then asked; beside it, in the same rounds, a bare
``python -m uvicorn`` of the same file from its start to its first answer: what no supervisor can do without.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from flyte_nb.engine.local.apps.ports import free_port
from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.environments.scaling import Scaling

from app_bench import AppBench, get

BARE = """
from fastapi import FastAPI
api = FastAPI()

@api.get("/")
def index(): return {"n": 1}
"""
SOURCE = f"""{BARE}
import flyte_nb as flyte
app = flyte.app.AppEnvironment("a", port=8080, scaling=flyte.app.Scaling((0, 1)))

@app.server
def serve():
    import uvicorn
    uvicorn.run(api, host="0.0.0.0", port=8080)
"""


def woken(bench: AppBench, rounds: int) -> list[float]:
    """Give the seconds from a request to a sleeping app to its answer."""
    service = bench.serve(bench.spec(SOURCE, scaling=Scaling((0, 1), scaledown_after=1)))
    times = []
    for _ in range(rounds):
        while service.phase is not AppPhase.IDLE or service.records:
            time.sleep(0.05)
        began = time.perf_counter()
        status, _ = get(service)
        times.append(time.perf_counter() - began)
        assert status == 200
    bench.stop()
    return times


def bare(folder: Path) -> float:
    """Give the seconds from the start of a bare uvicorn to its first answer."""
    (folder / "bare.py").write_text(BARE)
    port, began = free_port(), time.perf_counter()
    words = [sys.executable, "-m", "uvicorn", "bare:api", "--port", str(port), "--log-level", "error"]
    with subprocess.Popen(words, cwd=folder) as process:
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
                    return time.perf_counter() - began
                except OSError:
                    time.sleep(0.005)
        finally:
            process.kill()


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = AppBench(folder)
        alone = [bare(folder) for _ in range(rounds)]
        times = woken(bench, rounds)
        bench.close()
    for what, found in {"woken from zero": times, "bare uvicorn": alone}.items():
        told = f"median {statistics.median(found):.2f} s, {min(found):.2f} to {max(found):.2f}, {rounds} rounds"
        print(f"{what:16} {told}")


if __name__ == "__main__":
    main()
