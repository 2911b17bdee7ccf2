"""Services: replicas that are started, watched, replaced, scaled and ended; real processes, real requests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.scaling import Scaling
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import MissingSecretError, RuntimeUserError, UsageError

from app_bench import SERVER, AppBench, get
from scripts import is_gone, soon


def pids(service: Service) -> list[int]:
    return [r.pid for r in service.records if r.phase is AppPhase.ACTIVE]


class Clients:
    """Clients that ask again and again, each waiting for its answer."""

    def __init__(self, service: Service, count: int, path: str = "/") -> None:
        self.service, self.path, self.bad, self.answers = service, path, list[object](), list[str]()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                status, text = get(self.service, self.path)
            except OSError as error:
                self.bad.append(error)
                continue
            (self.answers if status == 200 else self.bad).append(text)


def test_three_replicas_of_a_server_with_a_hard_coded_port(bench: AppBench) -> None:
    service = bench.serve(bench.spec(scaling=Scaling(3)))
    assert len(set(pids(service))) == 3
    with Clients(service, 6, "/sleep/0.05") as clients:
        assert soon(lambda: len(set(clients.answers)) == 3, 10)
    assert {text.split()[1] for text in clients.answers} == {str(pid) for pid in pids(service)}
    before = pids(service)
    bench.stop()
    assert soon(lambda: all(map(is_gone, before)))
    assert service.phase is AppPhase.STOPPED


def test_a_replica_that_is_killed_is_replaced_and_the_next_request_answered(bench: AppBench) -> None:
    service = bench.serve(bench.spec())
    (first,) = pids(service)
    os.kill(first, signal.SIGKILL)
    assert soon(lambda: pids(service) not in ([], [first]), 15)
    assert get(service)[0] == 200
    assert "r1: its process was ended by SIGKILL" in bench.log(service)
    assert "another replica is started at once" in bench.log(service)


def test_a_server_that_always_crashes_is_given_up_with_the_reason(bench: AppBench, monkeypatch) -> None:
    monkeypatch.setattr("flyte_nb.engine.local.apps.restarts.FIRST", 0.05)
    flaky = SERVER.replace("serve_forever()", "handle_request(); time.sleep(0.2); raise ValueError('broken')")
    service = bench.serve(bench.spec(flaky))

    def poke() -> bool:
        with contextlib.suppress(OSError):
            get(service, timeout=1)
        return service.phase is AppPhase.FAILED

    assert soon(poke, 30)
    assert "crashed 5 times in a row" in service.why
    assert "the server failed: ValueError: broken" in service.why
    assert "another replica is started in 0.2 s" in bench.log(service)
    assert not service.replicas
    port, token = service.port, service.token
    # whoever asks is told, until it is stopped or served again
    status, told = get(service, Accept="text/plain")
    assert status == 503
    assert "ValueError: broken" in told
    assert "serve it again" in told
    with pytest.raises(RuntimeUserError, match="NameError"):
        bench.serve(bench.spec(SERVER.replace("def serve():", "def serve():\n    nonsense")))
    assert get(service)[0] == 503
    assert "NameError: name 'nonsense' is not defined" in get(service)[1]
    assert bench.engine.apps.endpoint("a") is None
    mended = bench.serve(bench.spec())  # as a cell that mends it does: the same address, the same token
    assert (mended.port, mended.token) == (port, token)
    assert get(mended)[0] == 200


def test_one_that_was_given_up_tells_only_those_with_its_token_and_nothing_once_it_is_stopped(
    bench: AppBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyte_nb.engine.local.apps.restarts.FIRST", 0.01)
    monkeypatch.setenv("API_KEY", "hunter22hunter22")
    source = SERVER.replace("def serve():", "def serve():\n    marker = __file__ + '.marker'\n"
                            "    if os.path.exists(marker):\n"
                            "        raise ValueError(os.environ['API_KEY'] + ' is wrong\\nmore')\n"
                            "    open(marker, 'x')")  # fmt: skip
    service = bench.serve(bench.spec(source, requires_auth=True, secrets=(Secret("api-key", as_env_var="API_KEY"),)))
    os.kill(pids(service)[0], signal.SIGKILL)
    asked = {"Authorization": f"Bearer {service.token}"}
    assert get(service, **asked)[0] == 503  # it has waited for a replica
    assert soon(lambda: service.phase is AppPhase.FAILED, 20)
    assert get(service)[0] == 401
    status, told = get(service, **asked)
    assert status == 503
    assert "the server failed: ValueError: *** is wrong" in told
    assert "more" not in told
    port = service.port
    bench.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_gateway_that_is_killed_is_there_again_at_the_same_address(bench: AppBench) -> None:
    service = bench.serve(bench.spec())
    assert service.gateway is not None
    killed = service.gateway.pid
    os.kill(killed, signal.SIGKILL)

    def answered() -> bool:
        with contextlib.suppress(OSError):
            return get(service)[0] == 200
        return False

    assert soon(answered, 20)
    assert service.gateway.pid != killed
    assert "its gateway was ended by SIGKILL" in bench.log(service)


def test_a_start_that_is_cancelled_leaves_nothing(bench: AppBench) -> None:
    spec = bench.spec(SERVER + "@app.on_startup\ndef up(): print('waits'); time.sleep(60)")
    begun: list[Service] = []
    job = bench.portal.submit(bench.engine.apps.serve(spec, began=begun.append))
    assert soon(lambda: bool(begun) and "r1 | waits" in bench.log(begun[0]), 20)
    (service,) = begun
    pid = service.records[0].pid
    job.cancel()
    job.wait()
    assert soon(lambda: is_gone(pid), 10)
    assert service.phase is AppPhase.FAILED
    assert "a" not in bench.engine.apps.services


def test_scaling_up_and_down_loses_no_request(bench: AppBench) -> None:
    scaling = Scaling((1, 3), metric=Scaling.Concurrency(2), scaledown_after=1)
    service = bench.serve(bench.spec(scaling=scaling))
    with Clients(service, 6, "/sleep/0.05") as clients:
        assert soon(lambda: len(pids(service)) == 3, 20)
        time.sleep(0.3)
    with Clients(service, 1) as few:
        assert soon(lambda: len(service.records) == 1, 20)
    assert clients.bad == few.bad == []
    assert len({text.split()[1] for text in clients.answers}) == 3


def test_down_to_zero_and_woken_by_a_request(bench: AppBench) -> None:
    service = bench.serve(bench.spec(scaling=Scaling((0, 1), scaledown_after=1)))
    assert soon(lambda: service.phase is AppPhase.IDLE and not service.records, 20)
    assert get(service)[0] == 200
    assert soon(lambda: service.phase is AppPhase.ACTIVE)


def test_a_new_version_takes_over_without_a_failed_request(bench: AppBench) -> None:
    service = bench.serve(bench.spec(scaling=Scaling(2)))
    old = pids(service)
    with Clients(service, 4, "/sleep/0.02") as clients:
        again = bench.serve(bench.spec(SERVER.replace("VERSION = 1", "VERSION = 2"), scaling=Scaling(2)))
    assert again is service
    assert clients.bad == []
    assert {text.split()[0] for text in clients.answers} == {"1", "2"}
    assert get(service)[1].startswith("2 ")
    assert soon(lambda: all(map(is_gone, old)))


def test_a_new_version_that_does_not_start_leaves_the_old_one(bench: AppBench) -> None:
    service = bench.serve(bench.spec())
    before = pids(service)
    with pytest.raises(RuntimeUserError, match="the server failed: NameError"):
        bench.serve(bench.spec(SERVER.replace("def serve():", "def serve():\n    nonsense")))
    assert pids(service) == before
    assert get(service)[1].startswith("1 ")
    assert "version v2 did not start; version v1 goes on" in bench.log(service)


def test_a_replica_stopped_by_a_signal_gets_no_requests_and_is_replaced(bench: AppBench) -> None:
    service = bench.serve(bench.spec(scaling=Scaling(2)))
    frozen = pids(service)[0]
    with Clients(service, 2, "/sleep/0.01") as clients:
        os.kill(frozen, signal.SIGSTOP)
        assert soon(lambda: frozen not in pids(service) and len(pids(service)) == 2, 20)
        count = len(clients.answers)
        assert soon(lambda: len(clients.answers) > count + 5)
    assert len(clients.bad) <= 2, clients.bad  # those that it had, told at once when it was killed
    assert is_gone(frozen)
    assert "was stopped by a signal: it gets no requests" in bench.log(service)


def test_an_app_whose_port_somebody_takes_when_its_gateway_is_killed_is_given_up(bench: AppBench) -> None:
    service = bench.serve(bench.spec())
    gateway, running = service.gateway, pids(service)
    assert gateway is not None
    with socket.socket() as stranger:
        bench.portal.submit(_hold(gateway.pid, stranger, service.port)).done.result()
        assert soon(lambda: service.phase is AppPhase.FAILED, 20)
    assert f"port {service.port} of app 'a' is taken by" in service.why
    assert f"pid {os.getpid()}" in service.why
    assert soon(lambda: all(map(is_gone, running)), 20)


async def _hold(pid: int, stranger: socket.socket, port: int) -> None:
    """Kill a gateway and take its port before anybody else can: the engine's loop waits for this."""
    os.kill(pid, signal.SIGKILL)
    while True:
        with contextlib.suppress(OSError):
            stranger.bind(("127.0.0.1", port))
            stranger.listen()
            return
        time.sleep(0.01)


def test_one_that_goes_on_soon_enough_stays(bench: AppBench) -> None:
    service = bench.serve(bench.spec())
    (pid,) = pids(service)
    os.kill(pid, signal.SIGSTOP)
    assert soon(lambda: "it gets no requests" in bench.log(service))
    os.kill(pid, signal.SIGCONT)
    assert get(service)[1] == f"1 {pid}"


def test_a_port_of_the_address_that_somebody_has_names_them(bench: AppBench) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(
            UsageError, match=rf"port {stranger.getsockname()[1]} of app 'a' is taken by .*{os.getpid()}"
        ):
            bench.serve(bench.spec(), port=stranger.getsockname()[1])


def test_secrets_are_given_and_never_logged(bench: AppBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "hunter22hunter22")
    says = SERVER + "@app.on_startup\ndef up(): print('key', len(os.environ['API_KEY']), os.environ['API_KEY'])"
    service = bench.serve(bench.spec(says, secrets=(Secret("api-key", as_env_var="API_KEY"),)))
    assert "r1 | key 16 ***" in bench.log(service)
    assert "hunter22" not in service.log.path.read_text()
    with pytest.raises(MissingSecretError, match="no-such-key"):
        bench.serve(bench.spec(secrets=(Secret("no-such-key"),)))
    assert get(service)[0] == 200


def test_a_replica_over_its_memory_is_ended_with_the_reason(bench: AppBench) -> None:
    greedy = SERVER.replace('if self.path == "/exit"', 'if self.path == "/eat": [b"x" * (1 << 24) for _ in range(99)]\n'
                            '        if self.path == "/exit"')  # fmt: skip
    service = bench.serve(bench.spec(greedy, resources=Resources(memory="200Mi")))
    assert get(service, "/eat")[0] == 502
    assert get(service)[0] == 200
    assert "OutOfMemory: limit 200Mi" in bench.log(service)


def test_a_new_version_for_which_there_is_no_room_takes_the_place_of_the_old(bench: AppBench) -> None:
    whole = Resources(cpu=os.cpu_count())
    service = bench.serve(bench.spec(resources=whole))
    with Clients(service, 2, "/sleep/0.05") as clients:
        bench.serve(bench.spec(SERVER.replace("VERSION = 1", "VERSION = 2"), resources=whole))
    assert clients.bad == []
    assert get(service)[1].startswith("2 ")
    assert "there is no room for two versions: r1 makes room" in bench.log(service)


def test_a_replica_that_is_not_wanted_any_more_while_it_starts_is_no_crash(bench: AppBench) -> None:
    slow = (
        SERVER + "@app.on_startup\ndef up():\n    print('starts', os.getpid())\n    time.sleep(0 if FIRST() else 60)\n"
    )
    slow += "def FIRST():\n    try: open(__file__ + '.first', 'x')\n    except OSError: return False\n    return True\n"
    scaling = Scaling((1, 2), metric=Scaling.Concurrency(1), scaledown_after=1)
    service = bench.serve(bench.spec(slow, scaling=scaling))
    with Clients(service, 3, "/sleep/0.02"):
        assert soon(lambda: bench.log(service).count("| starts") == 2, 20)
    second = [r.pid for r in service.records][-1]
    assert soon(lambda: len(service.records) == 1, 20)
    assert soon(lambda: is_gone(second))
    assert service.restarts.failures == 0
    assert get(service)[0] == 200


def test_an_error_in_flight_is_told_and_the_app_goes_on(bench: AppBench) -> None:
    service = bench.serve(bench.spec())
    assert get(service, "/exit")[0] in (502, 503)
    assert get(service)[0] == 200
    assert "its process ended with exit code 3" in bench.log(service)
