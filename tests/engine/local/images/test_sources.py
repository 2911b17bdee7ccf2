"""What lies beside the packages on the import path: copied files, the user's folders, flyte_nb alone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import flyte_nb
import pytest
from flyte_nb.engine.local.images.environment import ensure
from flyte_nb.engine.local.images.sources import own_folders, package_folder
from flyte_nb.environments.image import Image
from flyte_nb.errors import ImageBuildError

PLAIN = Image.from_debian_base(name="plain")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and a working directory without anything."""
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"


def copied(image: Image) -> dict[str, str]:
    """Give the files that an image's environment has, by their path in it."""
    found = asyncio.run(ensure(image, print))
    assert (str(found.python), found.built) == (sys.executable, False)
    assert list(found.sys_path[1:]) == sys.path
    folder = Path(found.sys_path[0])
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "last-used")
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_files_and_folders_are_copied_as_the_image_places_them() -> None:
    Path("helpers.py").write_text("one")
    Path("package/inner").mkdir(parents=True)
    Path("package/inner/deep.py").write_text("deep")
    Path("package/left.out").write_text("out")
    Path(".dockerignore").write_text("*.out")
    image = PLAIN.with_source_file("helpers.py").with_source_folder("package").with_dockerignore(".dockerignore")
    assert copied(image) == {"helpers.py": "one", "package/inner/deep.py": "deep"}
    flat = PLAIN.with_source_folder("package", copy_contents_only=True).with_source_file("helpers.py", "/opt/x")
    assert copied(flat) == {"inner/deep.py": "deep", "left.out": "out", "opt/x/helpers.py": "one"}


def test_an_edited_file_is_copied_anew_and_a_later_layer_wins() -> None:
    Path("a").mkdir()
    Path("helpers.py").write_text("one")
    Path("a/helpers.py").write_text("two")
    assert copied(PLAIN.with_source_file("helpers.py")) == {"helpers.py": "one"}
    Path("helpers.py").write_text("edited")
    assert copied(PLAIN.with_source_file("helpers.py")) == {"helpers.py": "edited"}
    assert copied(PLAIN.with_source_file("helpers.py").with_source_file("a/helpers.py")) == {"helpers.py": "two"}


def test_nothing_is_copied_out_of_the_folder(cache: Path) -> None:
    Path("helpers.py").write_text("one")
    assert copied(PLAIN.with_source_file("helpers.py", "../../up")) == {"up/helpers.py": "one"}
    assert not list(cache.parent.glob("up*"))


def test_a_missing_file_is_an_error_of_the_image() -> None:
    with pytest.raises(ImageBuildError, match=r"SourceFile: there is no file 'helpers\.py'"):
        asyncio.run(ensure(PLAIN.with_source_file("helpers.py"), print))


def test_what_asks_for_nothing_runs_in_this_interpreter() -> None:
    for image in (None, "auto", "ghcr.io/org/image:1", PLAIN, PLAIN.with_apt_packages("git").with_code_bundle()):
        found = asyncio.run(ensure(image, print))
        assert (str(found.python), list(found.sys_path), found.built) == (sys.executable, sys.path, False)


def test_the_folder_of_the_package_holds_nothing_else() -> None:
    folder = package_folder()
    assert [path.name for path in folder.iterdir()] == ["flyte_nb"]
    assert (folder / "flyte_nb" / "__init__.py").samefile(flyte_nb.__file__)
    (folder / "flyte_nb").unlink()
    (folder / "flyte_nb").symlink_to("/nowhere")
    assert (package_folder() / "flyte_nb" / "__init__.py").samefile(flyte_nb.__file__)


def test_the_users_own_folders_stay_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sysconfig

    installed = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages"]
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/usr/lib/python311.zip", *installed])
    assert own_folders() == ["", str(tmp_path)]
