"""What Spark's Java logs: its warnings and errors, without the lines that every start has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["log_settings"]

_OPTIONS = "spark.driver.extraJavaOptions"
_FILE = """
status = error
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
"""


def log_settings(declared: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the settings that say what is logged; none where the user's own say it.

    Parameters
    ----------
    declared : mapping
        The settings of Spark that are declared.
    folder : Path
        Where the file that says it is written.
    """
    if _OPTIONS in declared or os.environ.get("SPARK_CONF_DIR"):
        return {}
    file = folder / "log4j2.properties"
    file.write_text(_FILE)
    return {_OPTIONS: f"-Dlog4j2.configurationFile={file.as_uri()}"}
