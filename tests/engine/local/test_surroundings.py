"""What a call has around it: secrets, memory limits, shares of the machine, images, kept outputs."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.engine.base import Phase, Run, Settings
from flyte_nb.engine.local.machine import Machine
from flyte_nb.engine.policy import Caching, Policy
from flyte_nb.environments.image import Image
from flyte_nb.environments.policies import ReusePolicy, Timeout
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import MissingSecretError

from scripts import Bench, is_gone, soon

TASKS = """
import base64, os, subprocess, sys, time
from pathlib import Path
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")
secret = flyte.TaskEnvironment(name="secret", secrets=[flyte.Secret("api-key")])

@env.task
def leaks(how: str) -> str:
    value = os.environ["API_KEY"]
    if how == "print":
        print("the key is", value)
        print("split", end=" ")
        for character in value:
            sys.stderr.write(character)
            sys.stderr.flush()
        print(base64.b64encode(value.encode()).decode())
    if how == "raise":
        raise ValueError(f"bad key {value}")
    return str(len(value))

@secret.task
def child() -> int:
    print(os.environ["API_KEY"])
    return len(os.environ["API_KEY"])

@env.task
def calls() -> int:
    return child() + int("API_KEY" in os.environ)

@env.task
def mounted() -> str:
    return Path(os.environ["FLYTE_SECRETS_DIR"], "api-key").read_text()

@env.task
def grows(mib: int) -> int:
    print("pid", os.getpid())
    data = [bytearray(os.urandom(1 << 20)) for _ in range(mib)]
    return len(data)

@env.task
def child_grows(mib: int) -> int:
    code = f"import os, time; data = [bytearray(os.urandom(1 << 20)) for _ in range({mib})]; time.sleep(5)"
    return subprocess.run([sys.executable, "-c", code]).returncode

@env.task
def nap(seconds: float) -> str:
    time.sleep(seconds)
    return os.environ.get("OMP_NUM_THREADS", "")

@env.task
def counts(folder: str, x: int = 1, note: str = "") -> int:
    (Path(folder) / str(time.time_ns())).touch()
    return 10 * x

@env.task
def imports() -> str:
    import humanize
    return humanize.intcomma(1234567)
"""

VALUE = "s3cr3t-value-42"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def everything(bench: Bench, run: Run) -> str:
    """Give all that is kept and told of a run."""
    stored = b"".join(path.read_bytes() for path in bench.store.home.rglob("*") if path.is_file())
    bench.store.flush()
    return "".join([repr(run), repr(run.actions), bench.printed(), bench.printed("stderr"), str(run.error),
                    stored.decode("utf-8", "replace"), repr(bench.events)])  # fmt: skip


KEY = Policy(secrets=(Secret("api-key"),))


def test_a_secret_reaches_the_task_and_nothing_else(bench: Bench) -> None:
    bench.engine.secrets.set("api-key", VALUE)
    run = bench.run("leaks", how="print", policy=KEY)
    assert run.outputs() == (str(len(VALUE)),)
    assert bench.printed().startswith("the key is ***\nsplit ***\n")
    assert bench.printed("stderr") == "***"
    assert VALUE not in everything(bench, run)
    assert "API_KEY" not in os.environ


def test_an_error_does_not_tell_a_secret(bench: Bench) -> None:
    bench.engine.secrets.set("api-key", VALUE)
    run = bench.run("leaks", how="raise", policy=KEY)
    assert str(run.error) == "bad key ***"
    assert VALUE not in everything(bench, run)
    assert VALUE not in str(run.error.__cause__)  # type: ignore[union-attr]


def test_a_missing_secret_is_refused_before_anything_starts(bench: Bench) -> None:
    with pytest.raises(MissingSecretError, match="api-key"):
        bench.run("leaks", how="", policy=KEY)
    assert bench.store.runs() == []
    error = bench.run("calls").error
    assert error is not None
    assert "api-key" in str(error)


def test_a_child_has_its_own_secrets(bench: Bench) -> None:
    bench.engine.secrets.set("api-key", VALUE)
    run = bench.run("calls")
    assert run.outputs() == (len(VALUE),)
    assert bench.printed() == "***\n"


def test_a_mounted_secret_is_a_private_file_that_goes(bench: Bench) -> None:
    bench.engine.secrets.set("api-key", VALUE)
    policy = Policy(secrets=(Secret("api-key", mount="/etc/flyte/secrets"),))
    assert bench.run("mounted", policy=policy).outputs() == (VALUE,)
    assert list(bench.store.home.rglob("api-key")) == []


def memory(limit: str) -> Policy:
    return Policy(resources=Resources(memory=limit))


def test_too_much_memory_ends_the_task_and_says_so(bench: Bench) -> None:
    run = bench.run("grows", mib=1024, policy=memory("256Mi"))
    assert run.phase is Phase.FAILED
    assert type(run.error).__name__ == "OOMError"
    assert "limit 256Mi, peak " in str(run.error)
    assert soon(lambda: is_gone(int(bench.printed().split()[1])))
    assert bench.run("grows", mib=20, policy=memory("256Mi")).outputs() == (20,)


def test_the_peak_of_memory_is_recorded(bench: Bench) -> None:
    run = bench.run("grows", mib=60)
    assert 60 << 20 < run.root.peak_memory < 600 << 20
    assert bench.store.runs()[0].root.peak_memory == run.root.peak_memory


def test_the_peak_of_a_warm_worker_is_that_of_each_call(bench: Bench) -> None:
    policy = Policy(environment="e", reusable=ReusePolicy(1), resources=Resources(memory="1Gi"))
    most, least = (bench.run("grows", mib=mib, policy=policy).root.peak_memory for mib in (300, 1))
    assert most > 300 << 20
    assert 0 < least < 150 << 20
    told_nothing = Policy(environment="e", reusable=ReusePolicy(1))
    assert bench.run("grows", mib=1, policy=told_nothing).root.peak_memory == 0


def test_memory_of_what_a_task_starts_counts(bench: Bench) -> None:
    run = bench.run("child_grows", mib=1024, policy=memory("256Mi"))
    assert type(run.error).__name__ == "OOMError" or run.outputs()[0] != 0


def test_tasks_wait_for_cores_and_say_why(bench: Bench) -> None:
    half = Machine.here().cores * 0.6
    asks = Policy(resources=Resources(cpu=half))

    async def both() -> list[Run]:
        return await asyncio.gather(*(bench.arun("nap", seconds=0.5, policy=asks) for _ in range(2)))

    start = time.monotonic()
    runs = bench.do(both())
    assert time.monotonic() - start >= 1.0
    notices = [run.root.notice for run in runs]
    assert any("waiting for" in notice and "cpu" in notice for notice in notices)
    assert Phase.WAITING_FOR_RESOURCES in {event.action.phase for event in bench.events}
    assert runs[0].outputs()[0].isdigit() or "OMP_NUM_THREADS" in os.environ


def test_more_than_there_is(bench: Bench) -> None:
    run = bench.run("nap", seconds=0.0, policy=Policy(resources=Resources(cpu=512)))
    assert run.phase is Phase.SUCCEEDED
    assert "cpu 512 asked" in run.root.notice
    assert "clamped" in run.root.notice
    work = replace(
        bench.work("nap", seconds=0.0, policy=Policy(resources=Resources(cpu=512))), settings=Settings(fit="strict")
    )
    strict = bench.do(bench.engine.run(work, bench.events.append))
    assert type(strict.error).__name__ == "ResourceError"


def test_waiting_too_long(bench: Bench) -> None:
    whole = Resources(cpu=Machine.here().cores)

    async def both() -> Run:
        holder = asyncio.create_task(bench.arun("nap", seconds=3.0, policy=Policy(resources=whole)))
        await asyncio.sleep(0.5)
        impatient = Policy(resources=whole, timeout=Timeout(max_queued_time=1))
        late = await bench.arun("nap", seconds=0.0, policy=impatient)
        await holder
        return late

    late = bench.do(both())
    assert late.phase is Phase.TIMED_OUT
    assert type(late.error).__name__ == "MaxQueuedTimeExceededError"


def cached(bench: Bench, behavior: str = "auto", code: str = "1", key: str = "k", **more: Any) -> Run:
    caching = Caching(behavior, version=more.pop("version", ""))
    settings = Settings(**more.pop("settings", {}))
    work = bench.work("counts", policy=Policy(caching=caching), **more)
    work = replace(work, codes={"e.counts": code}, inputs_key=key, settings=settings)
    bench.events.clear()
    return bench.do(bench.engine.run(work, bench.events.append))


def test_kept_outputs_are_used_again(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "count"
    folder.mkdir()

    def count() -> int:
        return len(list(folder.iterdir()))

    first = cached(bench, folder=str(folder))
    again = cached(bench, folder=str(folder))
    assert first.outputs() == again.outputs() == (10,)
    assert (first.root.cached, again.root.cached, count()) == (False, True, 1)
    assert cached(bench, code="2", folder=str(folder)).root.cached is False
    assert cached(bench, key="other", folder=str(folder)).root.cached is False
    assert cached(bench, "override", folder=str(folder)).root.cached is False
    assert cached(bench, settings={"overwrite_cache": True}, folder=str(folder)).root.cached is False
    assert cached(bench, settings={"disable_run_cache": True}, folder=str(folder)).root.cached is False
    assert cached(bench, "disable", folder=str(folder)).root.cached is False
    assert cached(bench, code="", folder=str(folder)).root.cached is False
    assert count() == 8
    assert cached(bench, folder=str(folder)).root.cached is True
    assert cached(bench, version="v1", folder=str(folder)).root.cached is False
    assert cached(bench, version="v1", code="99", folder=str(folder)).root.cached is True
    assert json.dumps([entry.task for entry in bench.store.cache_entries()])


def test_a_task_runs_in_the_environment_of_its_image(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "cache"))
    image = Image.from_debian_base(install_flyte=False, name="test").with_pip_packages("humanize")
    run = bench.run("imports", policy=Policy(image=image.with_apt_packages("jq")), timeout=110)
    assert run.outputs() == ("1,234,567",)
    assert "jq" in run.root.notice
    assert "humanize" in bench.printed("stderr")
