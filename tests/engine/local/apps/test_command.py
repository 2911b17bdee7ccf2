"""Commands: apps that are programs of their own, with their ports mapped."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path

import pytest
from flyte_nb.engine.local.apps.command import can_have_network
from flyte_nb.environments.scaling import Scaling
from flyte_nb.errors import RuntimeUserError
from test_app_worker import HOOKS, notes

from app_bench import AppBench, get
from scripts import is_gone, soon

#: serves as Streamlit does: dual-stack, on every address, in a process of its own
PROGRAM = """
import http.server, os, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.getpid()} {sys.argv[1:]} {os.getcwd()}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): print("served", flush=True)
Server(("::", 8080), Handler).serve_forever()
"""


def program(folder: Path, source: str = PROGRAM) -> tuple[str, ...]:
    file = folder / "program.py"
    file.write_text(textwrap.dedent(source))
    return (sys.executable, str(file), "a b", "$HOME")


def test_two_replicas_of_a_program_with_a_port_of_its_own(bench: AppBench, tmp_path: Path) -> None:
    spec = bench.spec("", command=program(tmp_path), declared=False, scaling=Scaling(2))
    service = bench.serve(spec)
    status, text = get(service)
    assert status == 200
    assert "['a b', '$HOME']" in text  # no shell reads its words
    started = int(text.split()[0])
    assert soon(lambda: "| served" in bench.log(service))
    bench.stop()
    assert is_gone(started)


def test_hooks_around_a_program(bench: AppBench, tmp_path: Path) -> None:
    declaration = "import flyte_nb as flyte\napp = flyte.app.AppEnvironment('a')\n"
    service = bench.serve(bench.spec(declaration + HOOKS, command=program(tmp_path)))
    assert get(service)[0] == 200
    bench.stop()
    assert notes(bench) == ["up", "down"]


def test_a_program_that_is_not_there_or_ends(bench: AppBench, tmp_path: Path) -> None:
    with pytest.raises(RuntimeUserError, match="there is no program 'no-such-program' here"):
        bench.serve(bench.spec("", command=("no-such-program",), declared=False))
    ends = program(tmp_path, "import sys; print('no config'); sys.exit(7)")
    with pytest.raises(RuntimeUserError, match=r"ended with exit code 7(.|\n)*no config"):
        bench.serve(bench.spec("", command=ends, declared=False))


@pytest.mark.skipif(not can_have_network() or not shutil.which("perl"), reason="needs namespaces and perl")
def test_a_program_that_is_no_python_has_the_port_in_a_network_of_its_own(bench: AppBench, tmp_path: Path) -> None:
    file = tmp_path / "server.pl"
    file.write_text(
        "use IO::Socket::INET; $| = 1;\n"
        "my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die 'taken';\n"
        "while (my $c = $s->accept) { while (<$c>) { last if /^\\r\\n$/ }\n"
        'print $c "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nperl!"; close $c }\n'
    )
    spec = bench.spec("", command=("perl", str(file)), declared=False, scaling=Scaling(2))
    service = bench.serve(spec)
    assert len(service.records) == 2
    assert get(service) == (200, "perl!")
