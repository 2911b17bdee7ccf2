"""Images as Python environments, made by the real uv; where a package index is needed, by the one of pip."""

from __future__ import annotations

import asyncio
import base64
import functools
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from flyte_nb.engine.local.images.environment import (
    WORKER_NEEDS,
    Interpreter,
    content_of,
    ensure,
    worker_requirements,
)
from flyte_nb.engine.local.images.listing import cached_images, prune
from flyte_nb.engine.local.images.pythons import Python, find_python
from flyte_nb.engine.local.images.uv import find_uv
from flyte_nb.environments.image import Image
from flyte_nb.environments.image_fields import running_python
from flyte_nb.errors import ImageBuildError

from scripts import is_gone, ran, soon, start

PLAIN = Image.from_debian_base(name="plain")
OTHERS = [(3, minor) for minor in range(10, 14) if (3, minor) != running_python()]
#: what a worker does, in short: the import path in the place of its own, a task that imports the image's package
WORKER = """
import sys; sys.path[:] = sys.argv[1:]
import flyte_nb, cloudpickle
from flyte_nb.engine.local import worker
env = flyte_nb.TaskEnvironment("e")
@env.task
def comma(x: int) -> str:
    {imported}
    return humanize.intcomma(x)
print(*sys.version_info[:2], comma.forward(x=10**6))
try:
    import IPython
except ImportError:
    print("alone")
"""
SCRIPT = """
import asyncio, sys
from flyte_nb.engine.local.images.environment import ensure
from flyte_nb.environments.image import Image

image = Image.from_debian_base(name="n").with_pip_packages(sys.argv[1])
print(asyncio.run(ensure(image, lambda line: print(line, flush=True))).built, flush=True)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and a working directory without anything."""
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"


def made(image: Image) -> tuple[Interpreter, list[str]]:
    told: list[str] = []
    return asyncio.run(ensure(image, told.append)), told


def said(found: Interpreter, code: str) -> list[str]:
    """Run code in an environment as a worker is run, and give the lines it prints."""
    words = [str(found.python), "-c", code, *found.sys_path]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def left(cache: Path) -> list[str]:
    return [path.name for path in (cache / "images").iterdir() if path.name != ".locks"]


@contextmanager
def silent_index() -> Iterator[str]:
    """Give the address of a package index that takes every request and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve HTTP on a port of this machine and give its host."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves the files of a folder."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def empty_index(seen: list[str]) -> Iterator[str]:
    """Give the host of a package index that wants credentials and has no package."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            seen.append(base64.b64decode(given.partition(" ")[2]).decode())
            self.send_response(404 if given else 401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as host:
        yield host


@pytest.mark.registry
@pytest.mark.slow
def test_a_task_runs_in_an_environment_that_has_its_package_and_not_the_kernels(cache: Path) -> None:
    image = PLAIN.with_pip_packages("humanize>=4")
    found, told = made(image)
    assert found.built
    assert "resolving with_pip_packages('humanize>=4')" in told
    assert "humanize==" in told[-1]
    lines = said(found, WORKER.format(imported="import humanize"))
    assert lines == [f"{sys.version_info[0]} {sys.version_info[1]} 1,000,000", "alone"]
    again, told = made(image.with_env_vars({"A": "1"}).with_apt_packages("git").clone(name="other"))
    assert not again.built
    assert again.sys_path == found.sys_path
    assert told == []
    (listed,) = cached_images()
    assert listed.layers == ("with_pip_packages('humanize>=4')",)
    assert listed.folder == found.python.parent.parent
    assert listed.in_use
    assert listed.size > 1 << 20
    assert prune() == 0
    other = ran(["-c", "from flyte_nb.engine.local.images.listing import prune; print(prune())"], cache.parent)
    assert other.stdout == "0\n"
    (folder,) = left(cache)
    assert folder == listed.key


@pytest.mark.registry
@pytest.mark.slow
def test_an_image_may_ask_for_another_installed_python() -> None:
    version = next((v for v in OTHERS if has(v)), None)
    if version is None:
        pytest.skip("there is no other Python on this machine")
    found, _ = made(Image.from_debian_base(python_version=version, name="n").with_pip_packages("humanize"))
    assert said(found, WORKER.format(imported="import humanize")) == [f"3 {version[1]} 1,000,000", "alone"]


def has(version: tuple[int, int]) -> bool:
    try:
        find_python(version)
    except ImageBuildError:
        return False
    return True


@pytest.mark.registry
@pytest.mark.slow
def test_arguments_of_the_users_own_do_not_reach_what_a_worker_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("constraints.txt").write_text("toolz<99")
    monkeypatch.setenv("PIP_CONSTRAINT", str(Path("constraints.txt").absolute()))
    Path("requirements.txt").write_text("humanize\n")
    lines = [find_uv(), "pip", "compile", "-q", "--generate-hashes", "requirements.txt"]
    Path("hashed.txt").write_text(subprocess.run(lines, capture_output=True, text=True, check=True).stdout)
    image = PLAIN.with_requirements("hashed.txt", extra_args="--require-hashes")
    image = image.with_requirements("requirements.txt", extra_args="--no-deps")
    assert said(made(image)[0], WORKER.format(imported="import humanize"))[1] == "alone"
    with pytest.raises(ImageBuildError, match=r"pydantic>=2"):
        made(PLAIN.with_pip_packages("pydantic<2", extra_args="--no-deps"))


@pytest.mark.registry
@pytest.mark.slow
def test_two_kernels_build_it_once(tmp_path: Path) -> None:
    words = ["-c", SCRIPT, "toolz"]
    with start(words, tmp_path) as one, start(words, tmp_path) as two:
        outputs = [process.communicate(timeout=100) for process in (one, two)]
    assert sorted(out.split()[-1] for out, _ in outputs) == ["False", "True"], outputs
    assert (
        ran(["-c", "from flyte_nb.engine.local.images.listing import prune; print(prune())"], tmp_path).stdout == "1\n"
    )


@pytest.mark.registry
@pytest.mark.slow
def test_a_script_and_a_project_with_a_lock_are_installed_and_left_as_they_are() -> None:
    script = written_script(Path("script.py"))
    project = written_project(Path("project"))
    subprocess.run([find_uv(), "lock", "-q", "--python", sys.executable], cwd=project, check=True)
    before = sorted(project.rglob("*"))
    image = Image.from_uv_script(script, name="n").with_uv_project(
        project / "pyproject.toml", project_install_mode="install_project"
    )
    found, _ = made(image)
    code = "import sys; sys.path[:] = sys.argv[1:]; import toolz, humanize, mine; print(mine.__file__)"
    (where,) = said(found, code)
    assert Path(where).is_relative_to(found.python.parent.parent)
    assert sorted(project.rglob("*")) == before


@pytest.mark.registry
@pytest.mark.slow
def test_a_lock_elsewhere_is_used_and_one_out_of_date_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    project = written_project(Path("project"))
    subprocess.run([find_uv(), "lock", "-q", "--python", sys.executable], cwd=project, check=True)
    (project / "uv.lock").rename("other.lock")
    image = PLAIN.with_uv_project(project / "pyproject.toml", "other.lock")
    found, _ = made(image)
    assert said(found, "import sys; sys.path[:] = sys.argv[1:]; import toolz; print(1)") == ["1"]
    manifest = project / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('"toolz"', '"toolz", "humanize"'))
    with pytest.raises(ImageBuildError, match=r"with_uv_project\(.*\): The lockfile .* needs to be updated"):
        made(image)


def written_script(path: Path) -> Path:
    path.write_text('# /// script\n# requires-python = ">=3.10"\n# dependencies = ["humanize"]\n# ///\n')
    return path


def written_project(folder: Path) -> Path:
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["toolz"]\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    return folder


@pytest.mark.registry
@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "because"),
    [
        ("humanize==0.0.0.1", "there is no version of humanize==0.0.0.1"),
        ("pydantic<2", "pydantic<2 and pydantic>=2"),  # a worker could not run with it
    ],
)
def test_a_package_that_cannot_be_installed_is_told_with_its_layer(cache: Path, package: str, because: str) -> None:
    with pytest.raises(ImageBuildError) as told:
        made(PLAIN.with_pip_packages("toolz").with_pip_packages(package))
    message = str(told.value)
    assert message.startswith(f"with_pip_packages('{package}'): ")
    assert because in " ".join(message.split())
    assert len(message.splitlines()) < 12
    assert left(cache) == []


def test_a_requirement_that_is_none_is_told(cache: Path) -> None:
    with pytest.raises(ImageBuildError, match=r"with_pip_packages\('not a name=='\): Failed to parse"):
        made(PLAIN.with_pip_packages("not a name=="))
    assert left(cache) == []


def test_a_package_cannot_be_an_option_of_the_installer(cache: Path) -> None:
    with pytest.raises(ImageBuildError, match="--help"):
        made(PLAIN.with_pip_packages("--help"))


def test_a_version_that_is_not_installed_and_a_missing_file_are_told() -> None:
    with pytest.raises(ImageBuildError, match=r"Python 3\.77, which is not installed here. Found: 3\."):
        made(Image.from_debian_base(python_version=(3, 77)))
    with pytest.raises(ImageBuildError, match=r"'missing\.txt' \(there is no such file\)"):
        made(PLAIN.with_requirements("missing.txt"))


def test_arguments_that_cannot_be_read_are_told(cache: Path) -> None:
    with pytest.raises(
        ImageBuildError, match=r"with_pip_packages\('toolz'\): its extra_args cannot be read: No closing"
    ):
        made(PLAIN.with_pip_packages("toolz", extra_args="'"))
    assert left(cache) == []


@pytest.mark.registry
@pytest.mark.slow
def test_packages_come_from_further_indexes_and_from_wheels() -> None:
    wheel(Path("simple/flyte-nb-own"), "flyte_nb_own")
    wheel(Path("dist"), "flyte")
    handler = functools.partial(QuietFiles, directory=str(Path.cwd()))
    with serving(handler) as host:
        index = f"http://{host}/simple"
        found, _ = made(PLAIN.with_pip_packages("flyte-nb-own", extra_index_urls=[index]).with_local_v2())
    code = "import sys; sys.path[:] = sys.argv[1:]; import flyte_nb_own, flyte; print(flyte_nb_own.here, flyte.here)"
    assert said(found, code) == ["1 1"]


def wheel(folder: Path, module: str) -> None:
    folder.mkdir(parents=True)
    about = f"{module}-1.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1-py3-none-any.whl", "w") as file:
        file.writestr(f"{module}.py", "here = 1")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")


def test_wheels_that_are_not_there_are_told(cache: Path) -> None:
    Path("dist").mkdir()
    with pytest.raises(ImageBuildError, match=r"wheels\('flyte'\): there is no wheel of it in 'dist'"):
        made(PLAIN.with_local_v2())


def test_cancelling_ends_uv_and_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancel() -> None:
        resolving = asyncio.Event()
        image = PLAIN.with_pip_packages("humanize")
        task = asyncio.create_task(
            ensure(image, lambda line: resolving.set() if line.startswith("resolving") else None)
        )
        await resolving.wait()
        while not children():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with silent_index() as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index)
        asyncio.run(cancel())
    assert soon(lambda: not children())
    assert left(cache) == []


def children() -> list[psutil.Process]:
    """Give the processes of uv that this one has started."""
    return [process for process in psutil.Process().children(recursive=True) if process.name() == "uv"]


def test_a_killed_kernel_takes_uv_along(tmp_path: Path) -> None:
    with silent_index() as index, start(["-c", SCRIPT, "toolz"], tmp_path, UV_DEFAULT_INDEX=index) as kernel:
        assert kernel.stdout is not None
        assert any(line.startswith("resolving") for line in kernel.stdout)
        assert soon(lambda: bool(children()))
        kept = children()
        kernel.kill()
        assert soon(lambda: all(is_gone(process.pid) for process in kept))


@pytest.mark.registry
@pytest.mark.slow
def test_an_index_gets_the_secret_and_nobody_else_sees_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "hunter2")
    told: list[str] = []
    seen: list[str] = []
    with empty_index(seen) as host:
        image = PLAIN.with_pip_packages(
            "flyte-nb-no-such-package", index_url=f"http://me:$INDEX_TOKEN@{host}/simple", secret_mounts="index-token"
        )
        with pytest.raises(ImageBuildError) as error:
            asyncio.run(ensure(image, told.append))
    assert "me:hunter2" in seen
    assert "hunter2" not in str(error.value) + "".join(told)
    assert "with_pip_packages('flyte-nb-no-such-package')" in str(error.value)


def test_what_an_environment_is_made_from_is_what_it_is_kept_by() -> None:
    Path("inner.txt").write_text("humanize")
    Path("requirements.txt").write_text("-r inner.txt\n--constraint=pins.txt\n-r requirements.txt\n")
    Path("pins.txt").write_text("")
    image = PLAIN.with_requirements("requirements.txt")
    here, contents = find_python(running_python()), []
    for change in (None, "inner.txt", "pins.txt", "requirements.txt"):
        if change:
            Path(change).write_text(Path(change).read_text() + "\n# changed")
        contents.append(content_of(image, here))
    contents.append(content_of(image.with_pip_packages("toolz"), here))
    contents.append(content_of(image, Python(here.path, "3.77.0")))
    assert all(contents.count(content) == 1 for content in contents)
    same = image.with_env_vars({"A": "1"}).with_workdir("/app").clone(name="x", registry="y")
    assert content_of(same, here) == content_of(image, here)


def test_a_worker_needs_little_and_flyte_nb_itself_says_which_version() -> None:
    assert {text.partition(">")[0] for text in worker_requirements()} == WORKER_NEEDS
    assert all(">=" in text for text in worker_requirements())
    code = "import sys, flyte_nb.engine.local.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"IPython", "ipykernel", "ipywidgets", "nbclient", "nbformat", "rich", "psutil"}
    assert not heavy & set(loaded)
