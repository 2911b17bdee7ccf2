"""A Spark session around a task: started with what is declared, and ended with the Java that runs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyte_nb.context.notices import notice
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import RuntimeUserError
from flyte_nb.plugins.missing import insist_on
from flyte_nb.plugins.scratch import scratch
from flyte_nb.plugins.share import Share
from flyte_nb.plugins.spark.config import Spark
from flyte_nb.plugins.spark.logs import log_settings
from flyte_nb.plugins.spark.shape import Shape, shape_of

__all__ = ["session"]

LONGEST = 4000  # characters of what Spark says of an error
GRACE = 5.0  # seconds for Java to end by itself


@contextmanager
def session(config: Spark, resources: Resources | None, name: str) -> Iterator[Mapping[str, Any]]:
    """Have a Spark session; gives it as ``spark_session``.

    Parameters
    ----------
    config : Spark
        What is declared.
    resources : Resources, optional
        What the task may have of this machine.
    name : str
        The task.

    Raises
    ------
    ResourceError
        When there is too little memory for a session.
    RuntimeUserError
        When pyspark or Java is not installed, the session cannot be started, or its Java ends while the task runs.
    """
    insist_on("pyspark", "spark", "Spark")
    insist_on_java()
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._active_spark_context is not None:
        notice("this process has a Spark session already: it is taken as it is")
        yield {"spark_session": SparkSession.builder.getOrCreate()}
        return
    shape = shape_of(config, resources, Share.here(), name)
    with scratch("spark") as folder, _variables(_environment(config, shape, str(folder))):
        _travel_by_value()
        settings = {**log_settings(shape.settings, folder), **_paths(shape), **shape.settings}
        spark = _started(SparkSession.builder, settings, name)
        java = getattr(SparkContext._gateway, "proc", None)
        try:
            _tell(spark, shape)
            yield {"spark_session": spark}
        except Exception as error:
            plain = _plain(error, java, name)
            if plain is error:
                raise
            raise plain.with_traceback(error.__traceback__) from None
        finally:
            _stop(spark, SparkContext)


def insist_on_java() -> None:
    """Make sure that there is a Java.

    Raises
    ------
    RuntimeUserError
        With the code ``JavaMissing``, saying where it was looked for and how to get it.
    """
    if _java() is None:
        home = os.environ.get("JAVA_HOME")
        where = f"JAVA_HOME is {home!r}, which has none" if home else "JAVA_HOME is not set, and the PATH has none"
        raise RuntimeUserError(
            "JavaMissing",
            f"Spark runs in Java, and there is none here ({where}): install Java 17 or later, such as with apt-get "
            "install openjdk-17-jre-headless, brew install openjdk@17 or conda install openjdk=17; or set JAVA_HOME",
        )


def _java() -> str | None:
    """Find the Java that Spark would start."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")


def _travel_by_value() -> None:
    """Let what a script defines go to the Pythons of Spark as a value: they do not run the script."""
    main = sys.modules["__main__"]
    if main.__name__ != "__main__":
        from pyspark import cloudpickle

        cloudpickle.register_pickle_by_value(main)


def _environment(config: Spark, shape: Shape, folder: str) -> dict[str, str]:
    """Give the variables that Spark reads as it starts."""
    path = config.executor_path
    if path is not None and not shape.joined and shutil.which(path) is None:
        notice(f"executor_path {path} is not here: the Python of the task runs in its place")
        path = None
    variables = {"PYSPARK_PYTHON": path or sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    if "spark.local.dir" not in shape.settings:
        variables["SPARK_LOCAL_DIRS"] = folder
    if not shape.joined and path is None:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if shape.settings.get("spark.driver.bindAddress") == "127.0.0.1":
        variables["SPARK_LOCAL_IP"] = "127.0.0.1"  # its pages, too, are for this machine only
    return variables


def _paths(shape: Shape) -> dict[str, str]:
    """Give where the Pythons of executors on this machine find modules."""
    on_this = shape.joined and shape.settings.get("spark.driver.host") == "127.0.0.1"
    return {"spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path))} if on_this else {}


@contextmanager
def _variables(given: dict[str, str]) -> Iterator[None]:
    """Have variables in the environment of this process."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def _started(builder: Any, settings: dict[str, str], name: str) -> Any:
    """Start a session.

    Raises
    ------
    RuntimeUserError
        With what Java said.
    """
    try:
        return builder.config(map=settings).getOrCreate()
    except Exception as error:  # of py4j, of pyspark, of the system: there are many
        from pyspark import SparkContext

        _end_java(SparkContext)
        told = str(error).strip() or type(error).__name__
        why = f"{_version()}; what it said is in the output of the task" if "JAVA_GATEWAY" in told else _cause(told)
        raise RuntimeUserError("SparkNotStarted", f"the Spark session of {name} did not start: {why}") from error


def _cause(told: str) -> str:
    """Give the line of Java's report that says why."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return next((line.removeprefix(": ") for line in lines if line.startswith(":")), lines[0])[:500]


def _version() -> str:
    """Say which Java there is."""
    said = subprocess.run([_java() or "java", "-version"], capture_output=True, text=True, check=False).stderr
    return f"its Java ended at once ({said.splitlines()[0] if said else 'which does not tell its version'})"


def _tell(spark: Any, shape: Shape) -> None:
    """Tell what the session is, and where its pages are."""
    for text in shape.notices:
        notice(text)
    page = spark.sparkContext.uiWebUrl
    notice(f"Spark {spark.version}: {shape.told}{f'; its UI: {page}' if page else ''}")


def _plain(error: Exception, java: Any, name: str) -> Exception:
    """Give an error that can be read without the session: Spark's own ask its Java for their words."""
    package = type(error).__module__.partition(".")[0]
    if package not in ("pyspark", "py4j") and not isinstance(error, ConnectionError):
        return error
    if _has_ended(java):
        return _lost(java, name)
    if package not in ("pyspark", "py4j"):
        return error
    lines = [line for line in str(error).splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    return RuntimeUserError(type(error).__name__, "\n".join(lines)[:LONGEST])


def _has_ended(java: Any) -> bool:
    if java is None:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        java.wait(0.5)
    return java.poll() is not None


def _lost(java: Any, name: str) -> RuntimeUserError:
    """Word the end of the session's Java in the middle of the task."""
    code = java.returncode
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return RuntimeUserError(
        "SparkEnded",
        f"the Java of the Spark session of {name} ended while the task ran ({how}); if it had too little memory, ask "
        "for more: resources=Resources(memory=…), or spark.driver.memory in spark_conf",
    )


def _stop(spark: Any, context: Any) -> None:
    """Stop a session, and end the Java that runs it."""
    with contextlib.suppress(Exception):  # its Java may have ended
        spark.stop()
    _end_java(context)


def _end_java(context: Any) -> None:
    """End the Java of this process, so that another session starts anew."""
    gateway = context._gateway
    java = getattr(gateway, "proc", None)
    if java is None:  # none has started, or it is not ours
        return
    with contextlib.suppress(Exception):
        gateway.shutdown()
    with contextlib.suppress(OSError):
        java.stdin.close()  # it ends at the end of its input
    try:
        java.wait(GRACE)
    except subprocess.TimeoutExpired:
        java.kill()
        java.wait()
    context._gateway = context._jvm = None
