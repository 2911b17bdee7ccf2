"""A Ray cluster of two machines, as far as the network goes: each node has a network of its own; a task joins them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from scripts import soon, surroundings, written

LINK = "flyte-nb-"


def may_make_networks() -> bool:
    """Tell whether this user may make networks."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"{LINK}{secrets.token_hex(3)}"
    if subprocess.run(["ip", "link", "add", name[:15], "type", "bridge"], capture_output=True).returncode:
        return False
    subprocess.run(["ip", "link", "del", name[:15]], check=True)
    return True


pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'flyte_nb[ray]'"),
    pytest.mark.long,
    pytest.mark.timeout(600),
]
SCRIPT = """
import os
import flyte_nb as flyte
from flyte_nb.plugins.ray import RayJobConfig

env = flyte.TaskEnvironment("elsewhere", plugin_config=RayJobConfig([], address=os.environ["HEAD"]))

@env.task
def places() -> list[str]:
    import ray

    @ray.remote
    def here() -> str:
        return f"{ray.util.get_node_ip_address()} {os.readlink('/proc/self/ns/net')}"

    return ray.get([here.options(resources={name: 1}).remote() for name in ("one", "two")])

if __name__ == "__main__":
    for _ in range(2):  # what the first leaves is running still
        run = flyte.run(places)
    print(*run.outputs()[0], run.root.notice, sep="\\n")
"""


class Networks:
    """Two network namespaces behind a bridge of this machine; all of it is gone with the stack.

    Parameters
    ----------
    stack : ExitStack
        Takes what ends it.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.stack, mark = stack, secrets.token_hex(3)
        bridge, part = f"fnb{mark}", 1 + secrets.randbelow(250)
        self.names = [f"fnb{mark}{end}" for end in "ab"]
        self.addresses = [f"10.77.{part}.{number}" for number in (2, 3)]
        self._ip(f"link add {bridge} type bridge", f"link del {bridge}")
        self._ip(f"addr add 10.77.{part}.1/24 dev {bridge}")
        self._ip(f"link set {bridge} up")
        for name, address in zip(self.names, self.addresses, strict=True):
            self._ip(f"netns add {name}", f"netns del {name}")
            self._ip(f"link add {name} type veth peer name eth0 netns {name}")
            self._ip(f"link set {name} master {bridge} up")
            self._ip(f"-n {name} addr add {address}/24 dev eth0")
            self._ip(f"-n {name} link set eth0 up")
            self._ip(f"-n {name} link set lo up")

    def _ip(self, words: str, undo: str = "") -> None:
        subprocess.run(["ip", *words.split()], check=True)
        if undo:
            self.stack.callback(subprocess.run, ["ip", *undo.split()], check=False, capture_output=True)

    def within(self, place: int) -> list[str]:
        """Give the words before those of a process in a network."""
        return ["ip", "netns", "exec", self.names[place]]

    def wait_for(self, place: int, folder: Path) -> None:
        """Wait until a node says that it runs."""
        log = folder / f"{place}.log"
        assert soon(lambda: "Ray runtime started" in log.read_text(), 200), log.read_text()

    def start(self, place: int, *words: str, folder: Path) -> None:
        """Start a node of Ray in a network; ended with the stack, and with all that it has started."""
        log = self.stack.enter_context((folder / f"{place}.log").open("w"))
        process = subprocess.Popen(
            [*self.within(place), sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
             f"--node-ip-address={self.addresses[place]}", "--num-cpus=1", "--object-store-memory=100000000",
             "--disable-usage-stats", *words],
            stdout=log, stderr=log, env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        )  # fmt: skip
        self.stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, 30)


def test_a_task_on_one_machine_has_tasks_on_two(tmp_path: Path) -> None:
    if not may_make_networks():
        pytest.skip("this user may not make networks")
    with ExitStack() as stack:
        folder = Path(f"/tmp/fnb-{secrets.token_hex(3)}")  # sockets lie in it: its path has to be short
        folder.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        networks = Networks(stack)
        address = f"{networks.addresses[0]}:6379"
        networks.start(0, "--head", "--port=6379", "--include-dashboard=false", '--resources={"one": 1}',
                       f"--temp-dir={folder}/a", folder=folder)  # fmt: skip
        networks.wait_for(0, folder)
        networks.start(1, f"--address={address}", '--resources={"two": 1}', folder=folder)
        networks.wait_for(1, folder)
        script = written(tmp_path / "script.py", SCRIPT)
        surely = surroundings(tmp_path / "home", RAY_AUTH_MODE="disabled", HEAD=address)
        words = [*networks.within(0), sys.executable, str(script)]
        done = subprocess.run(words, capture_output=True, text=True, env=surely, timeout=300)
        assert done.returncode == 0, done.stderr
        first, second, told = done.stdout.splitlines()[-3:]
        assert [first.split()[0], second.split()[0]] == networks.addresses
        assert len({first.split()[1], second.split()[1], os.readlink("/proc/self/ns/net")}) == 3
        assert f"joined {address}" in told
