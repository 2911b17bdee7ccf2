"""What a .dockerignore leaves out, by Docker's rules."""

import pytest
from flyte_nb.environments.dockerignore import IgnoreRules, files_under


@pytest.mark.parametrize(
    ("lines", "left_out", "kept"),
    [
        (["*.log"], ["a.log"], ["a.txt", "sub/a.log"]),
        (["**/*.log"], ["a.log", "sub/a.log", "a/b/c.log"], ["a.logs"]),
        (["data"], ["data", "data/x", "data/y/z"], ["database", "sub/data"]),
        (["/data/", "./x"], ["data/x", "x"], ["y"]),
        (["a/**"], ["a/b", "a/b/c"], ["ab"]),
        (["a/*/c"], ["a/b/c", "a/b/c/d"], ["a/c", "a/b/d/c"]),
        (["file?.txt"], ["file1.txt"], ["file.txt", "file12.txt", "file/.txt"]),
        (["file[0-3].txt", "x[^a].y", "q[[].z"], ["file2.txt", "xb.y", "q[.z"], ["file7.txt", "xa.y"]),
        (["*", "!keep.txt"], ["a", "b/c"], ["keep.txt"]),
        (["*.md", "!README.md", "README.md"], ["README.md", "x.md"], []),
        (["# *", "", "  "], [], ["a", "# *"]),
        ([r"\#a", r"x\*"], ["#a", "x*"], ["a", "xy"]),
        (["a.b"], ["a.b"], ["aXb"]),
    ],
)
def test_rules(lines, left_out, kept):
    rules = IgnoreRules.parse(lines)
    assert [path for path in left_out if not rules.leaves_out(path)] == []
    assert [path for path in kept if rules.leaves_out(path)] == []


def test_a_missing_file_has_no_rules(tmp_path):
    assert IgnoreRules.read(tmp_path / "none") == IgnoreRules()


def test_files_under_is_sorted_and_leaves_tool_droppings_out(tmp_path):
    for name in ["b/x.py", "a.py", "__pycache__/a.pyc", ".git/config", "b/y.pyc", "big.bin"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("*.bin\n")
    assert [name for name, _ in files_under(tmp_path)] == [".dockerignore", "a.py", "b/x.py"]
    assert "big.bin" in dict(files_under(tmp_path, IgnoreRules()))


def test_files_under_does_not_follow_links_to_folders(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [name for name, _ in files_under(tmp_path)] == ["loop"]
