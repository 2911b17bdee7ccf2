"""The doctor: what it finds where all is well, and where something is wrong; nothing makes it fail."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.doctor import cluster, front_end, secrets, stores, versions, workers
from flyte_nb.doctor.examination import PROBES, Probe, examine
from flyte_nb.doctor.finding import Finding, Patient, State, is_well
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.engine.store import Store
from flyte_nb.engine.store.schema import VERSION
from flyte_nb.widgets.doctor import examination

from kernels import Kernel
from scripts import ran


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(None, tmp_path / ".flyte_nb", Secrets(tmp_path))


def found(findings: Any, what: str) -> Finding:
    return next(one for one in findings if one.what == what)


def test_a_worker_answers(patient: Patient) -> None:
    (one,) = workers.look(patient)
    assert one.state is State.OK, one.found
    assert one.found.startswith("a task was answered after ")
    assert not patient.home.exists(), "nothing of it is recorded"


def test_a_probe_that_fails_or_hangs_is_a_finding(patient: Patient) -> None:
    def fails(patient: Patient) -> Iterator[Finding]:
        raise LookupError("nothing there")
        yield

    hangs = threading.Event()

    def waits(patient: Patient) -> list[Finding]:
        hangs.wait(30)
        return []

    probes = [
        Probe("failing", fails),
        Probe("needed", fails, is_needed=True),
        Probe("hanging", waits, 0.2),
        Probe("quiet", lambda patient: []),
    ]
    began = time.monotonic()
    told = examine(patient, probes)
    assert time.monotonic() - began < 10
    hangs.set()
    assert [(one.what, one.state) for one in told] == [
        ("failing", State.NOTICE),
        ("needed", State.PROBLEM),
        ("hanging", State.NOTICE),
    ]
    assert told[0].found == "cannot be examined: LookupError: nothing there"
    assert told[2].found == "no answer within 0.2 s"
    assert not is_well(told)
    assert examination(told).text().endswith("! a problem keeps tasks from running  2 notices")


def test_every_probe_is_bounded() -> None:
    assert all(0 < probe.seconds <= 20 for probe in PROBES)
    assert {probe.what for probe in PROBES if probe.is_needed} == {"store", "workers"}


# --- the store ---


def test_a_store_that_is_not_there_yet_is_not_made(patient: Patient) -> None:
    told = list(stores.look(patient))
    assert found(told, "store").found.endswith("not there yet; made by the first run or deployment")
    assert is_well(told)
    assert not patient.home.exists()


def test_a_store_in_use(patient: Patient) -> None:
    store = Store(patient.home)
    store.put_cached("key", "calc.double", "run", (b"1",))
    told = list(stores.look(patient))
    assert found(told, "store file").found == f"version {VERSION}, can be read and written"
    with contextlib.closing(sqlite3.connect(patient.home / "store.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        locked = found(stores.look(patient), "store file")
    assert (locked.state, "another process" in locked.found) == (State.NOTICE, True)
    store.close()


def test_a_store_that_cannot_be_used(patient: Patient) -> None:
    nowhere = found(stores.look(Patient(None, Path("/proc/nowhere/store"), patient.secrets)), "store")
    assert nowhere.state is State.PROBLEM
    assert "FLYTE_NB_HOME" in nowhere.advice
    patient.home.mkdir()
    with contextlib.closing(sqlite3.connect(patient.home / "store.db")) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    newer = found(stores.look(patient), "store file")
    assert (newer.state, "update flyte_nb" in newer.advice) == (State.PROBLEM, True)


def test_damaged_stores_are_told(patient: Patient) -> None:
    patient.home.mkdir()
    (patient.home / "store.db").write_bytes(b"no database at all" * 100)
    (patient.home / "store.db.damaged-20260101-000000").write_bytes(b"")
    told = list(stores.look(patient))
    assert "is damaged" in found(told, "store file").found
    assert "1 set aside: store.db.damaged-20260101-000000" in found(told, "damaged stores").found
    assert is_well(told)
    assert (patient.home / "store.db").exists(), "the doctor changes nothing"


def test_a_store_that_others_can_write_is_told(patient: Patient) -> None:
    patient.home.mkdir()
    patient.home.chmod(0o777)
    assert "chmod go-w" in found(stores.look(patient), "store").advice


# --- secrets, the front end, the cluster ---


def test_the_sources_of_secrets_are_told_without_a_value(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_KEY=v4lue-of-file\n")
    patient.secrets.set("api-key", "v4lue-of-session")
    (one,) = secrets.look(patient)
    assert "this session (1 set)" in one.found
    assert str(tmp_path / ".env") in one.found
    assert "v4lue" not in one.found


def test_without_a_shell_there_is_no_front_end(patient: Patient) -> None:
    (one,) = front_end.look(patient)
    assert one.found.startswith("none")


@pytest.fixture
def endpoint() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Finding:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("FLYTECTL_CONFIG", raising=False)
    if text:
        (folder / "config.yaml").write_text(text)
    for name in ("FLYTE_ADMIN_ENDPOINT", "FLYTE_ADMIN_INSECURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster, "_PATIENCE", 0.5)
    return next(cluster.look(Patient(None, folder, Secrets())))


@pytest.mark.parametrize(
    ("text", "state", "told"),
    [
        ("", State.OK, "none configured"),
        ("task:\n  project: p\n", State.OK, "names no endpoint"),
        ("admin:\n  endpoint: dns:///127.0.0.1:PORT\n", State.OK, "127.0.0.1:PORT of config.yaml answers after"),
        ("admin:\n  endpoint: http://user:v4lue@127.0.0.1:PORT/\n", State.OK, "127.0.0.1:PORT of config.yaml answers"),
        ("admin:\n  endpoint: 127.0.0.1:1\n", State.NOTICE, "cannot be reached: Connection refused"),
        ("admin:\n  endpoint: 'a:b:c'\n", State.NOTICE, "is no address"),
        ("admin: [", State.NOTICE, "cannot be read"),
    ],
)
def test_the_cluster(
    endpoint: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, state: State, told: str
) -> None:
    one = configured(tmp_path, monkeypatch, text.replace("PORT", str(endpoint)))
    assert one.state is state
    assert told.replace("PORT", str(endpoint)) in one.found
    assert "v4lue" not in one.found


def test_variables_name_a_cluster_too(endpoint: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured(tmp_path, monkeypatch, "").found == "none configured"
    monkeypatch.setenv("FLYTE_ADMIN_ENDPOINT", f"127.0.0.1:{endpoint}")
    one = next(cluster.look(Patient(None, tmp_path, Secrets())))
    assert one.found.startswith(f"127.0.0.1:{endpoint} of FLYTE_ADMIN_ENDPOINT answers after")


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers as the path's first part says: what is asked for comes after it."""

    def do_POST(self) -> None:
        status, body = ANSWERS[self.path.split("/")[1]]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


ANSWERS = {
    "two": (200, b'{"projects": {"projects": [{"id": "shop", "name": "Shop"}, {"id": "lab"}]}}'),
    "none": (200, b"{}"),
    "signed": (401, b'{"code": "unauthenticated", "message": "who are you, v4lue?"}'),
    "denied": (403, b'{"code": "permission_denied"}'),
    "other": (404, b"404 page not found"),
    "page": (200, b"<html>welcome</html>"),
    "list": (200, b"[]"),
}


@pytest.fixture(scope="module")
def answering() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "state", "told"),
    [
        ("two", State.OK, "2: shop, lab"),
        ("none", State.OK, "none that it shows"),
        ("signed", State.OK, "it asks for a sign-in"),
        ("denied", State.OK, "it asks for a sign-in"),
        ("other", State.NOTICE, "it answers with 404 Not Found, as no control plane"),
        ("page", State.NOTICE, "does not speak Flyte's protocol"),
        ("list", State.NOTICE, "does not speak Flyte's protocol"),
    ],
)
def test_a_control_plane_is_asked_for_its_projects(answering: str, path: str, state: State, told: str) -> None:
    one = cluster.spoken(f"{answering}/{path}")
    assert (one.what, one.state) == ("projects", state)
    assert told in one.found
    assert "v4lue" not in f"{one.found} {one.advice}"


def test_one_that_says_nothing_is_not_waited_for(endpoint: int) -> None:
    one = cluster.spoken(f"http://127.0.0.1:{endpoint}", 0.2)
    assert (one.state, "timed out" in one.found) == (State.NOTICE, True)
    assert cluster.spoken("https://127.0.0.1:1", 0.2).state is State.NOTICE


@pytest.mark.parametrize(
    ("installed", "state", "told"),
    [
        ("", State.OK, "pip install 'flyte_nb[cluster]'"),
        ("2.6.5", State.OK, "one of the tested versions (2.3.9, 2.6.5, 2.12.1)"),
        ("2.8.0", State.OK, "and those between are expected to work"),
        ("2.3.1", State.NOTICE, "tested are 2.3.9"),
        ("3.0.0b1", State.NOTICE, "tested are 2.3.9"),
    ],
)
def test_the_version_of_the_sdk(installed: str, state: State, told: str) -> None:
    one = versions.sdk_found(installed)
    assert (one.what, one.state) == ("Flyte SDK", state)
    assert told in one.found


@pytest.mark.parametrize(
    ("endpoint", "insecure", "address"),
    [
        ("dns:///cluster.example.com", False, ("cluster.example.com", 443)),
        ("cluster.example.com", True, ("cluster.example.com", 80)),
        ("localhost:30080", True, ("localhost", 30080)),
        ("https://cluster.example.com/console", False, ("cluster.example.com", 443)),
        ("[::1]:8089", False, ("::1", 8089)),
    ],
)
def test_addresses(endpoint: str, insecure: bool, address: tuple[str, int]) -> None:
    assert cluster.address(endpoint, insecure) == address


# --- whole ---


def test_from_a_shell(tmp_path: Path) -> None:
    done = ran(["-m", "flyte_nb", "doctor", "--json"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert {"Python", "flyte_nb", "front end", "store", "workers", "cores", "GPU", "uv", "secrets", "cluster"} <= {
        row["what"] for row in rows
    }
    assert all(row["state"] in ("ok", "notice") for row in rows), rows
    sick = ran(["-m", "flyte_nb", "doctor"], tmp_path, FLYTE_NB_HOME="/proc/nowhere")
    assert sick.returncode == 1
    assert "\N{MULTIPLICATION SIGN} problem" in sick.stdout
    assert "Traceback" not in sick.stdout + sick.stderr


def test_in_a_kernel(kernel: Kernel) -> None:
    ran = kernel.run("%flyte doctor")
    assert "this is a kernel" in ran.shown
    assert "tasks run here" in ran.shown
    assert "<table" in ran.html
    assert kernel.run("%flyte runs").shown.startswith("! no run is recorded")
