"""Control groups: found as the system describes them, and made, used and removed where that is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flyte_nb.engine.local.cgroups import ancestry, make_group

from systems import system

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def test_version_1_with_the_mount_of_a_container(tmp_path: Path) -> None:
    mounts = (
        "30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "31 30 0:27 /docker/abc /sys/fs/cgroup/memory rw,nosuid shared:1 - cgroup cgroup rw,memory\n"
        "32 30 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    groups = "5:memory:/docker/abc/inner\n4:cpu,cpuacct:/docker/abc\n0::/\n"
    root = system(tmp_path, groups, mounts, {})
    assert [place.folder for place in ancestry("memory", root)] == [
        root / "sys/fs/cgroup/memory/inner", root / "sys/fs/cgroup/memory"
    ]  # fmt: skip
    assert [(p.folder.name, p.version) for p in ancestry("cpu", root)] == [("cpu,cpuacct", 1)]
    assert ancestry("pids", root) == []


def test_version_2(tmp_path: Path) -> None:
    mounts = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    files = {"sys/fs/cgroup/app.slice/cgroup.subtree_control": "memory pids\n",
             "sys/fs/cgroup/app.slice/nb.scope/cgroup.subtree_control": "\n"}  # fmt: skip
    root = system(tmp_path, "0::/app.slice/nb.scope\n", mounts, files)
    assert [(p.folder.name, p.version) for p in ancestry("memory", root)] == [
        ("nb.scope", 2), ("app.slice", 2), ("cgroup", 2)
    ]  # fmt: skip
    made = make_group("memory", "task", root)
    assert made is not None
    assert made.folder.parent.name == "app.slice"  # its own group has processes, and hands nothing down
    assert make_group("cpu", "task", root) is None


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path) -> None:
    mounts = "30 25 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    root = system(tmp_path, "3:pids:/\n", mounts, {"sys/fs/cgroup/pids/cgroup.procs": ""})
    process = subprocess.run([sys.executable, "-S", "-c", "import os; print(os.getpid())"], capture_output=True)
    left = [f"task-{pid}-{number}" for pid in (int(process.stdout), os.getppid()) for number in (1, 2)]
    for number, name in enumerate(left):
        folder = root / "sys/fs/cgroup/pids" / name
        folder.mkdir()
        if number % 2 == 0:
            os.utime(folder, (1e9, 1e9))
    made = make_group("pids", "task", root)
    assert made is not None
    assert sorted(f.name for f in made.folder.parent.glob("task-*")) == sorted([*left[1:], made.folder.name])


def test_no_control_groups(tmp_path: Path) -> None:
    assert ancestry("memory", tmp_path) == []
    assert make_group("memory", "task", tmp_path) is None


def test_a_group_of_this_system() -> None:
    group = make_group("pids", "flyte-nb-test")
    if group is None:
        pytest.skip("this user may make no control groups here")
    process = subprocess.Popen(SLEEP)
    try:
        assert group.add(process.pid)
        assert group.members() == [process.pid]
        assert not group.remove()  # it is in use
        assert not group.write("no.such.setting", 1)
        group.kill()
        assert process.wait(10) == -9
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 10
    while not group.remove() and time.monotonic() < until:
        time.sleep(0.01)
    assert not group.folder.exists()
    assert os.getpid() not in group.members()
