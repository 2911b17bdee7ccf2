"""Bounds: a fork bomb and a thread bomb stop where they should, as root and as an ordinary user."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from flyte_nb.engine.local.bounds import FILES, Bounds, bounded
from flyte_nb.engine.local.cgroups import make_group

from scripts import ran

MOST = 200  # no bomb goes further, whatever is wrong
BOMB = f"""
import os, sys, time
count = 0
for _ in range({MOST}):
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    except OSError:
        break
    count += 1
print(count, flush=True)
os.killpg(0, 9)
"""
THREADS = f"""
import threading, time
count = 0
for _ in range({MOST}):
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        break
    count += 1
print(count, flush=True)
"""

FEW_FILES = """
import resource, subprocess, sys
from flyte_nb.engine.local.bounds import bounded
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
code = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
with bounded() as bounds:
    subprocess.run([sys.executable, "-S", "-c", code], preexec_fn=bounds, check=True)
"""


def run(code: str, bounds: Bounds) -> str:
    done = subprocess.run([sys.executable, "-S", "-c", code], preexec_fn=bounds, start_new_session=True,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("bomb", [BOMB, THREADS], ids=["processes", "threads"])
def test_a_bomb_is_bounded_where_the_machine_allows(bomb: str) -> None:
    with bounded(processes=20) as bounds:
        count = int(run(bomb, bounds))
    if not bounds.bound:
        assert os.geteuid() == 0  # without control groups nothing binds root
        assert count == MOST
    elif bounds.group:
        assert count == 19  # and the process itself
    else:
        assert count < 100  # the user's other processes come and go


def test_without_a_bound_the_bomb_goes_on() -> None:
    with bounded(processes=MOST * 2 + 100) as bounds:
        assert int(run(BOMB, bounds)) == MOST


def test_what_is_left_in_the_group_is_killed_and_the_group_removed() -> None:
    with bounded(processes=20) as bounds:
        if bounds.group is None:
            pytest.skip("this user may make no control groups here")
        code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\nelse:\n    os._exit(0)"
        subprocess.run([sys.executable, "-S", "-c", code], preexec_fn=bounds, check=True, timeout=60)
        (left,) = map(int, Path(bounds.group, "cgroup.procs").read_text().split())
    assert not Path(bounds.group).exists()
    until = time.monotonic() + 10
    while psutil.pid_exists(left) and time.monotonic() < until:
        time.sleep(0.01)
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def test_files() -> None:
    code = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with bounded(files=300) as bounds:
        assert run(code, bounds) == f"300 {hard}"
    with bounded() as bounds:
        assert int(run(code, bounds).split()[0]) >= min(max(soft, 0) or FILES, FILES)


def test_few_files_by_default_are_raised(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = ran(["-c", FEW_FILES], tmp_path)
    assert done.stdout.split() == [str(FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)), str(hard)], done


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits are set on Linux only")
def test_bounds_of_a_process_that_runs_already() -> None:
    code = f"import sys; sys.stdin.readline()\n{BOMB}"
    with bounded(processes=20, files=300) as bounds:
        bounds = pickle.loads(pickle.dumps(bounds))
        with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True, start_new_session=True) as process:  # fmt: skip
            bounds.apply_to(process.pid)
            assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] == 300
            out, _ = process.communicate("\n", timeout=60)
    assert (int(out) < 100) == bounds.bound


def test_root_is_told_what_is_not_bounded() -> None:
    group = make_group("pids", "flyte-nb-test")
    if group is not None:
        assert group.remove()
    with bounded() as bounds:
        assert bounds.bound == (group is not None or os.geteuid() != 0)
