"""The shapes of engines on this machine: what is declared, bounded by the task's resources and by what there is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import flyte_nb as flyte
import pytest
from flyte_nb.errors import ResourceError
from flyte_nb.plugins.amounts import bounded, size
from flyte_nb.plugins.dask import Dask, Scheduler, WorkerGroup
from flyte_nb.plugins.dask.shape import shape_of as dask_shape
from flyte_nb.plugins.dask.shape import together
from flyte_nb.plugins.share import Share
from flyte_nb.plugins.spark import Spark
from flyte_nb.plugins.spark.logs import log_settings
from flyte_nb.plugins.spark.shape import shape_of as spark_shape
from hypothesis import given
from hypothesis import strategies as st

HERE = Share(4, 16 << 30)
ONE = flyte.Resources(cpu=1, memory="2Gi")


@pytest.fixture
def listening() -> Iterator[str]:
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_share_is_no_more_than_resources_say() -> None:
    assert bounded(HERE, None) == HERE
    assert bounded(HERE, flyte.Resources(cpu=1, memory="64Mi")) == Share(1, 64 << 20)
    assert bounded(HERE, flyte.Resources(cpu="1500m", memory=("64Mi", "128Mi"))) == Share(2, 128 << 20)
    assert bounded(HERE, flyte.Resources(cpu=10_000, memory="900Ti")) == HERE


@pytest.mark.parametrize(("number", "told"), [(1 << 30, "1Gi"), (1536 << 20, "1.5Gi"), (512 << 20, "512Mi")])
def test_bytes_in_words(number: int, told: str) -> None:
    assert size(number) == told


# --- Spark


def test_a_session_has_the_cores_and_the_memory_of_its_task() -> None:
    shape = spark_shape(Spark(), ONE, HERE, "env.task")
    assert shape.settings["spark.master"] == "local[1]"
    assert shape.settings["spark.driver.memory"] == "1228m"
    assert shape.settings["spark.app.name"] == "env.task"
    assert shape.settings["spark.driver.host"] == shape.settings["spark.driver.bindAddress"] == "127.0.0.1"
    assert (shape.joined, shape.told, shape.notices) == (False, "1 thread on this machine, 1.2Gi of memory", ())


def test_a_session_of_a_task_without_resources_has_the_cores_of_the_machine_and_the_usual_memory() -> None:
    settings = spark_shape(Spark(), None, HERE, "t").settings
    assert settings["spark.master"] == f"local[{HERE.cores}]"
    assert settings["spark.driver.memory"] == "1024m"


def test_what_is_declared_comes_before_what_is_usual() -> None:
    config = Spark(
        {"spark.app.name": "mine", "spark.ui.port": "4050", "spark.driver.memory": "300m", "spark.master": "local"},
        {"a.b": "c"},
    )
    settings = spark_shape(config, ONE, HERE, "t").settings
    assert settings["spark.app.name"] == "mine"
    assert settings["spark.ui.port"] == "4050"
    assert settings["spark.driver.memory"] == "300m"
    assert settings["spark.master"] == "local[1]"
    assert settings["spark.hadoop.a.b"] == "c"


def test_executors_that_are_too_many_and_too_large_are_clamped_and_told() -> None:
    config = Spark({"spark.executor.instances": "3", "spark.executor.cores": "2", "spark.executor.memory": "4g",
                    "spark.driver.memory": "1g"})  # fmt: skip
    shape = spark_shape(config, ONE, HERE, "t")
    assert shape.settings["spark.master"] == "local[1]"
    assert shape.notices == (
        "3 executors of 2 cores asked, 1 core here: clamped",
        "memory 13Gi asked by spark_conf, 1.2Gi of the 2Gi that the task may have can be Spark's: clamped",
    )
    assert spark_shape(Spark({"spark.master": "local[64]"}), ONE, HERE, "t").notices == (
        "spark.master local[64] asked, 1 core here: clamped",
    )
    assert spark_shape(Spark({"spark.master": "local[*]"}), ONE, HERE, "t").notices == ()


def test_too_little_memory_is_refused_before_anything_starts() -> None:
    with pytest.raises(ResourceError, match=r'memory 512Mi is too little.*resources=Resources\(memory="2Gi"\)'):
        spark_shape(Spark(), flyte.Resources(memory="512Mi"), HERE, "t")


@pytest.mark.parametrize("kind", ["spark://{}", "k8s://https://{}", "k8s://http://{}", "k8s://{}"])
def test_a_cluster_manager_that_is_not_here_is_told_and_the_session_is_one_of_this_machine(
    silent: str, kind: str
) -> None:
    shape = spark_shape(Spark({"spark.master": kind.format(silent)}), ONE, HERE, "t")
    assert shape.settings["spark.master"] == "local[1]"
    assert not shape.joined
    assert f"spark.master {kind.format(silent)} is not here ({silent}: Connection refused)" in shape.notices[0]


def test_yarn_is_where_its_settings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    config = Spark({"spark.master": "yarn"})
    assert "neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set" in spark_shape(config, ONE, HERE, "t").notices[0]
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop")
    assert spark_shape(config, ONE, HERE, "t").joined


def test_a_cluster_manager_that_answers_is_joined_with_what_is_declared(listening: str, silent: str) -> None:
    config = Spark({"spark.master": f"spark://{silent},{listening}", "spark.executor.memory": "900g"})
    shape = spark_shape(config, ONE, HERE, "t")
    assert shape.joined
    assert shape.notices == ()
    assert shape.settings["spark.master"] == f"spark://{silent},{listening}"
    assert shape.settings["spark.executor.memory"] == "900g"
    assert "spark.driver.memory" not in shape.settings
    assert shape.settings["spark.driver.host"] == "127.0.0.1"  # executors are on this machine


def test_what_every_start_logs_is_left_out_unless_one_says_what_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARK_CONF_DIR", raising=False)
    options = "spark.driver.extraJavaOptions"
    file = tmp_path / "log4j2.properties"
    assert log_settings({}, tmp_path) == {options: f"-Dlog4j2.configurationFile={file.as_uri()}"}
    assert "rootLogger.level = warn" in file.read_text()
    assert log_settings({options: "-Dmine=1"}, tmp_path) == {}
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert log_settings({}, tmp_path) == {}


# --- Dask


def test_workers_are_as_the_task_where_nothing_says_more() -> None:
    shape = dask_shape(Dask(), flyte.Resources(cpu=1, memory="1Gi"), HERE)
    assert (shape.workers, shape.threads, shape.memory, shape.notices) == (1, 1, 1 << 30, ())
    assert str(shape) == "1 worker of 1 thread and 1Gi"


def test_workers_without_resources_share_the_machine() -> None:
    shape = dask_shape(Dask(), None, HERE)
    assert (shape.workers, shape.threads) == (1, 1)
    assert shape.memory == HERE.memory


def test_more_than_there_is_is_clamped_and_told() -> None:
    config = Dask(workers=WorkerGroup(500, resources=flyte.Resources(cpu=4, memory="64Gi")))
    shape = dask_shape(config, None, HERE)
    assert (shape.workers, shape.threads, shape.memory) == (4, 1, 4 << 30)
    told = "Dask: 500 workers of 4 threads and 64Gi asked, 4 cores and 16Gi here"
    assert shape.notices == (f"{told}: clamped to 4 workers of 1 thread and 4Gi",)


def test_images_are_told_not_to_be_pulled() -> None:
    told = dask_shape(Dask(Scheduler("a:1"), WorkerGroup(image="b:2")), None, HERE).notices
    assert told == (
        "scheduler.image 'a:1' is not pulled: Dask runs in the Python of the task",
        "workers.image 'b:2' is not pulled: Dask runs in the Python of the task",
    )


def test_what_the_task_and_its_workers_take_together() -> None:
    each = flyte.Resources(cpu="500m", memory="512Mi")
    config = Dask(workers=WorkerGroup(4, resources=each))
    assert together(config, None) == flyte.Resources(cpu=2.0)  # the task's own memory has no limit
    assert together(config, flyte.Resources(cpu=1, memory="1Gi", gpu=1)) == flyte.Resources(
        cpu=2.0, memory=f"{3 << 20}Ki", gpu=1
    )
    assert together(Dask(), None) is None
    assert together(Dask(workers=WorkerGroup(2)), flyte.Resources(cpu=1)) == flyte.Resources(cpu=2.0)


@given(
    st.integers(1, 300),
    st.none() | st.integers(1, 64),
    st.none() | st.integers(1, 1 << 20),
    st.none() | st.integers(64, 9999),
)
def test_a_cluster_always_fits(count: int, cpu: int | None, memory: int | None, own: int | None) -> None:
    each = flyte.Resources(cpu=cpu, memory=None if memory is None else f"{memory}Mi")
    resources = None if own is None else flyte.Resources(memory=f"{own}Mi")
    shape = dask_shape(Dask(workers=WorkerGroup(count, resources=each)), resources, HERE)
    assert 1 <= shape.workers <= count
    assert shape.workers * shape.threads <= HERE.cores
    assert shape.threads <= (cpu or 1)
    assert shape.memory * shape.workers <= HERE.memory or shape.memory == 128 << 20
    assert memory is None or shape.memory <= max(memory << 20, 128 << 20)
