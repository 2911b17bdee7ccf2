"""Install: the layers of an image as runs of uv, one after the other."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from flyte_nb.engine.local.images.needs import ignore_rules, installs, label, missing_secrets, secret_values
from flyte_nb.engine.local.images.uv import UV
from flyte_nb.environments.image import Image
from flyte_nb.environments.layer import Layer, PipOptions
from flyte_nb.environments.layer_projects import UVProject
from flyte_nb.environments.layer_sources import PythonWheels
from flyte_nb.environments.layers import PipPackages, Requirements, UVScript
from flyte_nb.errors import ImageBuildError

__all__ = ["install"]

_WORKER = "what a worker needs"
_HASHED = "--require-hashes"  # with it uv refuses whatever is no exact version, a constraint too
_SCRATCH = ".scratch"  # the folder for what is needed while it installs


async def install(uv: UV, image: Image, folder: Path, worker: Sequence[str]) -> None:
    """Install the layers of an image into the environment in ``folder``, and what a worker needs.

    The worker's requirements take part in every step, so that a layer that contradicts them is told and not obeyed.
    What a layer is told for its own packages, such as its index or ``--no-deps``, shall not reach them: then they are
    installed first, and bind the steps that follow as constraints.

    Raises
    ------
    ImageBuildError
        When a layer cannot be installed; the message starts with its name.
    """
    scratch = folder / _SCRATCH
    scratch.mkdir()
    needs = scratch / "flyte-nb-worker.txt"
    needs.write_text("\n".join(worker) + "\n")
    apart = any(_is_special(layer) for layer in installs(image))
    step = _Step(uv, folder, scratch, ["-c" if apart else "-r", str(needs)])
    if apart or not installs(image):
        uv.tell(f"resolving {_WORKER}")
        await step.install(None, ["-r", str(needs)])
    for layer in installs(image):
        uv.tell(f"resolving {label(layer)}")
        for secret in missing_secrets(layer):
            uv.tell(f"{label(layer)}: the secret {secret.key!r} is not in this process's environment")
        await step.layer(layer, image)
    await asyncio.to_thread(shutil.rmtree, scratch)


def _is_special(layer: Layer) -> bool:
    return isinstance(layer, PipOptions) and bool(layer.extra_args or layer.index_url or layer.pre)


class _Step:
    """One layer after the other, into one environment."""

    def __init__(self, uv: UV, folder: Path, scratch: Path, always: list[str]) -> None:
        self._uv, self._folder, self._scratch, self._always = uv, folder, scratch, always
        self._python = str(folder / "bin" / "python")

    async def layer(self, layer: Layer, image: Image) -> None:
        if isinstance(layer, PipPackages):
            await self.install(layer, ["--", *layer.packages], options=True)
        elif isinstance(layer, Requirements):
            await self.install(layer, ["-r", os.path.abspath(layer.file)], options=True)
        elif isinstance(layer, UVScript):
            await self._export(layer, ["--script", os.path.abspath(layer.script)], self._scratch)
        elif isinstance(layer, UVProject):
            await self._project(layer, image)
        elif isinstance(layer, PythonWheels):
            await self._wheels(layer)

    async def _wheels(self, layer: PythonWheels) -> None:
        wheels = [os.path.abspath(path) for _, path in layer.sources()]
        if not wheels:
            raise ImageBuildError(f"{label(layer)}: there is no wheel of it in {str(layer.wheel_dir)!r}")
        await self.install(layer, ["--", *wheels])

    async def _project(self, layer: UVProject, image: Image) -> None:
        folder = Path(os.path.abspath(layer.manifest.parent))
        if layer.lock is None:
            await self.install(layer, ["-r", os.path.abspath(layer.manifest)], options=True, folder=folder)
        else:
            if Path(os.path.abspath(layer.lock)) != folder / "uv.lock":
                folder = await asyncio.to_thread(self._beside_its_lock, layer)
            await self._export(layer, ["--no-dev", "--no-emit-project", *self._checked(layer)], folder)
        if layer.project_install_mode == "install_project":
            copied = await asyncio.to_thread(self._copied, layer, image)
            await self.install(layer, ["--no-deps", "--", str(copied)])

    def _checked(self, layer: UVProject) -> list[str]:
        """Have uv refuse a lock file that is out of date, except where its index is another than the lock's."""
        replaced = layer.index_url or self._uv.settings.get("UV_DEFAULT_INDEX") or os.environ.get("UV_DEFAULT_INDEX")
        return ["--frozen" if replaced else "--locked"]

    def _beside_its_lock(self, layer: UVProject) -> Path:
        assert layer.lock is not None
        folder = self._scratch / f"project{len(list(self._scratch.iterdir()))}"
        folder.mkdir()
        shutil.copy2(layer.manifest, folder / "pyproject.toml")
        shutil.copy2(layer.lock, folder / "uv.lock")
        return folder

    def _copied(self, layer: UVProject, image: Image) -> Path:
        """Copy a project: building it shall leave nothing beside its sources."""
        folder = self._scratch / f"sources{len(list(self._scratch.iterdir()))}"
        for name, path in layer.sources(ignore_rules(image)):
            if name.startswith("project/"):
                target = folder / name.removeprefix("project/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target, follow_symlinks=path.exists())
        return folder

    async def _export(self, layer: PipOptions, what: list[str], folder: Path) -> None:
        """Have uv write the exact packages of a lock file or a script, and install these."""
        pins = self._scratch / f"pins{len(list(self._scratch.iterdir()))}.txt"
        await self._run(layer, ["export", "--no-header", "--python", self._python, "-o", str(pins),
                                *self._options(layer), *what], folder)  # fmt: skip
        await self.install(layer, ["-r", str(pins)], folder=folder)

    async def install(
        self, layer: Layer | None, what: list[str], options: bool = False, folder: Path | None = None
    ) -> None:
        """Run ``uv pip install``, with the layer's own options where they are for this run."""
        own = self._options(layer) if options and isinstance(layer, PipOptions) else []
        always = [] if _HASHED in own else self._always
        await self._run(layer, ["pip", "install", "--python", self._python, *always, *own, *what],
                        folder or self._scratch)  # fmt: skip

    async def _run(self, layer: Layer | None, arguments: list[str], folder: Path) -> None:
        secrets = secret_values(layer) if layer else {}
        variables = {**secrets, **(_indexes(layer, self._known(secrets)) if isinstance(layer, PipOptions) else {})}
        if _HASHED in arguments:
            variables["UV_CONSTRAINT"] = ""
        what = label(layer) if layer else _WORKER
        await self._uv.run(what, *arguments, folder=folder, variables=variables, secrets=list(secrets.values()))

    def _known(self, secrets: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **self._uv.settings, **secrets}

    def _options(self, layer: PipOptions) -> list[str]:
        extra = _filled(layer.extra_args or "", self._known(secret_values(layer)))
        try:
            return [*(["--prerelease=allow"] if layer.pre else []), *shlex.split(extra)]
        except ValueError as error:
            raise ImageBuildError(f"{label(layer)}: its extra_args cannot be read: {error}") from None


def _indexes(layer: PipOptions, known: Mapping[str, str]) -> dict[str, str]:
    """Give a layer's package indexes as variables: on a command line others could read the credentials in them."""
    found = {}
    if layer.index_url:
        found["UV_DEFAULT_INDEX"] = _filled(layer.index_url, known)
    if layer.extra_index_urls:
        urls = [_filled(url, known) for url in layer.extra_index_urls]
        found["UV_INDEX"] = " ".join([*urls, known.get("UV_INDEX", "")]).strip()
    return found


def _filled(text: str, known: Mapping[str, str]) -> str:
    """Fill in variables, such as ``$TOKEN``, as the shell of a container's build does."""
    return string.Template(text).safe_substitute(known)
