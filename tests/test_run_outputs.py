"""Outputs of runs as parameters of apps: those of this process, and those that another process kept in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from flyte_nb.engine.store import Store
from flyte_nb.environments.delayed_values import RunOutput
from flyte_nb.errors import UnknownNameError, UsageError
from flyte_nb.io import File
from flyte_nb.run_outputs import find_output

from scripts import ran, written

TASKS = """
import os
from dataclasses import dataclass
import flyte_nb as flyte

env = flyte.TaskEnvironment("e")

@dataclass
class Model:
    size: int

@env.task
def made(x: int) -> tuple[str, dict[str, int]]:
    return f"made {x}", {"x": x}

@env.task(cache="auto")
def counted(x: int) -> int:
    return x

@env.task
def calls(x: int) -> int:
    return counted(x) + 100

@env.task
def file() -> flyte.io.File:
    with open("model.bin", "w") as out:
        out.write("weights")
    return flyte.io.File(path=os.path.abspath(out.name))

@env.task
def model() -> Model:
    return Model(1)

@env.task
def fails() -> int:
    raise ValueError
"""
RUNS = """
if __name__ == "__main__":
    kept = flyte.with_runcontext(keep="always", name="kept-elsewhere")
    kept.run(made, 1)
    flyte.with_runcontext(name="not-kept").run(made, 2)
    flyte.with_runcontext(name="cached").run(counted, 3)
    flyte.with_runcontext(name="calling").run(calls, 4)
    flyte.with_runcontext(name="filed", keep="always").run(file)
    flyte.with_runcontext(name="modelled", keep="always").run(model)
    try:
        flyte.with_runcontext(name="failed", keep="always").run(fails)
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has the runs of a process that has ended."""
    folder = tmp_path_factory.mktemp("kept")
    written(folder / "tasks.py", TASKS + RUNS)
    done = ran(["tasks.py"], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "RuntimeUserError\n"
    return folder


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder / "home")


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        (RunOutput(type="string", run_name="kept-elsewhere"), "made 1"),
        (RunOutput(type="string", run_name="kept-elsewhere", getter=(1, "x")), 1),
        (RunOutput(type="string", task_name="e.made"), "made 1"),  # the newest that was kept
        (RunOutput(type="string", run_name="cached"), 3),
        (RunOutput(type="string", task_name="e.counted"), 3),  # 4 is no run's, but of a task that one called
    ],
    ids=lambda given: repr(given)[:60],
)
def test_outputs_that_another_process_kept(store: Store, asked: RunOutput, value: object) -> None:
    assert find_output(store, asked) == value


def test_a_file_that_another_process_kept(store: Store) -> None:
    found = find_output(store, RunOutput(type="file", run_name="filed"))
    assert isinstance(found, File)
    assert Path(found.path).read_text() == "weights"


@pytest.mark.parametrize(
    "asked", [{"run_name": "not-kept"}, {"run_name": "calling"}, {"task_name": "e.calls"}], ids=repr
)
def test_outputs_that_nobody_kept(store: Store, asked: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"not kept; run the task in this process, or with .+\(keep=.always.\)"):
        find_output(store, RunOutput(type="string", **asked))


def test_runs_that_have_no_outputs(store: Store) -> None:
    with pytest.raises(UsageError, match="run 'failed' has no outputs: it is failed"):
        find_output(store, RunOutput(type="string", run_name="failed"))
    with pytest.raises(UnknownNameError, match="no run named 'kep'"):
        find_output(store, RunOutput(type="string", run_name="kep"))
    with pytest.raises(UsageError, match=r"a run of task 'e\.nothing' are not kept"):
        find_output(store, RunOutput(type="string", task_name="e.nothing"))


def test_outputs_that_cannot_be_read_here_or_have_no_such_step(store: Store) -> None:
    with pytest.raises(UsageError, match=r"the outputs of run 'modelled' cannot be read here: .*; return plain data"):
        find_output(store, RunOutput(type="string", run_name="modelled"))
    with pytest.raises(UsageError, match=r"getter: given \(7,\); run 'kept-elsewhere' has no 7 in"):
        find_output(store, RunOutput(type="string", run_name="kept-elsewhere", getter=(7,)))


def test_an_app_is_given_what_another_process_kept(folder: Path) -> None:
    written(
        folder / "serves.py",
        """
        import os
        import flyte_nb as flyte

        asked = flyte.app.RunOutput(type="file", run_name="filed")
        app = flyte.app.AppEnvironment("a", requires_auth=False, parameters=[flyte.app.Parameter("model", asked)])

        @app.server
        async def serve(model: flyte.io.File):
            import asyncio
            async def answer(reader, writer):
                await reader.readuntil(b"\\r\\n\\r\\n")
                body = open(model.path, "rb").read()
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
            await (await asyncio.start_server(answer, "0.0.0.0", 8080)).serve_forever()

        if __name__ == "__main__":
            import urllib.request
            with flyte.serve(app) as handle:
                print(urllib.request.urlopen(handle.url).read().decode())
        """,
    )
    done = ran(["serves.py"], folder)
    assert done.stdout == "weights\n", done.stderr
