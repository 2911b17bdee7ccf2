import os
import stat
import sys
import threading
import time

import pytest
from flyte_nb.notebook.module import Captured, Module, locate, tidy, write_file

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


def test_what_is_there_already_is_only_marked_as_used(tmp_path):
    module = Module(SOURCE, (Captured("a", b"1", "In [1]"),))
    path = module.write(tmp_path / "m")
    before = path.stat()
    os.utime(tmp_path / "m", (0, 0))
    assert module.write(tmp_path / "m") == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert time.time() - (tmp_path / "m").stat().st_mtime < 60


def test_the_same_definitions_in_other_cells_are_written_again(tmp_path):
    moved = Module(SOURCE.replace("In [3]", "In [88]"))
    Module(SOURCE).write(tmp_path)
    assert "In [88]" in moved.write(tmp_path).read_text()


def test_marks_tell_the_script_that_a_cell_ran():
    source = "# In [3] helpers.py, line 2\ndef f(): pass\n"
    assert locate(source, 2) == ("In [3] helpers.py", 2)
    assert Module(source).digest == Module(source.replace("helpers.py, line 2", "other.py, line 5")).digest


def test_old_modules_are_removed_and_others_are_kept(tmp_path):
    day, now = 24 * 60 * 60, time.time()
    folders = [tmp_path / f"{n:016x}" for n in range(6)]
    for number, folder in enumerate(folders):
        Module(SOURCE).write(folder)
        os.utime(folder, (now - number * 3 * day,) * 2)
    (tmp_path / "notes").mkdir()
    os.utime(tmp_path / "notes", (0, 0))
    assert set(tidy(tmp_path, keep=4)) == set(folders[4:])
    assert tidy(tmp_path, keep=0, age=4 * day) == [folders[3], folders[2]]
    assert sorted(p.name for p in tmp_path.iterdir()) == [folders[0].name, folders[1].name, "notes"]
    assert tidy(tmp_path / "nothing") == []
