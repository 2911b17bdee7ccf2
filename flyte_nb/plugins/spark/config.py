"""What a Spark session is: its settings, what runs it, the pods of a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType
from flyte_nb.environments.pod_template import PodTemplate

__all__ = ["Spark", "mebibytes"]

_MASTER = re.compile(
    r"local(\[(\*|[1-9][0-9]*)(, *[0-9]+)?\])?|yarn|k8s://\S+|spark://[^\s/:,]+:[0-9]{1,5}(,[^\s/:,]+:[0-9]{1,5})*"
)
_MEMORY = re.compile(r"([1-9][0-9]*)([kmgtp]?)b?", re.IGNORECASE)
_UNITS = {"k": 1 / 1024, "": 1, "m": 1, "g": 1024, "t": 1 << 20, "p": 1 << 30}
_MEMORIES = ("spark.driver.memory", "spark.executor.memory")
_COUNTS = {"spark.driver.cores": 1, "spark.executor.cores": 1, "spark.executor.instances": 0}


def mebibytes(text: str) -> int:
    """Read an amount of memory as Spark writes it, such as ``"1g"`` or ``"512m"``; without a unit it is mebibytes.

    Raises
    ------
    ValueError
        When it is no such text.
    """
    found = _MEMORY.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no amount of memory")
    return max(int(int(found[1]) * _UNITS[found[2].lower()]), 1)


def _texts(value: Any) -> Any:
    """Give the settings of a mapping: none for None; every name and value is a text."""
    if value is None:
        return {}
    for name, text in value.items() if isinstance(value, dict) else ():
        if not isinstance(name, str):
            raise WrongType(f"the name {name!r} is of type {type(name).__name__}")
        if not isinstance(text, str):
            raise WrongType(f"{name!r} is of type {type(text).__name__}; write it as a text")
    return value


def _of_spark(value: Any) -> Any:
    settings = _texts(value)
    for name, text in settings.items() if isinstance(settings, dict) else ():
        if not name.startswith("spark.") or name != name.strip():
            raise ValueError(f"{name!r} is no setting of Spark: their names begin with 'spark.'")
        _check(name, text)
    return settings


def _check(name: str, text: str) -> None:
    """Refuse what Spark would refuse of the settings that say what a session is."""
    if name == "spark.master" and not _MASTER.fullmatch(text):
        raise ValueError(f"{name!r} is {text!r}; it is 'local[4]', 'spark://host:7077', 'k8s://https://host' or 'yarn'")
    if name in _MEMORIES and not _MEMORY.fullmatch(text):
        raise ValueError(f"{name!r} is {text!r}; write it as '512m' or '4g'")
    if name in _COUNTS and not (text.isdecimal() and int(text) >= _COUNTS[name]):
        raise ValueError(f"{name!r} is {text!r}; it is a whole number, at least {_COUNTS[name]}")


def _of_hadoop(value: Any) -> Any:
    settings = _texts(value)
    for name in settings if isinstance(settings, dict) else ():
        if not name.strip():
            raise ValueError("a name is empty")
        if name.startswith("spark.hadoop."):
            raise ValueError(f"{name!r} is a setting of Spark; here it is {name.removeprefix('spark.hadoop.')!r}")
    return settings


def _path(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("it is empty")
    return value


Path = Annotated[str | None, Check(_path, "a path, or None", before=True)]


@dataclass(frozen=True, repr=False)
class Spark(Declaration):
    """The Spark session of a task; as ``plugin_config`` of its environment.

    ``flyte.ctx().data["spark_session"]`` holds the session. On this machine it is started with these settings for each
    task, as far as the machine and the environment's resources have room for it, and stopped after it. A
    ``spark.master`` that can be reached from here is joined.

    Parameters
    ----------
    spark_conf : dict of str to str, optional
        Settings of Spark by name, such as ``{"spark.executor.instances": "2"}``.
    hadoop_conf : dict of str to str, optional
        Settings of Hadoop by name, without ``spark.hadoop.`` before them.
    executor_path : str, optional
        The Python of the executors; the task's own by default.
    applications_path : str, optional
        The program of the driver in a cluster; Flyte's own by default.
    driver_pod, executor_pod : PodTemplate, optional
        The pods of the driver and of the executors in a cluster.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts.
    """

    spark_conf: Annotated[
        dict[str, str] | None,
        Check(_of_spark, "settings of Spark by name, as texts, such as {'spark.executor.memory': '1g'}", before=True),
    ] = None
    hadoop_conf: Annotated[
        dict[str, str] | None,
        Check(_of_hadoop, "settings of Hadoop by name, as texts, such as {'fs.s3a.endpoint': '…'}", before=True),
    ] = None
    executor_path: Path = None
    applications_path: Path = None
    driver_pod: PodTemplate | None = None
    executor_pod: PodTemplate | None = None
