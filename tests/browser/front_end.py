"""A real JupyterLab in a real Chromium: a server of its own, and notebooks that a test types into as a person does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
#: milliseconds that anything may take on a machine that is busy with other things
PATIENCE = 30_000
_WIDTH, _HEIGHT = 1200, 1000
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
#: what this module's parts show in a page: widgets, and HTML in outputs
_OURS = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output"
# the indicator of the page says idle before there is a kernel at all, so the page's own objects are asked
_IDLE = """() => {
    const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
    return !!kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
#: what the widgets' own extension says where a notebook has no kernel, or another one than its widgets were made in
_THEIRS = (r"reading 'kernel'.*jupyterlab-manager", r"widget model not found.*jupyterlab-manager")
_NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden)"


def chromium() -> str | None:
    """Give the path of the Chromium of this machine, if there is one."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """Serve JupyterLab with notebooks, settings and stores in a folder; give its address up to the token."""
    root = folder / "root"
    root.mkdir()
    parts = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    parts |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    parts |= {"IPYTHONDIR": "ipython", "FLYTE_NB_CACHE": "cache"}
    environment = {**os.environ, **{name: str(folder / part) for name, part in parts.items()}}
    environment.pop("FLYTE_NB_HOME", None)  # each notebook has a folder, and so a store, of its own
    _configure(folder)
    port, token = _free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    with open(folder / "lab.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _await_answer(server, f"http://127.0.0.1:{port}/api/status?token={token}", folder / "lab.log")
        yield f"http://127.0.0.1:{port}/lab?token={token}"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _configure(folder: Path) -> None:
    unused = ("apputils-extension:announcements", "debugger-extension", "extensionmanager-extension")
    page = {"disabledExtensions": {f"@jupyterlab/{name}": True for name in unused}}
    tracker = {"windowingMode": "none", "autoStartDefaultKernel": True}
    for path, content in (
        ("config/labconfig/page_config.json", page),
        ("settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings", tracker),
    ):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(json.dumps(content))


def _await_answer(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            answer.read()
            return
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"JupyterLab does not answer:\n{log.read_text()}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def chromium_browser() -> Iterator[Browser]:
    """Start Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
        yield browser
        browser.close()


class Lab:
    """A page with JupyterLab.

    ``errors`` are what the page's console was told as an error, and exceptions that nobody caught.
    """

    def __init__(self, browser: Browser, address: str, folder: Path, scale: float = 1) -> None:
        self.root, self.address = folder / "root", address
        self.page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, device_scale_factor=scale)
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.page.on("console", lambda m: self._hear(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self._hear(f"{error.message}\n{error.stack}"))
        self.reload()

    def _hear(self, error: str) -> None:
        if not any(re.search(theirs, error, re.DOTALL) for theirs in _THEIRS):
            self.errors.append(error)

    def reload(self) -> None:
        """Load the page anew, with nothing open."""
        self.page.goto(f"{self.address}&reset")
        self.page.wait_for_function("() => window.jupyterapp?.restored")
        self.page.evaluate("async () => { await jupyterapp.restored }")

    def is_in_use(self) -> bool:
        """Tell whether a notebook is open."""
        return self.page.locator(_NOTEBOOK).count() > 0

    def theme(self, name: str) -> None:
        """Change the theme, and wait until the page wears it."""
        self.command("apputils:change-theme", theme=name)
        light = str(name == LIGHT).lower()
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{light}'")
        # a picture lies over the page meanwhile: axe sees no text below it
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=PATIENCE)

    def command(self, name: str, **arguments: Any) -> None:
        """Carry out a command of JupyterLab, to its end."""
        call = "async ([name, args]) => { await jupyterapp.commands.execute(name, args) }"
        self.page.evaluate(call, [name, arguments])

    def restart_kernel(self) -> None:
        """Start the kernel of the open notebook again, as its menu does when it has asked."""
        restart = "async () => { await jupyterapp.shell.currentWidget.sessionContext.restartKernel() }"
        self.page.evaluate(restart)
        self.page.wait_for_function(_IDLE, timeout=PATIENCE)

    def close_all(self) -> None:
        """Close what is open, and end the kernels."""
        self.page.evaluate("""async () => {
            for (const widget of [...jupyterapp.shell.widgets('main')]) {
                // the kernel first: what it still says would make the notebook one that asks to be saved
                await widget.sessionContext?.shutdown();
                await widget.context?.save();
                widget.dispose();
            }
        }""")
        expect(self.page.locator(_NOTEBOOK)).to_have_count(0, timeout=PATIENCE)

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook into the folder that is served."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.path(name)
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
        return path

    def path(self, name: str) -> Path:
        """Give the file of a notebook: each has a folder of its own, where its store is too."""
        return self.root / name / f"{name}.ipynb"

    def receive(self, name: str, sender: str = "somebody") -> str:
        """Write a notebook as it comes from somebody else, whose outputs JupyterLab does not trust; give its path."""
        notebook = nbformat.read(self.path(name), as_version=4)
        notebook.metadata["authors"] = [{"name": sender}]
        nbformat.write(notebook, self.path(name).parent / "received.ipynb")
        return f"{name}/received.ipynb"

    def open(self, name: str, kernel: bool = True) -> Notebook:
        """Open a notebook of the folder that is served; with a kernel, wait until it is idle."""
        options = {} if kernel else {"kernelPreference": {"shouldStart": False, "canStart": False}}
        path = name if "/" in name else f"{name}/{name}.ipynb"
        self.command("docmanager:open", path=path, **options)
        # before it is read, an empty cell stands for what there is
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.ready }")
        notebook = Notebook(self, self.root / path)
        notebook.panel.locator(".jp-Cell").first.wait_for()
        if kernel:
            notebook.wait_idle()
        return notebook


_NOTE_CHANGE = """prompt => {
    prompt.dataset.changed = 'no';
    const heard = new MutationObserver(() => { prompt.dataset.changed = 'yes'; heard.disconnect() });
    heard.observe(prompt, {childList: true, characterData: true, subtree: true});
}"""


class Notebook:
    """The notebook that is open in the page."""

    def __init__(self, lab: Lab, path: Path) -> None:
        self.lab, self.page, self.path = lab, lab.page, path
        self.panel = self.page.locator(_NOTEBOOK)

    # --- cells ---

    def cell(self, number: int) -> Locator:
        """Give a cell, counted from 0; negative from the end."""
        return self.panel.locator(".jp-CodeCell").nth(number)

    def output(self, number: int) -> Locator:
        """Give all that a cell shows."""
        return self.cell(number).locator(".jp-Cell-outputWrapper")

    def run(self, number: int, wait: bool = True) -> Locator:
        """Run a cell as a person does, and give its output."""
        self.cell(number).locator(".cm-content").click()
        prompt = self.cell(number).locator(".jp-InputPrompt").first
        prompt.evaluate(_NOTE_CHANGE)  # a quick cell of a new kernel may get the number that it had before
        self.page.keyboard.press("Control+Enter")
        expect(prompt).to_have_attribute("data-changed", "yes", timeout=PATIENCE)
        if wait:
            self.wait_run(number)
        return self.output(number)

    def run_all(self) -> None:
        """Run all cells, and insist that none fails."""
        self.lab.command("notebook:run-all-cells")
        self.wait_idle()
        expect(self.panel.locator("[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)

    def wait_run(self, number: int) -> None:
        """Wait until a cell has run, and its kernel has nothing to do."""
        prompt = self.cell(number).locator(".jp-InputPrompt").first
        expect(prompt).not_to_have_text("[*]:", timeout=PATIENCE)
        self.wait_idle()

    def add(self, source: str) -> int:
        """Write a cell at the end, and give its number."""
        self.page.evaluate("""() => {
            const { content } = jupyterapp.shell.currentWidget;
            content.activeCellIndex = content.widgets.length - 1;
        }""")
        self.lab.command("notebook:insert-cell-below")
        number = self.panel.locator(".jp-CodeCell").count() - 1
        self.change(number, source)
        return number

    def type(self, source: str) -> Locator:
        """Write a cell at the end, run it, and give its output."""
        return self.run(self.add(source))

    def change(self, number: int, source: str) -> None:
        """Replace what a cell says, as if pasted: JupyterLab indents by itself what is typed in several lines."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)

    def wait_idle(self) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.page.wait_for_function(_IDLE, timeout=PATIENCE)

    def focus_output(self, number: int) -> None:
        """Put the keyboard before what a cell shows."""
        self.output(number).evaluate("output => { output.tabIndex = -1; output.focus() }")

    @contextmanager
    def in_full(self) -> Iterator[None]:
        """Make the window as long as the notebook: axe takes for hidden what is below the end of the window."""
        # JupyterLab's page has no height of its own: all in it would count as hidden
        self.page.evaluate("() => { document.body.style.height = '100vh' }")
        height = self.panel.locator(".jp-WindowedPanel-inner").evaluate("inner => inner.scrollHeight")
        size = self.page.viewport_size
        assert size is not None
        self.page.set_viewport_size({**size, "height": max(size["height"], height + 200)})
        self.page.wait_for_function(f"() => document.querySelector('{_NOTEBOOK}').clientHeight > {height}")
        yield
        self.page.set_viewport_size(size)

    # --- the file and the kernel ---

    def save(self) -> str:
        """Save the notebook and give what its file says."""
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.save() }")
        return self.path.read_text()

    def saved_outputs(self) -> str:
        """Save the notebook, and give what its file keeps beside the code."""
        saved = json.loads(self.save())
        for cell in saved["cells"]:
            cell.pop("source")
        return json.dumps(saved, ensure_ascii=False)

    def close(self) -> None:
        """End the kernel, save, close."""
        self.lab.close_all()

    @property
    def is_trusted(self) -> bool:
        """Whether what it shows may have styles and scripts."""
        return bool(
            self.page.evaluate("""() => {
            const cells = [...jupyterapp.shell.currentWidget.context.model.cells];
            return cells.every(cell => cell.type !== 'code' || cell.trusted);
        }""")
        )


def violations(notebook: Notebook) -> list[str]:
    """Tell what axe finds wrong, seriously, with what the cells show: for people who do not see it, or use no mouse."""
    from axe_playwright_python.sync_playwright import Axe

    with notebook.in_full():
        answer = Axe().run(notebook.page, context=_OURS, options={"resultTypes": ["violations", "passes"]}).response
    seen = {result["id"] for result in answer["passes"] + answer["violations"]}
    unsure = [r["nodes"][0]["any"] for r in answer.get("incomplete", ()) if r["id"] == "color-contrast"]
    assert "color-contrast" in seen, f"axe has seen no text: {unsure}"
    return [
        f"{violation['id']} ({violation['impact']}): {node['failureSummary']}\n  {node['html'][:300]}"
        for violation in answer["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


class Pictures:
    """Where a test leaves what it saw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, what: Locator | Page, name: str) -> Path:
        """Take a picture."""
        path = self.folder / f"{name}.png"
        what.screenshot(path=path, animations="disabled")
        return path

    def take_outputs(self, notebook: Notebook, number: int, name: str) -> Path:
        """Take a picture of what a cell shows, without what JupyterLab draws around it."""
        path = self.folder / f"{name}.png"
        with notebook.in_full():
            box = notebook.output(number).evaluate("""output => {
                const shown = [...output.querySelectorAll('.jp-OutputArea-output')].map(o => o.getBoundingClientRect());
                const seen = shown.filter(box => box.height > 0);
                const x = Math.min(...seen.map(box => box.left)), y = Math.min(...seen.map(box => box.top));
                const right = Math.max(...seen.map(box => box.right));
                return { x, y, width: right - x, height: Math.max(...seen.map(box => box.bottom)) - y };
            }""")
            notebook.page.screenshot(path=path, clip=box, animations="disabled")
        return path
