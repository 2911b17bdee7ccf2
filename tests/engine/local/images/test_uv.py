"""uv as a process: found, told of, cancelled, and its messages."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from flyte_nb.engine.local.images.uv import UV, essential, find_uv
from flyte_nb.errors import ImageBuildError

from scripts import is_gone, soon


def test_without_uv_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageBuildError, match=r'pip install "flyte_nb\[images\]"'):
        find_uv()
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert find_uv() == str(tmp_path / "uv")


def uv_that(script: str, folder: Path, told: list[str]) -> UV:
    """Give a stand-in for uv that says what is wanted."""
    program = folder / "uv"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return UV(str(program), {}, told.append)


def test_progress_is_told_in_short_lines(tmp_path: Path) -> None:
    told: list[str] = []
    says = ["Using Python 3.12", "Resolved 7 packages in 3ms", "Downloading a (2.2MiB)", "warning: old hunter2"]
    says += [f" + p{i}==1" for i in range(7)]
    uv = uv_that("\n".join(f"echo '{line}' >&2" for line in says), tmp_path, told)
    asyncio.run(uv.run("it", folder=tmp_path, variables={}, secrets=["hunter2"]))
    assert told == [
        "Resolved 7 packages",
        "Downloading a (2.2MiB)",
        "warning: old ***",
        "installed p0==1, p1==1, p2==1, p3==1, p4==1 and 2 more",
    ]


def test_a_failure_names_what_was_done_and_never_a_secret(tmp_path: Path) -> None:
    uv = uv_that('echo "noise\nerror: no $TOKEN at https://me:$TOKEN@host" >&2; exit 2', tmp_path, [])
    with pytest.raises(ImageBuildError) as told:
        asyncio.run(uv.run("the layer", folder=tmp_path, variables={"TOKEN": "hunter2"}, secrets=["hunter2"]))
    assert str(told.value) == "the layer: no *** at https://***@host"


def test_a_failure_without_words_has_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match="the layer: uv ended with exit code 3"):
        asyncio.run(uv_that("exit 3", tmp_path, []).run("the layer", folder=tmp_path, variables={}))


def test_cancelling_ends_uv_and_what_it_started(tmp_path: Path) -> None:
    uv = uv_that("sleep 60 & echo $! > child; echo $$ > self; wait", tmp_path, [])

    async def cancel() -> None:
        task = asyncio.create_task(uv.run("it", folder=tmp_path, variables={}))
        while not (tmp_path / "self").exists() or not (tmp_path / "self").read_text():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    pids = [int((tmp_path / name).read_text()) for name in ("self", "child")]
    assert soon(lambda: all(is_gone(pid) for pid in pids))


def test_a_long_message_keeps_its_first_and_its_last_lines() -> None:
    lines = ["Resolved", "error: failed", *(f"line {i}" for i in range(50)), "x" * 5000]
    kept = essential(lines).splitlines()
    assert kept[0] == "failed"
    assert len(kept) == 11
    assert all(len(line) <= 401 for line in kept)
    assert essential([]) == ""
