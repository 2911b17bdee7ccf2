"""Segments: large buffers are shared, what a reader changes is its own, and nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from flyte_nb.engine import codec
from flyte_nb.engine.segments import LEAST, Segment, Segments, mapped, release, tracked


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    return Segments(tmp_path)


def test_large_parts_are_shared_and_small_ones_are_not(segments: Segments) -> None:
    large, small = b"x" * LEAST, b"y" * (LEAST - 1)
    one, other = segments.shared([large, small])
    assert isinstance(one, Segment)
    assert other is small
    assert mapped([one, other]) == [large, small]
    assert segments.shared([one]) == (one,)


def test_what_a_reader_changes_is_its_own(segments: Segments) -> None:
    (segment,) = segments.shared([bytes(LEAST)])
    assert isinstance(segment, Segment)
    view = segment.view()
    view[0] = 7
    assert (view[0], segment.view()[0]) == (7, 0)


def test_the_last_reader_removes_the_file_and_keeps_the_value(segments: Segments, tmp_path: Path) -> None:
    parts, _ = codec.encode({"data": bytearray(LEAST)})
    shared = segments.shared([parts[0], b"z" * LEAST])
    (_, view) = mapped(shared, last=True)
    assert list(tmp_path.iterdir()) == []
    assert bytes(view) == b"z" * LEAST


def test_a_frame_names_its_segments(segments: Segments) -> None:
    shared = segments.shared([b"small", b"z" * LEAST])
    data = b"".join(codec.pack({"op": "call"}, shared))
    assert len(data) < 1000
    ((head, parts),) = codec.Frames().feed(data)
    assert head["op"] == "call"
    assert mapped(parts) == [b"small", b"z" * LEAST]


def test_no_room_is_no_error(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "gone")
    part = b"x" * LEAST
    assert segments.shared([part]) == (part,)


def test_the_folder_is_private_and_goes() -> None:
    segments = Segments()
    folder = segments.folder
    assert folder.stat().st_mode & 0o777 == 0o700
    segments.remove()
    assert not os.path.exists(folder)


def test_memory_is_used_again(segments: Segments, tmp_path: Path) -> None:
    (first,) = segments.shared([b"a" * LEAST])
    assert isinstance(first, Segment)
    segments.recycle(first)
    (again,) = segments.shared([b"b" * (LEAST + 0)])
    assert again == first
    assert bytes(mapped([again])[0]) == b"b" * LEAST
    (other,) = segments.shared([b"c" * LEAST])
    assert other != first
    segments.recycle(first)
    (larger,) = segments.shared([b"d" * (3 * LEAST)])
    assert larger != first
    segments.trim()
    assert not Path(first.path).exists()


def test_no_more_is_kept_than_allowed(segments: Segments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte_nb.engine.segments.MOST_FREE", 2 * LEAST)
    for part in segments.shared([bytes([n]) * LEAST for n in range(4)]):
        assert isinstance(part, Segment)
        segments.recycle(part)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_held_is_not_released(segments: Segments) -> None:
    (segment,) = segments.shared([b"x" * LEAST])
    assert isinstance(segment, Segment)
    with tracked() as mapped_here:
        view = segment.view()
    other = segment.view()  # nobody keeps account of this one
    assert release(mapped_here) is False
    assert view[0] == other[0] == ord("x")
    with tracked() as mapped_here:
        view = segment.view()
    view.release()
    assert release(mapped_here) is True


def aged(folder: Path) -> Path:
    """Make a folder look as if nothing had happened in it for a long time."""
    os.utime(folder, (1, 1))
    return folder


def test_a_new_folder_sweeps_those_that_were_left(tmp_path: Path) -> None:
    code = "from flyte_nb.engine.segments import Segments; import os\n"
    leaves = [sys.executable, "-c", code + "print(Segments().folder, flush=True); os._exit(0)"]
    ended, young = (Path(subprocess.check_output(leaves, text=True).strip()) for _ in range(2))
    code += "print(Segments().folder, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        lives = aged(Path(other.stdout.readline().decode().strip()))
        old = aged(Path(tempfile.mkdtemp(prefix="flyte-nb-", dir=lives.parent)))
        link = lives.parent / f"flyte-nb-link-{os.getpid()}"
        link.symlink_to(tmp_path)
        segments = Segments()
        try:
            assert (ended / "lock").exists()
            aged(ended)
            assert segments.folder.exists()
            assert [p.exists() for p in (ended, old, young, lives, link)] == [False, False, True, True, True]
        finally:
            segments.remove()
            link.unlink()
            shutil.rmtree(young)
            other.communicate(b"\n")
            shutil.rmtree(lives, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_folder_of_another_user_stays() -> None:
    segments = Segments()
    other = Path(tempfile.mkdtemp(prefix="flyte-nb-", dir=segments.folder.parent))
    os.chown(other, 65534, 65534)
    aged(other)
    segments.remove()
    try:
        assert segments.folder.exists()
        assert other.exists()
    finally:
        segments.remove()
        other.rmdir()
