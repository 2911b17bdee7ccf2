"""Serve forever: an app of a file or a notebook, for a shell, until somebody stops it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.errors import UnknownNameError, UsageError
from flyte_nb.served_app import ServedApp
from flyte_nb.serving import with_servecontext
from flyte_nb.session import current_registry

__all__ = ["follow", "in_kernel", "serve_named", "told_by"]

LOOK = 0.2  # seconds between two looks whether it shall stop


def serve_named(name: str, port: int = 0) -> ServedApp:
    """Serve an app of this process by its name.

    Raises
    ------
    UsageError
        When there is none, with the names there are.
    """
    found = {env.name: env for env in current_registry().values() if isinstance(env, AppEnvironment)}
    if name not in found:
        raise UnknownNameError("app", name, found)
    served = with_servecontext(port=port).serve(found[name])
    assert isinstance(served, ServedApp)
    return served


def follow(handle: ServedApp, link: Callable[[str], None], line: Callable[[str], None], over: threading.Event) -> str:
    """Tell the link and every line of the log until it shall end, then stop the app; give why it failed.

    Parameters
    ----------
    handle : ServedApp
        The app.
    link, line : callable
        Take the link that lets a browser in, and the lines.
    over : Event
        Set when it shall end.
    """
    for told in handle.logs(50).splitlines():
        line(told)
    deaf = handle.hear(line)
    link(handle.login_url)
    try:
        while not over.wait(LOOK) and not handle.is_deactivated():
            pass
        why = handle.why if handle.phase is AppPhase.FAILED else ""
        handle.deactivate(wait=True)
    finally:
        deaf()
    return why


def in_kernel(name: str, port: int, folder: str) -> None:
    """Serve an app of a notebook in its kernel; what there is to tell goes through files of a folder.

    The link is written to ``link``, the lines to ``lines``; a file called ``stop`` ends it.
    """
    place, over = Path(folder), threading.Event()

    def watch() -> None:
        while not (place / "stop").exists() and place.exists():
            time.sleep(LOOK)
        over.set()

    threading.Thread(target=watch, name="flyte-nb-stop", daemon=True).start()
    with open(place / "lines", "a", buffering=1, encoding="utf-8") as lines:
        why = follow(
            serve_named(name, port),
            lambda link: _write(place / "link", link),
            lambda text: print(text, file=lines),
            over,
        )
    if why:
        raise UsageError(f"app {name!r} failed: {why}")


def _write(file: Path, text: str) -> None:
    file.write_text(text)


@contextmanager
def told_by(folder: Path, link: Callable[[str], None], line: Callable[[str], None]) -> Iterator[None]:
    """Tell what `in_kernel` writes into a folder, as it comes."""
    over = threading.Event()

    def read() -> None:
        given, at = False, 0
        while True:
            ended = over.wait(LOOK / 2)
            if not given and (folder / "link").exists() and (text := (folder / "link").read_text()):
                given = True
                link(text)
            if (folder / "lines").exists():
                with open(folder / "lines", encoding="utf-8") as file:
                    file.seek(at)
                    while (text := file.readline()).endswith("\n"):
                        at = file.tell()
                        line(text.rstrip("\n"))
            if ended:
                return

    thread = threading.Thread(target=read, name="flyte-nb-tell", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
