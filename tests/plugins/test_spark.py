"""Spark: a real session around a task, with what is declared, and nothing of it left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from flyte_nb.engine.base import Run

from scripts import Bench, is_gone, ran, soon, start, written

needs_spark = pytest.mark.skipif(find_spec("pyspark") is None, reason="needs pyspark: pip install 'flyte_nb[spark]'")
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="needs Java, such as openjdk-17-jre-headless")
SLOW = 300  # seconds that a session may take on a busy machine
DECLARED = """
import os, signal, time
import psutil
import flyte_nb as flyte
from flyte_nb.plugins.spark import Spark

SMALL = flyte.Resources(cpu=1, memory="2Gi")
CONF = {"spark.sql.shuffle.partitions": "2", "spark.executor.instances": "3"}
env = flyte.TaskEnvironment("e", resources=SMALL, plugin_config=Spark(CONF, {"a.b": "c"}, "/no/such/python"))
quiet = flyte.TaskEnvironment("q", resources=SMALL, plugin_config=Spark({"spark.ui.enabled": "false"}))

def java():
    return [p for p in psutil.Process().children(recursive=True) if p.name() == "java"]

def square(x):
    return x * x

def listening(process):
    return [c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"]

@env.task
def looked(folder: str) -> dict:
    from pyspark.sql import SparkSession

    spark = flyte.ctx().data["spark_session"]
    conf = spark.sparkContext.getConf()
    frame = spark.createDataFrame([(n, n % 2) for n in range(10)], ["n", "odd"])
    return {
        "same": SparkSession.builder.getOrCreate() is spark is SparkSession.getActiveSession(),
        "conf": {name: conf.get(name) for name in (*CONF, "spark.master", "spark.driver.memory", "spark.app.name")},
        "hadoop": spark.sparkContext._jsc.hadoopConfiguration().get("a.b"),
        "sum": spark.sparkContext.parallelize(range(10), 2).map(square).sum(),
        "groups": sorted(map(tuple, frame.groupBy("odd").sum("n").collect())),
        "java": [p.pid for p in java()],
        "listening": [ip.removeprefix("::ffff:") for p in java() for ip in listening(p)],
        "local": os.environ["SPARK_LOCAL_DIRS"],
    }

@quiet.task
async def raises() -> None:
    spark = flyte.ctx()["spark_session"]
    print(*[p.pid for p in java()])
    spark.sparkContext.parallelize([0], 1).map(lambda x: 1 // x).collect()

@quiet.task
def loses() -> int:
    java()[0].kill()
    return flyte.ctx()["spark_session"].range(10).count()

@quiet.task
def waits(folder: str) -> None:
    with open(folder + "/java", "w") as file:
        file.write(str(java()[0].pid))
    os.rename(folder + "/java", folder + "/ready")
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("spark"), DECLARED)
    yield bench
    bench.close()


@needs_spark
@needs_java
@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_task_has_a_session_with_what_is_declared(bench: Bench, tmp_path: Path) -> None:
    run = bench.run("looked", folder=str(tmp_path), timeout=SLOW)
    assert run.error is None, run.error
    told = run.outputs()[0]
    assert told["same"]
    assert told["conf"] == {
        "spark.sql.shuffle.partitions": "2", "spark.executor.instances": "3", "spark.master": "local[1]",
        "spark.driver.memory": "1228m", "spark.app.name": "e.looked",
    }  # fmt: skip
    assert (told["hadoop"], told["sum"], told["groups"]) == ("c", 285, [(0, 20), (1, 25)])
    assert set(told["listening"]) == {"127.0.0.1"}
    assert len(told["java"]) == 1
    assert all(soon(lambda pid=pid: is_gone(pid), 10) for pid in told["java"])  # type: ignore[misc]
    assert not Path(told["local"]).exists()
    assert "log4j profile" not in bench.printed("stderr")
    assert "NativeCodeLoader" not in bench.printed("stderr")
    notices = run.root.notice.splitlines()
    assert notices[:2] == [
        "executor_path /no/such/python is not here: the Python of the task runs in its place",
        "3 executors of 1 core asked, 1 core here: clamped",
    ]
    assert "1 thread on this machine, 1.2Gi of memory; its UI: http://127.0.0.1:" in notices[2]


@needs_spark
@needs_java
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_an_error_in_spark_is_read_although_the_session_has_ended(bench: Bench) -> None:
    run = bench.run("q.raises", timeout=SLOW)
    assert run.error is not None
    assert run.error.code == "PythonException"
    assert "ZeroDivisionError: integer division or modulo by zero" in str(run.error)
    assert "in raises" in run.error.remote_traceback
    assert all(soon(lambda pid=pid: is_gone(int(pid)), 10) for pid in bench.printed().split())  # type: ignore[misc]


@needs_spark
@needs_java
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_a_java_that_ends_in_a_run_is_one_clear_error(bench: Bench) -> None:
    run = bench.run("q.loses", timeout=SLOW)
    assert run.error is not None
    assert run.error.code == "SparkEnded"
    assert "the Java of the Spark session of q.loses ended while the task ran (signal 9)" in str(run.error)


@needs_spark
@needs_java
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_a_cancelled_run_leaves_no_java(bench: Bench, tmp_path: Path) -> None:
    async def cancelled() -> None:
        import asyncio

        task = asyncio.ensure_future(bench.arun("q.waits", folder=str(tmp_path)))
        while not (tmp_path / "ready").exists():
            assert not task.done()
            await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    bench.do(cancelled(), SLOW)
    assert soon(lambda: is_gone(int((tmp_path / "ready").read_text())), 10)


@needs_spark
@needs_java
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_a_killed_kernel_leaves_no_java(tmp_path: Path) -> None:
    script = written(
        tmp_path / "script.py", f"{DECLARED}\nif __name__ == '__main__':\n    flyte.run(waits, {str(tmp_path)!r})\n"
    )
    with start([str(script)], tmp_path) as process:
        assert soon(lambda: (tmp_path / "ready").exists(), SLOW - 30)
        process.kill()
        process.communicate()
    assert soon(lambda: is_gone(int((tmp_path / "ready").read_text())), 20)


@needs_spark
@needs_java
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_a_running_cluster_is_joined_and_left_running(tmp_path: Path) -> None:
    with standalone(tmp_path) as (master, processes):
        written(tmp_path / "tasks.py", "")
        bench = Bench(
            tmp_path,
            DECLARED.replace(
                'Spark({"spark.ui.enabled": "false"})',
                f'Spark({{"spark.master": "{master}", "spark.executor.memory": "512m", "spark.cores.max": "1"}})',
            )
            + """
def place(_):
    return os.getppid(), os.environ.get("SPARK_EXECUTOR_DIRS", "")

@quiet.task
def joined() -> tuple[str, list]:
    spark = flyte.ctx()["spark_session"]
    return spark.sparkContext.master, spark.sparkContext.parallelize([0], 1).map(place).collect()
""",
        )
        try:
            run: Run = bench.run("q.joined", timeout=SLOW)
            assert run.error is None, run.error
            assert run.outputs()[0] == master
            assert f"joins {master}" in run.root.notice
            assert all(process.is_running() for process in processes)
        finally:
            bench.close()


class standalone:
    """A master of Spark's own cluster manager and a worker of it, on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[psutil.Popen] = []

    def __enter__(self) -> tuple[str, list[psutil.Popen]]:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        master = f"spark://127.0.0.1:{port}"
        self._start("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        assert soon(lambda: answers(port), 120)
        self._start("worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1", "--memory", "600m",
                    "--work-dir", str(self._folder / "work"), master)  # fmt: skip
        return master, self._processes

    def _start(self, name: str, *words: str) -> None:
        import os
        import subprocess

        import pyspark

        home = Path(pyspark.__file__).parent
        with (self._folder / f"{name}.log").open("w") as log:
            self._processes.append(psutil.Popen(
                [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *words],
                env={**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            ))  # fmt: skip

    def __exit__(self, *error: object) -> None:
        for process in reversed(self._processes):
            for one in [*process.children(recursive=True), process]:
                one.kill()
            process.wait()


def answers(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


MISSING = """
import sys
{0}
import flyte_nb as flyte
from flyte_nb.plugins.spark.session import session
from flyte_nb.plugins.spark import Spark
try:
    with session(Spark(), None, "env.task"):
        pass
except flyte.errors.RuntimeUserError as error:
    print(error.code, error)
"""


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path) -> None:
    done = ran(["-c", MISSING.format('sys.modules["pyspark"] = None')], tmp_path)
    told = "PackageMissing Spark is not installed in the Python of this task: pip install 'flyte_nb[spark]'"
    assert done.stdout.startswith(told), done.stderr


@needs_spark
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PATH": "/nowhere", "JAVA_HOME": ""}, "JAVA_HOME is not set, and the PATH has none"),
        ({"JAVA_HOME": "/nowhere"}, "JAVA_HOME is '/nowhere', which has none"),
    ],
)
def test_a_missing_java_is_told_with_what_to_install(tmp_path: Path, variables: dict[str, str], told: str) -> None:
    done = ran(["-c", MISSING.format("")], tmp_path, **variables)
    start = f"JavaMissing Spark runs in Java, and there is none here ({told}): install Java 17 or later"
    assert done.stdout.startswith(start), done.stderr


@needs_spark
def test_a_java_that_does_not_start_spark_is_told(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\nexit 1\n")
    java.chmod(0o755)
    done = ran(["-c", MISSING.format("")], tmp_path, JAVA_HOME=str(tmp_path))
    assert done.stdout.startswith("SparkNotStarted the Spark session of env.task did not start: its Java ended at once "
                                  '(openjdk version "1.8.0_402")'), done.stderr  # fmt: skip
