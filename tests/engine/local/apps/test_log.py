"""Logs of apps: lines, kept in bounded files, heard as they come, without secrets."""

from __future__ import annotations

from pathlib import Path

from flyte_nb.engine.local.apps.log import AppLog, Writer, tail_of
from flyte_nb.engine.local.redactor import Redactor


def test_lines_are_kept_heard_and_given_back(tmp_path: Path) -> None:
    log, lines = AppLog(tmp_path / "a.log"), list[str]()
    deaf = log.hear(lines.append)
    log.write("r1", "one")
    deaf()
    log.write("r2", "two")
    assert lines == ["r1 | one"]
    assert log.last(1) == ["r2 | two"]
    assert log.last(0) == []
    assert tail_of(log.path, 5) == ["r1 | one", "r2 | two"]
    assert (log.path.stat().st_mode & 0o777) == 0o600


def test_the_files_stay_small_and_the_newest_lines_stay(tmp_path: Path) -> None:
    log = AppLog(tmp_path / "a.log", most=1_000)
    for number in range(500):
        log.write("r1", f"line {number}")
    assert log.path.stat().st_size <= 1_000
    assert log.before.stat().st_size <= 1_000
    assert tail_of(log.path, 3) == ["r1 | line 497", "r1 | line 498", "r1 | line 499"]
    log.write("r1", "x" * 100_000)
    assert len(log.last(1)[0]) < 20_000


def test_pieces_become_lines_without_secrets() -> None:
    lines = list[str]()
    redactors = {"stdout": Redactor(["hunter22"]), "stderr": Redactor(["hunter22"])}
    writer = Writer(lines.append, lambda stream, text: redactors[stream].feed(text))
    writer("stdout", "a hun")
    writer("stderr", "other\n")
    writer("stdout", "ter22 b\nrest")
    assert lines == ["other", "a *** b"]
    writer.close()
    assert lines[-1] == "rest"


def test_what_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    log = AppLog(tmp_path / "a.log")
    (tmp_path / "a.log").mkdir()
    log.write("r1", "one")
    assert log.last(1) == ["r1 | one"]
