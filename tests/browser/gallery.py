"""Takes the pictures of the README in a real JupyterLab: ``python tests/browser/gallery.py [FOLDER] [NAME ...]``.

A picture of each, light and dark, cropped to what the cell shows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from front_end import DARK, LIGHT, PATIENCE, Lab, Notebook, Pictures, chromium_browser, lab_server
from playwright.sync_api import expect

FOLDER = Path(__file__).parents[2] / "notebooks" / "pictures"
MOST = 60 * 1024  # bytes of a picture
LOAD = "%load_ext flyte_nb\nimport flyte_nb as flyte"
FETCH = """%%flyte fetch --cpu 1 --memory 512Mi --cache auto --description "Readings of the stations"
@task
def fetch(day: str) -> list[float]:
    return [20.5, 21.0, 19.5]
"""
TRAIN = """%%flyte train --cpu 2 --memory 4Gi --depends-on fetch --env MODE=fast --env API_KEY=k-27f1
@task
def fit(days: int) -> float:
    import time
    time.sleep(0.2 * days)
    print("fitted", days, "days")
    return 0.97 / days

@task
def search(n: int) -> float:
    return min(flyte.map(fit, range(1, n + 1)))
"""
APP = """forecast = flyte.app.AppEnvironment(name="forecast", port=8080, depends_on=(env,))

@forecast.server
async def serve():
    import asyncio
    async def answer(reader, writer):
        if await reader.read(1000):
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 4\\r\\n\\r\\n21.5")
        writer.close()
    async with await asyncio.start_server(answer, "127.0.0.1", 8080) as server:
        print("ready to forecast")
        await server.serve_forever()
"""


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Parameters
    ----------
    cells : list of str
        The cells; the picture is of what the last one shows.
    prepare : callable, optional
        What a person does before the picture is taken.
    """

    cells: list[str]
    prepare: Callable[[Notebook], None] = lambda notebook: None


def edit(notebook: Notebook) -> None:
    """Change a few settings in the editor."""
    shown = notebook.output(-1)
    shown.get_by_label("cpu", exact=True).fill("1")
    shown.get_by_label("memory", exact=True).fill("8Gi")
    expect(shown).to_contain_text("resources.memory '4Gi' → '8Gi'")
    shown.get_by_role("button", name="▸ Variables").click()
    expect(shown.get_by_role("button", name="▾ Variables")).to_be_visible()


def find(notebook: Notebook) -> None:
    """Choose an environment of those that there are."""
    shown = notebook.output(-1)
    shown.get_by_label("environments", exact=True).select_option(index=2)
    expect(shown).to_contain_text("search(n: int) -> float")


def run(notebook: Notebook) -> None:
    """Let a run go on until some of it is done."""
    expect(notebook.output(-1)).to_contain_text("3 of 6 tasks called are done")


def ask(notebook: Notebook) -> None:
    """Ask an app a few times."""
    shown = notebook.output(-1)
    expect(shown).to_contain_text("▶ active")
    shown.get_by_role("button", name="Open").click()
    for _ in range(3):
        with notebook.page.expect_popup() as opened:
            shown.get_by_role("link", name="open forecast").click()
        opened.value.close()
    expect(shown).to_contain_text("so far")


SCENES = {
    "card": Scene([LOAD, FETCH, TRAIN, "train = flyte.current_registry()['train']", "train"]),
    "changes": Scene([LOAD, FETCH, FETCH.replace("512Mi", "2Gi").replace("20.5, ", "")]),
    "editor": Scene([LOAD, FETCH, TRAIN, "%flyte edit train"], edit),
    "browser": Scene([LOAD, FETCH, TRAIN, APP, "%flyte deploy fetch", "%flyte"], find),
    "graph": Scene([LOAD, FETCH, TRAIN, APP, "%flyte deploy fetch", "%flyte graph"]),
    "plan": Scene([LOAD, FETCH, TRAIN, "%flyte deploy", TRAIN.replace("4Gi", "3Gi"), "%flyte plan"]),
    "run": Scene([LOAD, FETCH, TRAIN, "flyte.watch(flyte.with_runcontext(wait=False).run(search, 6))"], run),
    "app": Scene([LOAD, FETCH, TRAIN, APP, "%flyte serve forecast"], ask),
}


def take(lab: Lab, name: str, scene: Scene, pictures: Pictures) -> None:
    """Take the pictures of a scene, light and dark."""
    lab.write(name, scene.cells)
    notebook = lab.open(name)
    notebook.run_all()
    scene.prepare(notebook)
    for theme in (LIGHT, DARK):
        lab.theme(theme)
        path = pictures.take_outputs(notebook, -1, f"{name}-{theme.split()[-1].lower()}")
        reduce(path)
        size = path.stat().st_size
        print(f"{path}  {size / 1024:.0f} KiB{'  too large' if size > MOST else ''}", flush=True)
    lab.theme(LIGHT)
    notebook.close()


def reduce(path: Path) -> None:
    """Bring a picture down to a palette, where pngquant is installed: a third of the bytes."""
    if pngquant := shutil.which("pngquant"):
        subprocess.run([pngquant, "--force", "--strip", "--output", path, "64", path], check=True)


def main(words: list[str]) -> None:
    """Take the pictures, or those that are named."""
    folder = Path(words[0]) if words else FOLDER
    expect.set_options(timeout=PATIENCE)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own, lab_server(Path(own)) as address, chromium_browser() as browser:
        lab = Lab(browser, address, Path(own))
        lab.page.set_viewport_size({"width": 1240, "height": 1000})
        for name in words[1:] or SCENES:
            take(lab, name, SCENES[name], Pictures(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
