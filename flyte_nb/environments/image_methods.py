"""Image methods: the ``with_*`` calls, each of which gives a new image with one layer more."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flyte_nb.environments.declaration import Declaration, refuse, refuse_type
from flyte_nb.environments.layer import Layer
from flyte_nb.environments.layer_projects import InstallMode, PixiProject, PoetryProject, UVProject
from flyte_nb.environments.layer_sources import (
    CodeBundle,
    CopyStyle,
    DockerIgnore,
    PythonWheels,
    SourceFile,
    SourceFolder,
    folder_name,
)
from flyte_nb.environments.layers import AptPackages, Commands, EnvVars, PipPackages, Requirements, WorkDir
from flyte_nb.environments.secrets import SecretRequest

__all__ = ["AnyPath", "Indexes", "LayerMethods"]

AnyPath = str | Path
Indexes = str | Sequence[str] | None
_Image = TypeVar("_Image", bound="LayerMethods")


class LayerMethods(Declaration):
    """The ``with_*`` methods of `Image`.

    Raises
    ------
    DeclarationValueError
        From each method, when the image is made from a Dockerfile, is not extendable or has no name, and
        when a value is wrong.
    DeclarationTypeError
        From each method, when a value has the wrong type.
    """

    def _with(self: _Image, layer: Layer) -> _Image:
        raise NotImplementedError

    def _add(self: _Image, kind: type[Layer], *settings: Any, **options: Any) -> _Image:
        """Add a layer; its fields check and convert what they are given."""
        return self._with(kind(*settings, **options))

    def with_pip_packages(
        self: _Image,
        *packages: str,
        index_url: str | None = None,
        extra_index_urls: Indexes = None,
        pre: bool = False,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> _Image:
        """Install Python packages.

        Parameters
        ----------
        *packages : str
            Requirement specifiers, such as ``"pandas>=2"``; at least one.
        index_url : str, optional
            The package index, in the place of PyPI.
        extra_index_urls : str or list of str, optional
            Further package indexes.
        pre : bool
            Whether pre-releases count.
        extra_args : str, optional
            More arguments of the installer.
        secret_mounts : str, Secret or list of these, optional
            Credentials that are there while it installs.
        """
        return self._add(
            PipPackages,
            packages,
            index_url=index_url,
            extra_index_urls=extra_index_urls,
            pre=pre,
            extra_args=extra_args,
            secret_mounts=secret_mounts,
        )

    def with_requirements(
        self: _Image,
        file: AnyPath,
        index_url: str | None = None,
        extra_index_urls: Indexes = None,
        pre: bool = False,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> _Image:
        """Install the Python packages of a requirements file.

        Parameters
        ----------
        file : path
            A ``.txt`` file; it is read when the image's URI is.
        index_url, extra_index_urls, pre, extra_args, secret_mounts
            As for `with_pip_packages`.
        """
        return self._add(
            Requirements,
            file,
            index_url=index_url,
            extra_index_urls=extra_index_urls,
            pre=pre,
            extra_args=extra_args,
            secret_mounts=secret_mounts,
        )

    def with_apt_packages(self: _Image, *packages: str, secret_mounts: SecretRequest | None = None) -> _Image:
        """Install Debian packages; at least one."""
        return self._add(AptPackages, packages, secret_mounts)

    def with_commands(
        self: _Image, commands: str | Sequence[str], secret_mounts: SecretRequest | None = None
    ) -> _Image:
        """Run shell commands while the image is built; one str is one command."""
        return self._add(Commands, commands, secret_mounts)

    def with_env_vars(self: _Image, env_vars: Mapping[str, str]) -> _Image:
        """Set environment variables; a number given as a value becomes text."""
        return self._add(EnvVars, env_vars)

    def with_workdir(self: _Image, workdir: str) -> _Image:
        """Set the working directory."""
        return self._add(WorkDir, workdir)

    def with_source_folder(self: _Image, src: AnyPath, dst: str = ".", copy_contents_only: bool = False) -> _Image:
        """Copy a folder into the image.

        Parameters
        ----------
        src : path
            The folder; it must exist when the image's URI is read.
        dst : str
            The folder that its files are copied to; ``"."`` means a folder of the same name.
        copy_contents_only : bool
            Let ``"."`` mean the working directory itself.
        """
        if not isinstance(copy_contents_only, bool):
            raise refuse_type(type(self), "with_source_folder(copy_contents_only=)", copy_contents_only, "bool")
        if dst == "." and not copy_contents_only and isinstance(src, str | Path):
            dst = f"./{folder_name(src)}"
        return self._add(SourceFolder, src, dst)

    def with_source_file(self: _Image, src: AnyPath | Sequence[AnyPath], dst: str = ".") -> _Image:
        """Copy a file, or several, into the folder ``dst`` of the image, each as a layer of its own.

        Raises
        ------
        DeclarationValueError
            When two of them have the same name, so that one would replace the other.
        """
        files = list(src) if isinstance(src, list | tuple) else [src]
        names = [os.path.basename(file) for file in files if isinstance(file, str | Path)]
        if not files or len(set(names)) < len(names):
            raise refuse(type(self), "with_source_file", files, "one or more files, each with another name")
        image = self
        for file in files:
            image = image._add(SourceFile, file, dst)
        return image

    def with_code_bundle(self: _Image, copy_style: CopyStyle = "loaded_modules", dst: str = ".") -> _Image:
        """Copy the user's own code into the image: the modules that are imported, or all below the root."""
        return self._add(CodeBundle, copy_style, dst)

    def with_dockerignore(self: _Image, path: AnyPath) -> _Image:
        """Say with a file what stays out of the folders that are copied; the file may be missing."""
        return self._add(DockerIgnore, path)

    def with_uv_project(
        self: _Image,
        pyproject_file: AnyPath,
        uvlock: AnyPath | None = None,
        index_url: str | None = None,
        extra_index_urls: Indexes = None,
        pre: bool = False,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
        project_install_mode: InstallMode = "dependencies_only",
    ) -> _Image:
        """Install a uv project, or only its dependencies.

        Parameters
        ----------
        pyproject_file : path
            Its ``pyproject.toml``.
        uvlock : path, optional
            Its lock file; by default the ``uv.lock`` beside it, if there is one.
        index_url, extra_index_urls, pre, extra_args, secret_mounts
            As for `with_pip_packages`.
        project_install_mode : {"dependencies_only", "install_project"}
            Whether the project itself is installed too; all of its files count then.
        """
        return self._add(
            UVProject,
            pyproject_file,
            uvlock,
            index_url=index_url,
            extra_index_urls=extra_index_urls,
            pre=pre,
            extra_args=extra_args,
            secret_mounts=secret_mounts,
            project_install_mode=project_install_mode,
        )

    def with_poetry_project(
        self: _Image,
        pyproject_file: AnyPath,
        poetry_lock: AnyPath | None = None,
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
        project_install_mode: InstallMode = "dependencies_only",
    ) -> _Image:
        """Install a Poetry project, or only its dependencies; see `with_uv_project`."""
        return self._add(
            PoetryProject,
            pyproject_file,
            poetry_lock,
            extra_args=extra_args,
            secret_mounts=secret_mounts,
            project_install_mode=project_install_mode,
        )

    def with_pixi_project(
        self: _Image,
        manifest_file: AnyPath,
        pixi_lock: AnyPath | None = None,
        environment: str = "default",
        extra_args: str | None = None,
        secret_mounts: SecretRequest | None = None,
        project_install_mode: InstallMode = "dependencies_only",
    ) -> _Image:
        """Install a pixi project, or only its dependencies; see `with_uv_project`.

        Parameters
        ----------
        manifest_file : path
            Its ``pixi.toml`` or ``pyproject.toml``, or the folder that holds one.
        pixi_lock : path, optional
            Its lock file; by default the ``pixi.lock`` beside the manifest, if there is one.
        environment : str
            The pixi environment.
        extra_args, secret_mounts, project_install_mode
            As for `with_uv_project`.
        """
        return self._add(
            PixiProject,
            manifest_file,
            pixi_lock,
            environment,
            extra_args=extra_args,
            secret_mounts=secret_mounts,
            project_install_mode=project_install_mode,
        )

    def with_local_v2(self: _Image) -> _Image:
        """Install the Flyte SDK from the wheels in ``dist`` of its checkout, for its own developers."""
        return self._add(PythonWheels, _checkout() / "dist", "flyte")

    def with_local_rs_controller(self: _Image) -> _Image:
        """Install the Flyte SDK's Rust controller from ``rs_controller/dist`` of its checkout."""
        return self._add(PythonWheels, _checkout() / "rs_controller" / "dist", "flyte_controller_base")

    def with_local_v2_plugins(self: _Image, plugins: str | Sequence[str] | None = None) -> _Image:
        """Install plugins of the Flyte SDK from the wheels in ``dist`` of its checkout, for its own developers.

        Parameters
        ----------
        plugins : str or list of str, optional
            Names that start with ``flyteplugins-``; none by default.
        """
        names = [plugins] if isinstance(plugins, str) else plugins or ()
        image = self
        for name in names if isinstance(names, list | tuple) else [plugins]:
            if not isinstance(name, str):
                accepted = "the name of a plugin, or a list of them"
                raise refuse_type(type(self), "with_local_v2_plugins", plugins, accepted)
            if not name.startswith("flyteplugins-"):
                raise refuse(type(self), "with_local_v2_plugins", name, "names that start with 'flyteplugins-'")
            image = image._add(PythonWheels, _checkout() / "dist", name.replace("-", "_"))
        return image


def _checkout() -> Path:
    """Give the checkout that the Flyte SDK is installed from, else the working directory; nothing is imported."""
    found = importlib.util.find_spec("flyte")
    file = Path(found.origin) if found is not None and found.origin else None  # <checkout>/src/flyte/__init__.py
    return file.parents[2] if file is not None and file.parents[1].name == "src" else Path()
