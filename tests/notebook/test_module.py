import os
import stat
import sys
import threading

import pytest
from flyte_nb.notebook.module import Captured, Module, locate, write_file

SOURCE = '"""Doc."""\n\nimport os\n\n\n# In [3], line 7\ndef f():\n    return os\n\n\n# In [12], line 1\nx = 1\n'


def test_locate_gives_the_cell_and_the_line():
    assert [locate(SOURCE, n) for n in (1, 5, 7, 8, 12)] == [None, None, ("In [3]", 7), ("In [3]", 8), ("In [12]", 1)]
    assert locate(SOURCE, 999) == ("In [12]", 988)
    assert locate("", 1) is None


@pytest.mark.parametrize("odd", ["\x0c", "\u2028", "\x85"])
def test_locate_counts_lines_as_python_does(odd):
    assert locate(f"# In [1], line 1\na = '{odd}{odd}'\n# In [2], line 5\nb = 1\n", 4) == ("In [2]", 5)


def test_the_digest_ignores_cell_numbers():
    moved = SOURCE.replace("In [3], line 7", "In [88], line 2")
    assert Module(SOURCE).digest == Module(moved).digest
    assert Module(SOURCE).digest != Module(SOURCE.replace("x = 1", "x = 2")).digest


def test_the_digest_knows_what_only_looks_like_a_line_end():
    assert Module("a = 'x\x0cy'").digest != Module("a = 'x\u2028y'").digest


def test_the_digest_counts_captured_values():
    one, two = Captured("a", b"1", "In [1]"), Captured("a", b"2", "In [1]")
    assert len({Module("", ()).digest, Module("", (one,)).digest, Module("", (two,)).digest}) == 3
    assert Module("", (one,)).digest == Module("", (Captured("a", b"1", "In [9]"),)).digest


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits")
def test_what_is_written_is_private(tmp_path):
    before = os.umask(0)
    try:
        path = Module(SOURCE, (Captured("a", b"1", "In [1]"),)).write(tmp_path / "deep" / "er")
    finally:
        os.umask(before)
    assert path.read_text() == SOURCE
    assert (path.parent / "captured" / "a.pkl").read_bytes() == b"1"
    assert {mode(path.parent), mode(path.parent / "captured")} == {0o700}
    assert {mode(path), mode(path.parent / "captured" / "a.pkl")} == {0o600}


def test_writing_twice_replaces(tmp_path):
    Module("a = 1\n").write(tmp_path)
    assert Module("a = 2\n").write(tmp_path).read_text() == "a = 2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["cells.py"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, whole = tmp_path / "f", {bytes([n]) * 200_000 for n in range(4)}
    write_file(path, next(iter(whole)))
    writers = [threading.Thread(target=lambda d=data: [write_file(path, d) for _ in range(10)]) for data in whole]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in whole
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_file(tmp_path / "folder", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
