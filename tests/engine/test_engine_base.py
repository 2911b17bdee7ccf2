"""Run and Outputs: what every engine records."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import pytest
from flyte_nb.engine.base import Action, Outputs, Phase, Run, Settings
from flyte_nb.errors import RuntimeUserError


def test_outputs_are_a_tuple_with_names() -> None:
    outputs = Outputs.of((1, "a"), ("o0", "o1"))
    assert outputs == (1, "a")
    assert isinstance(outputs, tuple)
    assert (outputs.o0, outputs.o1) == (1, "a")
    assert outputs.named_outputs == {"o0": 1, "o1": "a"}
    with pytest.raises(AttributeError, match="no output 'o2'; there is o0, o1"):
        outputs.o2
    assert pickle.loads(pickle.dumps(outputs)) == outputs


def test_one_output_and_none_are_a_tuple_of_one() -> None:
    assert Outputs.of([1, 2], ("o0",)) == ([1, 2],)
    nothing = Outputs.of(None, ())
    assert nothing == (None,)
    assert nothing.o0 is None
    assert nothing.named_outputs == {"o0": None}


def test_outputs_of_a_named_tuple_have_its_names_and_the_positions() -> None:
    outputs = Outputs.of((1, "a"), ("total", "word"))
    assert (outputs.total, outputs.word, outputs.o0, outputs.o1) == (1, "a", 1, "a")
    assert outputs.named_outputs == {"total": 1, "word": "a"}


def ended(tmp_path: Path) -> Run:
    action = Action("a0", "e.t", phase=Phase.SUCCEEDED)
    log = tmp_path / "logs" / "r1.log"
    log.parent.mkdir()
    log.write_text("hello\n")
    return Run("r1", "e.t", actions=[action], log=log, result=Outputs.of(1, ("o0",)))


def test_a_run_answers_at_once_and_awaited(tmp_path: Path) -> None:
    run = ended(tmp_path)
    assert run.outputs() == (1,)
    assert asyncio.run(run.outputs.aio()) == (1,)
    assert run.wait() is run
    assert asyncio.run(run.wait.aio()) is run
    assert run.logs() == asyncio.run(run.logs.aio()) == "hello\n"
    assert run.done()
    assert "What failed the run" in (Run.outputs.__doc__ or "")


def test_the_url_of_a_run_is_where_its_data_is(tmp_path: Path) -> None:
    assert ended(tmp_path).url == f"{tmp_path}/data/r1"
    assert Run("r2", "e.t").url == ""


def test_outputs_raise_what_failed_the_run(tmp_path: Path) -> None:
    run = ended(tmp_path)
    run.error = RuntimeUserError("ValueError", "no")
    with pytest.raises(RuntimeUserError):
        run.outputs()
    with pytest.raises(RuntimeUserError):
        asyncio.run(run.outputs.aio())


def test_a_run_starts_now_unless_it_is_said() -> None:
    assert Settings().run_start_time.endswith("+00:00")
    assert Settings(run_start_time="2024-01-01").run_start_time == "2024-01-01"
