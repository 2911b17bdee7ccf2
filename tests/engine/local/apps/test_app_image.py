"""Apps with an image: replicas, and the programs of commands, run in its environment, made by the real uv."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.environments.image import Image
from flyte_nb.environments.scaling import Scaling
from flyte_nb.errors import ImageBuildError

from app_bench import SERVER, AppBench, get
from scripts import soon

IMAGE = Image.from_debian_base(name="of-an-app").with_pip_packages("humanize").with_env_vars({"OF_IMAGE": "yes"})
#: what a replica answers of itself; the import is the image's, and what the kernel has is not there
TOLD = """
import json, os, sys
def told():
    import humanize
    try: import IPython
    except ImportError: alone = True
    else: alone = False
    return json.dumps([humanize.intcomma(10**6), sys.prefix, os.environ["OF_IMAGE"], alone])
"""
SERVES = SERVER.replace("{VERSION} {os.getpid()}", "{told()}")
HOOKS = """
@app.on_startup
def up(): print("starts with", told())
@app.on_shutdown
def down():
    import humanize
    with open(__file__ + ".down", "a") as file: file.write(humanize.naturalsize(1))
"""
PROGRAM = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(told().encode())
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of environments for the tests of this module."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_CACHE", str(folder))
        yield folder


@pytest.mark.registry
@pytest.mark.slow
def test_replicas_and_their_hooks_run_in_the_image_s_environment(bench: AppBench, images: Path) -> None:
    service = bench.do(bench.engine.apps.serve(bench.spec(TOLD + SERVES + HOOKS, image=IMAGE, scaling=Scaling(2))), 200)
    assert [r.phase for r in service.records] == [AppPhase.ACTIVE] * 2
    amount, prefix, of_image, alone = json.loads(get(service)[1])
    assert (amount, of_image, alone) == ("1,000,000", "yes", True)
    assert Path(prefix).is_relative_to(images)
    assert 'starts with ["1,000,000"' in bench.log(service)
    bench.stop()
    (down,) = bench.folder.glob("*.down")
    assert down.read_text() == "1 Byte" * 2


@pytest.mark.registry
@pytest.mark.slow
def test_the_program_of_a_command_is_the_image_s(bench: AppBench, images: Path) -> None:
    program = bench.folder / "program.py"
    program.write_text(textwrap.dedent(TOLD + PROGRAM))
    spec = bench.spec("", image=IMAGE, command=("python", str(program)), declared=False)
    service = bench.do(bench.engine.apps.serve(spec), 200)
    amount, prefix, of_image, alone = json.loads(get(service)[1])
    assert (amount, of_image, alone) == ("1,000,000", "yes", True)
    assert Path(prefix).is_relative_to(images)


def test_an_image_that_cannot_be_made_is_told_and_leaves_nothing(bench: AppBench, images: Path) -> None:
    image = Image.from_debian_base(name="wrong").with_pip_packages("not a name==")
    with pytest.raises(ImageBuildError, match=r"with_pip_packages\('not a name=='\): Failed to parse"):
        bench.serve(bench.spec(image=image))
    assert "a" not in bench.engine.apps.services


@pytest.mark.registry
@pytest.mark.slow
def test_a_new_version_whose_image_cannot_be_made_leaves_the_old_one(bench: AppBench, images: Path) -> None:
    service = bench.serve(bench.spec())
    spec = bench.spec(image=Image.from_debian_base(name="none").with_pip_packages("humanize==0.0.0.1"))
    with pytest.raises(ImageBuildError, match=r"humanize==0\.0\.0\.1"):
        bench.do(bench.engine.apps.serve(spec), 200)
    assert get(service)[1].startswith("1 ")
    assert soon(lambda: len(service.records) == 1)
