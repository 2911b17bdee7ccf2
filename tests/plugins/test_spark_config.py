"""The configuration of a Spark session: its checks, its forms, and the tasks that it makes."""

from __future__ import annotations

from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.environments.forms import from_json
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError
from flyte_nb.notebook.spelling import Spelling
from flyte_nb.plugins.spark import PysparkFunctionTask, Spark
from flyte_nb.plugins.spark.config import mebibytes
from hypothesis import given
from hypothesis import strategies as st

FULL = Spark(
    {"spark.master": "local[2]", "spark.executor.memory": "1g", "spark.executor.instances": "2"},
    {"fs.s3a.endpoint": "http://here"},
    "/usr/bin/python3",
    "local:///opt/main.py",
    flyte.PodTemplate(labels={"a": "b"}),
    flyte.PodTemplate(labels={"c": "d"}),
)


def test_it_has_the_fields_of_the_sdks_plugin_in_its_order() -> None:
    assert list(Spark.__dataclass_fields__) == [
        "spark_conf", "hadoop_conf", "executor_path", "applications_path", "driver_pod", "executor_pod",
    ]  # fmt: skip
    assert (Spark().spark_conf, Spark().hadoop_conf, Spark(None, None)) == ({}, {}, Spark())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Spark({"executor.memory": "1g"}), r"spark_conf.*'executor.memory' is no setting of Spark"),
        (lambda: Spark({" spark.a": "b"}), r"spark_conf.*' spark.a' is no setting of Spark"),
        (lambda: Spark({"spark.master": "cluster"}), r"'spark.master' is 'cluster'; it is 'local\[4\]'"),
        (lambda: Spark({"spark.master": "local[0]"}), "spark.master"),
        (lambda: Spark({"spark.master": "spark://host"}), "spark.master"),
        (lambda: Spark({"spark.driver.memory": "lots"}), "'spark.driver.memory' is 'lots'; write it as '512m' or '4g'"),
        (lambda: Spark({"spark.executor.memory": "4Gi"}), "'spark.executor.memory' is '4Gi'"),
        (lambda: Spark({"spark.executor.cores": "0"}), "'spark.executor.cores' is '0'; .*at least 1"),
        (lambda: Spark({"spark.executor.instances": "two"}), "'spark.executor.instances' is 'two'"),
        (lambda: Spark(hadoop_conf={"spark.hadoop.a": "b"}), "here it is 'a'"),
        (lambda: Spark(hadoop_conf={"": "b"}), "hadoop_conf.*a name is empty"),
        (lambda: Spark(executor_path=""), r"Spark\.executor_path.*it is empty"),
        (lambda: Spark(applications_path=" "), r"Spark\.applications_path.*it is empty"),
    ],
)
def test_a_wrong_value_is_refused_by_field(make: Any, told: str) -> None:
    with pytest.raises(DeclarationValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Spark(["a"]), r"Spark\.spark_conf"),  # type: ignore[arg-type]
        (lambda: Spark({"spark.a": 3}), r"'spark.a' is of type int; write it as a text"),  # type: ignore[dict-item]
        (lambda: Spark(hadoop_conf={"a": True}), r"'a' is of type bool"),  # type: ignore[dict-item]
        (lambda: Spark({1: "a"}), r"the name 1 is of type int"),  # type: ignore[dict-item]
        (lambda: Spark(executor_path=3), r"Spark\.executor_path"),  # type: ignore[arg-type]
        (lambda: Spark(driver_pod="pod"), r"Spark\.driver_pod"),  # type: ignore[arg-type]
        (lambda: Spark(executor_pod={}), r"Spark\.executor_pod"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_type_is_refused_by_field(make: Any, told: str) -> None:
    with pytest.raises(DeclarationTypeError, match=told):
        make()


@pytest.mark.parametrize(
    "master", ["local", "local[*]", "local[4]", "local[4, 2]", "yarn", "k8s://https://h:1", "spark://a:1,b:2"]
)
def test_masters_of_every_kind(master: str) -> None:
    assert Spark({"spark.master": master}).spark_conf == {"spark.master": master}


@pytest.mark.parametrize(
    ("text", "amount"), [("1g", 1024), ("512m", 512), ("512", 512), ("2048K", 2), ("1T", 1 << 20), ("1gb", 1024)]
)
def test_memory_as_spark_writes_it(text: str, amount: int) -> None:
    assert mebibytes(text) == amount


@given(st.text(max_size=6))
def test_memory_is_read_or_refused(text: str) -> None:
    try:
        amount = mebibytes(text)
    except ValueError:
        return
    assert amount >= 1
    assert text.strip()[0].isdecimal()


def test_it_is_equal_by_value_and_comes_back_from_its_forms() -> None:
    assert from_json(FULL.to_json()) == FULL
    spelling, names = Spelling({}), dict[str, Any]()
    text = spelling.value(FULL)
    exec("\n".join(spelling.imports), names)
    assert eval(text, names) == FULL
    assert "from flyte_nb.plugins.spark import Spark" in spelling.imports


def test_a_repr_hides_what_looks_like_a_secret() -> None:
    shown = repr(Spark({"spark.hadoop.fs.s3a.secret.key": "abcdefgh"}, {"fs.s3a.secret.key": "ijklmnop"}))
    assert "abcdefgh" not in shown
    assert "ijklmnop" not in shown


def test_its_tasks_are_those_of_the_plugin() -> None:
    env = flyte.TaskEnvironment("spark-config", plugin_config=FULL)

    @env.task
    def task() -> int:
        return 1

    assert isinstance(task, PysparkFunctionTask)
    assert (task.task_type, task.plugin_config, task()) == ("spark", FULL, 1)


def test_a_session_is_not_kept_warm() -> None:
    with pytest.raises(DeclarationError, match="its plugin does not support a reuse policy"):
        flyte.TaskEnvironment("spark-reuse", plugin_config=Spark(), reusable=flyte.ReusePolicy(1))
