"""Ports: free ones, owners, and servers that insist on theirs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from flyte_nb.engine.local.apps import port_mapping, ports
from flyte_nb.engine.local.apps.command import SHIM, can_have_network, is_python, told_command
from flyte_nb.errors import UsageError

BOUND = """
import socket, sys
s = socket.socket(*FAMILY)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
OPTIONS
s.bind(ADDRESS)
print(s.getsockname()[:2])
"""


def ran(code: str, mapping: str, way: str) -> str:
    env = {**os.environ, "FLYTE_NB_PORTS": mapping}
    if way == "shim":
        env["PYTHONPATH"] = str(SHIM)
    else:
        code = f"from flyte_nb.engine.local.apps import port_mapping\nport_mapping.install()\n{code}"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bound(address: object, mapping: str, way: str, family: str = "()", options: str = "") -> str:
    code = BOUND.replace("FAMILY", family).replace("OPTIONS", options).replace("ADDRESS", repr(address))
    return ran(code, mapping, way)


@pytest.mark.parametrize("way", ["shim", "here"])
def test_a_port_that_stands_for_another_on_the_loopback_address(way: str) -> None:
    port = ports.free_port()
    mapping = f"8080:{port}"
    assert bound(("0.0.0.0", 8080), mapping, way) == f"('127.0.0.1', {port})"
    both = bound(("::", 8080), mapping, way, "(socket.AF_INET6,)", "s.setsockopt(41, socket.IPV6_V6ONLY, 0)")
    assert both == f"('::ffff:127.0.0.1', {port})"
    only = bound(("::", 8080, 0, 0), mapping, way, "(socket.AF_INET6,)", "s.setsockopt(41, socket.IPV6_V6ONLY, 1)")
    assert only == f"('::1', {port})"
    other = ports.free_port()
    assert bound(("", other), mapping, way) == f"('127.0.0.1', {other})"  # no other server is exposed either
    assert bound(("", 0), mapping, way).startswith("('0.0.0.0', ")


def test_connecting_to_itself_and_to_others() -> None:
    code = textwrap.dedent("""
        import socket
        s = socket.create_server(("", 8080))
        print(socket.create_connection(("localhost", 8080)).getpeername()[1])
    """)
    port = ports.free_port()
    assert ran(code, f"8080:{port}", "here") == str(port)
    with socket.socket() as sock:
        assert port_mapping._connected(sock, ("10.1.1.1", 8080), {8080: port}) == ("10.1.1.1", 8080)
        assert port_mapping._connected(sock, ("127.0.0.1", 80), {8080: port}) == ("127.0.0.1", 80)


def test_the_shim_gives_way_to_the_sitecustomize_that_it_shadows(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('own')")
    env = {**os.environ, "PYTHONPATH": f"{SHIM}{os.pathsep}{tmp_path}", "FLYTE_NB_PORTS": "1:2"}
    done = subprocess.run([sys.executable, "-c", "import socket; print(socket.socket.bind.__name__)"], env=env,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.split() == ["own", "patched"]


def test_mapping_reads_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_NB_PORTS", "8080:23001,9092:23002")
    assert port_mapping.mapping() == {8080: 23001, 9092: 23002}
    assert (port_mapping.mapped(9092), port_mapping.mapped(80)) == (23002, 80)
    assert ports.variables({8080: 1, 9092: 2}) == {"FLYTE_NB_PORTS": "8080:1,9092:2"}


def test_free_ports_are_given_once_and_below_those_of_outgoing_connections() -> None:
    found = [ports.free_port() for _ in range(50)]
    assert len(set(found)) == 50
    assert all(20_000 <= port < 32_768 for port in found)
    for port in found:
        ports.give_back(port)


def test_a_taken_port_names_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} of app 'a' is taken by .+ \(pid {os.getpid()}\)"):
            ports.insist_free(port, "app 'a'")
        assert port in ports.listening_ports(os.getpid())
    ports.insist_free(port, "app 'a'")


def test_which_commands_are_pythons(tmp_path: Path) -> None:
    for name, text in {"py-script": "#!/usr/bin/env python3\n", "long": "#!/bin/sh\n'''exec' /x/python \"$0\"\n",
                       "other": "#!/bin/sh\necho\n"}.items():  # fmt: skip
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert is_python([sys.executable, "x.py"], path)
    assert is_python(["py-script"], path)
    assert is_python(["long"], path)
    assert is_python(["sh", "-c", "exec py-script --port 8080"], path)
    assert not is_python(["other"], path)
    assert not is_python(["no-such-program"], path)
    assert told_command(["a", "b c"]) == "a 'b c'"
    assert len(told_command(["a"] * 100)) < 90


def test_a_network_of_its_own_is_probed_once() -> None:
    assert can_have_network() in (True, False)
    assert can_have_network.cache_info().currsize == 1
