"""The public names: listed, sorted, there, and documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import flyte_nb
import pytest
from flyte_nb.portal import Verb


def test_public_names_are_sorted_and_exist() -> None:
    names = [name for name in flyte_nb.__all__ if not name.startswith("__")]
    assert names == sorted(names)
    assert [name for name in flyte_nb.__all__ if not hasattr(flyte_nb, name)] == []
    assert dir(flyte_nb) == sorted(flyte_nb.__all__)


def test_error_names_are_sorted_and_exist() -> None:
    assert flyte_nb.errors.__all__ == sorted(
        flyte_nb.errors.__all__, key=lambda n: (not n.isupper(), n)
    )  # constants first
    assert [name for name in flyte_nb.errors.__all__ if not hasattr(flyte_nb.errors, name)] == []


@pytest.mark.parametrize("name", [n for n in flyte_nb.__all__ if not n.startswith("__")])
def test_public_names_are_documented(name: str) -> None:
    value = getattr(flyte_nb, name)
    if inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, Verb):
        assert (inspect.getdoc(value) or "").strip()


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'TaskEnvironment'"):
        flyte_nb.TaskEnviroment


def test_the_import_alone_makes_apps_reachable() -> None:
    code = "import flyte_nb as flyte; print(flyte.app.AppEnvironment('a').port.port)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "8080\n"
