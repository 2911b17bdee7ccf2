"""Images: uv, which makes their environments, and where these are kept."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from flyte_nb.doctor.finding import Finding, Patient, notice, ok
from flyte_nb.engine.local.images.listing import cached_images
from flyte_nb.engine.local.images.shelf import cache_home
from flyte_nb.engine.local.images.uv import find_uv
from flyte_nb.errors import ImageBuildError
from flyte_nb.views import told_size

__all__ = ["look"]

_PATIENCE = 5.0  # seconds for uv to say its version
_INSTALL = "pip install 'flyte_nb[images]'; only images with Python packages need it"


def look(patient: Patient) -> Iterator[Finding]:
    """Look for uv and the environments."""
    yield _uv()
    made = cached_images()
    kept = f"{len(made)} environment{'' if len(made) == 1 else 's'}, {told_size(sum(image.size for image in made))}"
    yield ok("images", f"{kept}, in {cache_home()}")


def _uv() -> Finding:
    try:
        path = find_uv()
    except ImageBuildError:
        return notice("uv", "not installed", _INSTALL)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return notice("uv", f"{path} does not answer: {error}", _INSTALL)
    return ok("uv", f"{done.stdout.split()[1]}, {path}")
