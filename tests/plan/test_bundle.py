import hashlib
import json
import re
import stat
import threading

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.plan.bundle import bundle_for, task_row
from flyte_nb.plan.contents import Contents
from flyte_nb.plan.files import includes_files, shipped


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


MODULE = Module("x = 1\n", (Captured("a", b"1", "In [1]"),))


def environments(description=None):
    base = Environment("base")
    env = TaskEnvironment("e", depends_on=[base], description=description)

    @env.task
    def f(x: int, y: str = "a") -> tuple[int, str]:
        """Do it."""
        return x, y

    return [base, env]


def test_the_manifest_says_what_is_inside():
    bundle = bundle_for(environments(), MODULE)
    assert re.fullmatch("[0-9a-f]{12}", bundle.version)
    digests = [row["digest"] for row in bundle.environments]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    x = Contents(MODULE).task_reads(environments()[1], "e.f")["x"]
    assert bundle.manifest() == {
        "version": bundle.version,
        "digest": MODULE.digest,
        "parts": {
            "cells.py": hashlib.sha256(MODULE.source.encode()).hexdigest(),
            "captured/a.pkl": hashlib.sha256(b"1").hexdigest(),
        },
        "environments": [
            {
                "environment": "base",
                "declaration": {"type": "Environment", "name": "base"},
                "tasks": {},
                "reads": {"x": x},
                "files": {},
                "digest": digests[0],
            },
            {
                "environment": "e",
                "declaration": {"type": "TaskEnvironment", "name": "e", "depends_on": ["base"]},
                "tasks": {
                    "e.f": {
                        "inputs": [{"name": "x", "type": "int"}, {"name": "y", "type": "str", "default": "'a'"}],
                        "outputs": {"o0": "int", "o1": "str"},
                        "interface": "(x: int, y: str = 'a') -> (int, str)",
                        "description": "Do it.",
                        "reads": {"x": x},
                    }
                },
                "reads": {"x": x},
                "files": {},
                "digest": digests[1],
            },
        ],
        "files": [],
    }
    json.dumps(bundle.manifest())


def test_the_same_content_has_the_same_version():
    version = bundle_for(environments(), MODULE).version
    assert bundle_for(reversed(environments()), MODULE).version == version
    assert bundle_for(environments("other"), MODULE).version != version
    assert bundle_for(environments(), Module("x = 2\n")).version != version
    marked = Module("# In [7], line 1\n" + MODULE.source, MODULE.captured)
    assert bundle_for(environments(), marked).version == bundle_for(environments(), marked).version == version


def test_the_version_does_not_hold_an_address():
    class Marker:
        pass

    def task():
        def f(x: object = Marker()) -> None: ...

        return TaskEnvironment("e").task(f)

    assert "0x" not in json.dumps(task_row(task()))
    assert task_row(task()) == task_row(task())


@pytest.mark.parametrize("version", ["v1", "1.0.0", "2024-01-01_a", "A" * 100])
def test_a_version_may_be_named(version, tmp_path):
    assert bundle_for(environments(), MODULE, version).write(tmp_path).name.startswith(version)


@pytest.mark.parametrize("version", ["", "..", ".hidden", "a/b", "../x", "a b", "A" * 101, "ü", "-x", "a\n"])
def test_a_version_that_is_no_folder_is_refused(version):
    with pytest.raises(DeploymentError, match="version: given"):
        bundle_for(environments(), MODULE, version)


def test_writing_gives_the_whole_of_it(tmp_path):
    bundle = bundle_for(environments(), MODULE)
    home = bundle.write(tmp_path / "bundles")
    assert sorted(p.relative_to(home).as_posix() for p in home.rglob("*")) == [
        "captured",
        "captured/a.pkl",
        "cells.py",
        "manifest.json",
    ]
    assert json.loads((home / "manifest.json").read_text()) == bundle.manifest()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [p.name for p in home.parent.iterdir()] == [bundle.version]


def test_a_version_that_is_there_stays_as_it_is(tmp_path):
    bundle = bundle_for(environments(), MODULE)
    home = bundle.write(tmp_path)
    there = home.stat().st_ino
    assert bundle.write(tmp_path) == home
    assert home.stat().st_ino == there


def test_a_bundle_that_was_edited_is_written_anew(tmp_path):
    bundle = bundle_for(environments(), MODULE)
    home = bundle.write(tmp_path)
    with (home / "cells.py").open("a") as out:  # what runs has it open, and keeps it
        out.write("mark")
        out.flush()
        assert bundle.write(tmp_path) == home
        assert (home / "cells.py").read_text() == MODULE.source
    (aside,) = tmp_path.glob(".*.edited.*")
    assert (aside / "cells.py").exists()


def test_writers_at_the_same_time_agree(tmp_path):
    bundle, errors = bundle_for(environments(), MODULE), []

    def write():
        try:
            bundle.write(tmp_path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [p.name for p in tmp_path.iterdir()] == [bundle.version]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError("disk full")

    monkeypatch.setattr("flyte_nb.notebook.module.write_file", full)
    with pytest.raises(OSError, match="disk full"):
        bundle_for(environments(), MODULE).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "from" / "page.html"
    file.parent.mkdir()
    file.write_text("one")
    return file


def test_files_lie_beside_the_module_to_be_read_only(tmp_path, page):
    file = shipped("pages/page.html", page, "included by 'e'", is_included=True)
    bundle = bundle_for(environments(), MODULE, files=[file])
    home = bundle.write(tmp_path / "bundles")
    assert (home / "pages" / "page.html").read_text() == "one"
    assert stat.S_IMODE((home / "pages" / "page.html").stat().st_mode) == 0o400
    (row,) = json.loads((home / "manifest.json").read_text())["files"]
    assert (row["path"], row["size"], row["why"], row["included"]) == ("pages/page.html", 3, "included by 'e'", True)
    assert includes_files(home)
    assert not includes_files(bundle_for(environments(), MODULE).write(tmp_path / "bundles"))
    assert not includes_files(tmp_path / "gone")


def test_the_version_covers_the_files(page):
    def version(*files):
        return bundle_for(environments(), MODULE, files=files).version

    one = shipped("page.html", page, "included by 'e'")
    assert version(one) == version(shipped("page.html", page, "another reason"))
    moved = shipped("other.html", page, "included by 'e'")
    page.write_text("two")
    changed = shipped("page.html", page, "included by 'e'")
    assert len({version(), version(one), version(moved), version(changed)}) == 4


def test_a_file_that_changes_meanwhile_is_not_deployed(tmp_path, page):
    bundle = bundle_for(environments(), MODULE, files=[shipped("page.html", page, "included by 'e'")])
    page.write_text("two")
    with pytest.raises(DeploymentError, match=r"page\.html .* changed while it was bundled"):
        bundle.write(tmp_path / "bundles")
    assert list((tmp_path / "bundles").iterdir()) == []
