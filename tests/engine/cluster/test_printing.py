"""What an action in a cluster printed, without what the SDK's runtime logs among it."""

from __future__ import annotations

from pathlib import Path

import pytest
from flyte_nb.engine.cluster.printing import Printed, in_cells

MODULE = """import flyte

# In [3], line 5
def fails(x):
    y = x + 1
    raise ValueError(y)
"""
LOG = """[flyte] WARNING Flyte runtime started for action a0 with run name r1
before
[r1][a0] [flyte] {level}Task failed with error: bad 3
Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/flyte/_internal/runtime/taskrunner.py", line 121, in run_task
    outputs = await task.execute(**inputs)
              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 456, in result
    return self.__get_result()
  File "/code/notebook_abc.py", line 6, in fails
    raise ValueError(y)
  File "/opt/venv/lib/python3.11/site-packages/other/it.py", line 1, in helps
    down()
shop.BadThing: bad 3
[flyte] {level}Task calc.fails failed with error: Error(err=code: "BadThing"
message: "bad 3"
kind: USER
, recoverable=True). Uploaded error to s3://there/error.pb
after
[flyte] WARNING Flyte runtime completed for action a0 with run name r1
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "notebook_abc.py"
    file.write_text(MODULE)
    return file


@pytest.mark.parametrize("level", ["ERROR ", ""])
def test_the_traceback_is_told_in_cells_and_the_rest_is_shown(module: Path, level: str) -> None:
    printed = Printed(module)
    shown = "".join(printed.take(line) for line in LOG.format(level=level).splitlines(keepends=True))
    assert shown == "before\nafter\n"
    assert printed.exception == "BadThing"
    assert printed.traceback.splitlines() == [
        "  In [3], line 7, in fails",
        "    raise ValueError(y)",
        "  /opt/venv/lib/python3.11/site-packages/other/it.py, line 1, in helps",
        "    down()",
    ]


def test_a_task_that_succeeds_has_no_traceback(module: Path) -> None:
    printed = Printed(module)
    assert printed.take("Traceback (most recent call last):\n") == "Traceback (most recent call last):\n"
    assert printed.take("a [flyte] of mine\n") == "a [flyte] of mine\n"
    assert (printed.traceback, printed.exception) == ("", "")


def test_lines_of_a_module_without_a_cell_stay_as_they_are(module: Path) -> None:
    text = f'File "{module}", line 1, in <module>; File "/x/notebook_abc.py", line 5, in fails; other.py, line 6'
    assert in_cells(text, module) == (
        f'File "{module}", line 1, in <module>; In [3], line 6, in fails; other.py, line 6'
    )
