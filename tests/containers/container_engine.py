"""A container engine for the tests, and an image made of nothing but busybox: no registry is needed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from flyte_nb.containers.engine import NAMES

IMAGE = "localhost/flyte-nb-tests/busybox:1"
PROGRAMS = ("cat", "cp", "echo", "id", "ls", "mkdir", "sh", "sleep", "wc")
# what an engine needs to be told where limits cannot be raised and only the older runtime knows the control groups
CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
{}
"""
RUNTIME = '[engine]\nruntime = "runc"\n'


def prepared(folder: Path) -> tuple[str, dict[str, str]]:
    """Give why no container can be run here, or the variables with which one can."""
    busybox = shutil.which("busybox")
    if busybox is None:
        return "needs busybox, for an image of it", {}
    why = "needs a container engine: docker or podman"
    for name in filter(shutil.which, NAMES):
        loaded = subprocess.run([name, "import", "-", IMAGE], input=_root(Path(busybox)), capture_output=True)
        if loaded.returncode:
            why = f"{name}: {loaded.stderr.decode()[-200:]}"
            continue
        for number, conf in enumerate(("", CONF.format(""), CONF.format(RUNTIME))):
            variables = {}
            if conf:
                file = folder / f"containers-{number}.conf"
                file.write_text(conf)
                variables = {"CONTAINERS_CONF": str(file)}
            done = subprocess.run(
                [name, "run", "--rm", IMAGE, "echo", "hello"], capture_output=True, env={**os.environ, **variables}
            )
            if done.returncode == 0:
                return "", variables
            why = f"{name}: {done.stderr.decode()[-200:]}"
    return why, {}


def _root(busybox: Path) -> bytes:
    """Give the files of an image: busybox, and its programs."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        tar.add(busybox.resolve(), "bin/busybox")
        for name in PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return held.getvalue()
