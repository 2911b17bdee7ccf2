"""Machine: what this process may use of the machine it is on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from flyte_nb.engine.local.machine import Machine

from systems import system

V1 = (
    "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
)
V2 = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
#: NVIDIA's management library, as far as it is asked: two GPUs, or an error for FAIL
LIBRARY = r"""
#include <stdlib.h>
#include <string.h>
static char slots[2];
int nvmlInitWithFlags(unsigned f) { return getenv("FAIL") ? 9 : 0; }
int nvmlInit_v2(void) { return getenv("FAIL") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = slots + i; return 0; }
int nvmlDeviceGetUUID(void *h, char *out, unsigned n) {
    strcpy(out, h == slots ? "GPU-aaaa-1" : "GPU-bbbb-2");
    return 0;
}
int nvmlDeviceGetName(void *h, char *out, unsigned n) {
    strcpy(out, h == slots ? "NVIDIA A100-SXM4-40GB" : "NVIDIA L4");
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *h, unsigned long long *m) { m[0] = 40ull << 30; m[1] = m[2] = 0; return 0; }
const char *nvmlErrorString(int r) { return "Driver Not Loaded"; }
"""
ASK = """from flyte_nb.engine.local.machine import Machine
m = Machine.here()
print([(g.index, g.uuid, g.name, g.memory) for g in m.gpus], m.no_gpus)"""


def test_here_agrees_with_psutil() -> None:
    machine = Machine.here()
    assert 0 < machine.cores <= (os.cpu_count() or 1)
    assert 0 < machine.memory <= psutil.virtual_memory().total
    if sys.platform == "linux":
        assert machine.core_numbers == os.sched_getaffinity(0)


@pytest.mark.parametrize(
    ("groups", "mounts", "files"),
    [
        (
            "2:memory:/a\n1:cpu:/a\n",
            V1,
            {"cpu/a/cpu.cfs_quota_us": "50000\n", "cpu/a/cpu.cfs_period_us": "100000\n", "cpu/cpu.cfs_quota_us": "-1\n",
             "memory/a/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.limit_in_bytes": "1048576\n"},
        ),
        (
            "0::/a/b\n",
            V2,
            {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n",
             "a/memory.max": "1048576\n", "a/b/memory.max": "max\n"},
        ),
    ],
    ids=["version 1", "version 2"],
)  # fmt: skip
def test_the_limits_of_control_groups(tmp_path: Path, groups: str, mounts: str, files: dict[str, str]) -> None:
    root = system(tmp_path, groups, mounts, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    machine = Machine.here(root)
    assert (machine.cores, machine.memory) == (0.5, 1 << 20)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are not bound to cores here")
def test_the_affinity_of_the_process() -> None:
    core = min(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\n{ASK}\nprint(m.cores <= 1, *m.core_numbers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"True {core}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a management library that was compiled for this test."""
    if not (sys.platform == "linux" and (compiler := shutil.which("cc"))):
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(LIBRARY)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", folder / "nvml.c"], check=True)
    return folder


def gpus(library: Path, **variables: str) -> str:
    env = {**os.environ, "LD_LIBRARY_PATH": str(library), **variables}
    return subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, env=env).stdout


FIRST, SECOND = ((0, "GPU-aaaa-1", "NVIDIA A100-SXM4-40GB", 40 << 30), (1, "GPU-bbbb-2", "NVIDIA L4", 40 << 30))


@pytest.mark.parametrize(
    ("visible", "found"),
    [("0,1", [FIRST, SECOND]), ("1", [SECOND]), ("GPU-bbbb,0", [SECOND, FIRST]), ("1,7,0", [SECOND])],
)
def test_gpus_that_this_process_may_use(library: Path, visible: str, found: list[object]) -> None:
    assert gpus(library, CUDA_VISIBLE_DEVICES=visible) == f"{found} \n"


def test_no_gpus_and_why(library: Path) -> None:
    assert gpus(library, CUDA_VISIBLE_DEVICES="") == "[] there is no GPU in CUDA_VISIBLE_DEVICES\n"
    assert gpus(library, FAIL="1").startswith("[] NVIDIA's management library: ")
    code = f"import sys; sys.modules['pynvml'] = None\n{ASK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'flyte_nb[gpu]'" in done.stdout
