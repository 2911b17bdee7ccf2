"""What plugins build on: all of its names, image builders, and code bundles that are put in place."""

from __future__ import annotations

import asyncio
import io
import pickle
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.errors import CodeBundleError, ImageBuildError, InitializationError, UsageTypeError
from flyte_nb.extend import ImageBuildEngine, ImageBuilder, ImageChecker, download_code_bundle
from flyte_nb.models import CodeBundle

PUBLISHED = flyte.Image.from_debian_base()
MINE = flyte.Image.from_debian_base(name="mine", registry="ghcr.io/me").with_pip_packages("pandas")


def test_names() -> None:
    assert sorted(flyte.extend.__all__) == [
        "Architecture", "AsyncFunctionTaskTemplate", "DeployedEnvironment", "Deployer", "DeploymentContext",
        "ImageBuildEngine", "ImageBuilder", "ImageChecker",
        "PRIMARY_CONTAINER_DEFAULT_NAME", "RuntimeTaskTemplate", "TaskPluginRegistry", "TaskTemplate",
        "download_code_bundle", "get_deployer", "get_proto_extended_resources", "get_proto_resources",
        "is_initialized", "lazy_module", "pod_spec_from_resources", "register_deployer",
    ]  # fmt: skip
    assert all(getattr(flyte.extend, name) for name in flyte.extend.__all__)


# --- images


class Registry(ImageChecker):
    """A registry with one image."""

    known = ""

    @classmethod
    async def image_exists(cls, repository: str, tag: str, arch: tuple[str, ...] = ("linux/amd64",)) -> str | None:
        return cls.known if f"{repository}:{tag}" == cls.known else None


class Unreachable(ImageChecker):
    """A registry that nobody can reach."""

    @classmethod
    async def image_exists(cls, repository: str, tag: str, arch: tuple[str, ...] = ("linux/amd64",)) -> str | None:
        raise ConnectionError("no route to host")


class Builder(ImageBuilder):
    """Builds nothing, and remembers what was asked."""

    def __init__(self, *checkers: type[ImageChecker]) -> None:
        self.checkers, self.asked = list(checkers), [()]

    async def build_image(
        self, image: flyte.Image, dry_run: bool, wait: bool = True, force: bool = False
    ) -> flyte.ImageBuild:
        self.asked.append((image.uri, dry_run, wait, force))
        return flyte.ImageBuild(image.uri)

    def get_checkers(self) -> list[type[ImageChecker]] | None:
        return self.checkers


def build(image: Any, builder: Any = None, **options: Any) -> flyte.ImageBuild:
    return asyncio.run(ImageBuildEngine.build(image, builder, **options))


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "known", MINE.uri)


def test_an_image_as_it_was_found_is_not_built() -> None:
    assert build(PUBLISHED).uri == build(PUBLISHED, force=True).uri == PUBLISHED.uri
    assert build(flyte.Image.from_base("a:b")).uri == "a:b"


def test_a_builder_is_asked() -> None:
    builder = Builder()
    assert build(MINE, builder, wait=False).uri == MINE.uri
    assert build(MINE, builder, dry_run=True, force=True).uri == MINE.uri
    assert builder.asked[1:] == [(MINE.uri, False, False, False), (MINE.uri, True, True, True)]


@pytest.mark.usefixtures("pushed")
def test_an_image_that_exists_is_not_built_unless_forced() -> None:
    builder = Builder(Unreachable, Registry)  # the next is asked where one cannot tell
    assert asyncio.run(ImageBuildEngine.image_exists(MINE, builder)) == MINE.uri
    assert build(MINE, builder).uri == MINE.uri
    assert builder.asked == [()]
    build(MINE, builder, force=True)
    assert builder.asked[1:] == [(MINE.uri, False, True, True)]


@pytest.mark.usefixtures("pushed")
def test_an_image_that_nobody_knows_does_not_exist() -> None:
    other = MINE.with_workdir("/x")
    assert asyncio.run(ImageBuildEngine.image_exists(other, Builder(Registry))) is None
    assert asyncio.run(ImageBuildEngine.image_exists(MINE, Builder(Unreachable))) is None
    assert asyncio.run(ImageBuildEngine.image_exists(MINE)) is None
    assert asyncio.run(ImageBuildEngine.image_exists(PUBLISHED)) == PUBLISHED.uri


@pytest.mark.parametrize(("named", "told"), [(None, "no builder is given"), ("remote", "'remote' is the Flyte SDK's")])
def test_without_a_builder(named: Any, told: str) -> None:
    with pytest.raises(InitializationError, match=rf"ghcr.io/me/mine:.* has to be built, and .*{told}"):
        build(MINE, named)


def test_a_build_that_cannot_be(tmp_path: Path) -> None:
    class Broken(Builder):
        async def build_image(self, *args: Any, **kwargs: Any) -> flyte.ImageBuild:
            raise OSError("no space left")

    with pytest.raises(ImageBuildError, match=r"Broken failed to build ghcr.io/me/mine:.*no space left") as caught:
        build(MINE, Broken())
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ImageBuildError, match="no folder"):
        build(MINE.with_source_folder(tmp_path / "none"), Builder())
    for wrong in ({"image": "a:b"}, {"image": MINE, "builder": 3}):
        with pytest.raises(UsageTypeError, match=r"given .*; accepted: an Image"):
            build(**wrong)


# --- code bundles


@pytest.fixture(autouse=True)
def path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def archive(folder: Path, **files: str) -> Path:
    target = folder / "code.tgz"
    with tarfile.open(target, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return target


def download(**fields: Any) -> CodeBundle:
    return asyncio.run(download_code_bundle(CodeBundle(computed_version="v", **fields)))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_archive_is_unpacked_and_can_be_imported(tmp_path: Path, scheme: str) -> None:
    where = str(tmp_path / "code")
    source = archive(tmp_path, bundled_module="NAME = 'bundled'\n").rename(tmp_path / "my code.tgz")
    (tmp_path / "code").mkdir()
    made = archive(tmp_path, **{"pack____init__.py": "", "pack__inner.py": "NAME = 'inner'\n"})
    bundle = download(tgz=f"{scheme}{made}", destination=where)
    assert bundle.downloaded_path == Path(where)
    assert (Path(where) / "pack" / "inner.py").read_text() == "NAME = 'inner'\n"
    assert sys.path.count(where) == 1
    again = asyncio.run(download_code_bundle(bundle))
    assert again is bundle
    assert sys.path.count(where) == 1
    spaced = f"file://{str(source).replace(' ', '%20')}" if scheme else str(source)
    assert download(tgz=spaced, destination=where).downloaded_path == Path(where)


def test_a_pickle_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "task.pkl"
    source.write_bytes(pickle.dumps({"a": 1}))
    bundle = download(pkl=str(source), destination=str(tmp_path / "code"))
    assert bundle.downloaded_path == tmp_path / "code" / "task.pkl"
    assert pickle.loads(bundle.downloaded_path.read_bytes()) == {"a": 1}
    assert download(pkl=str(source), destination=str(tmp_path)).downloaded_path == source


def test_bundles_that_cannot_be_put_in_place(tmp_path: Path) -> None:
    with pytest.raises(CodeBundleError, match="there is no code bundle"):
        download(tgz=str(tmp_path / "none.tgz"))
    (tmp_path / "text.tgz").write_text("text")
    with pytest.raises(CodeBundleError, match="cannot be unpacked"):
        download(tgz=str(tmp_path / "text.tgz"), destination=str(tmp_path / "code"))
    outside = archive(tmp_path, **{"..__outside.py": "x = 1"})
    with pytest.raises(CodeBundleError, match="cannot be unpacked"):
        download(tgz=str(outside), destination=str(tmp_path / "code"))
    assert not (tmp_path / "outside.py").exists()
    with pytest.raises(InitializationError, match=r"'s3://bucket/code.tgz' is not a file of this machine"):
        download(tgz="s3://bucket/code.tgz")
