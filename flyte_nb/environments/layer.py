"""Layer: one step of an image, and the fields that kinds of layers share.

A layer is data. It says what determines its content (`Layer.content`, for the image's tag), whether its files
are there (`Layer.validate`) and whether it has an effect only in a container (`Layer.in_container`); building
is the business of whoever runs the image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from flyte_nb.environments.declaration import Check, Declaration, WrongType, plain, refuse, set_fields
from flyte_nb.environments.dockerignore import IgnoreRules
from flyte_nb.environments.image_tag import digests
from flyte_nb.environments.secrets import Secret, secrets_from_request
from flyte_nb.errors import DeclarationFileError

__all__ = ["InstallOptions", "Layer", "PipOptions", "require_file", "require_name"]


def _texts(value: Any) -> Any:
    """Convert what may be one text or many to a tuple; the type check refuses anything else."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _some_texts(value: Any) -> Any:
    value = _texts(value)
    if isinstance(value, tuple) and not value:
        raise ValueError("there is none")
    if isinstance(value, tuple) and any(isinstance(item, str) and not item.strip() for item in value):
        raise ValueError("one of them is empty")
    return value


def _mounts(value: Any) -> Any:
    value = [value] if isinstance(value, str | Secret) else value
    return tuple(secrets_from_request(list(value))) if isinstance(value, list | tuple) else value


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


def _requirements(value: Any) -> Any:
    value = _path(value)
    if isinstance(value, Path) and value.suffix != ".txt":
        raise ValueError(f"its suffix is {value.suffix!r}")
    return value


def _variables(value: Any) -> Any:
    """Convert a dict to a tuple of pairs, so that the layer can be hashed; numbers become text."""
    if not isinstance(value, Mapping):
        return value
    for name, given in value.items():
        if not isinstance(name, str) or not isinstance(given, str | int | float):
            raise WrongType(f"{name!r} is given a {type(given).__name__}")
        if not name or "=" in name or "\0" in f"{name}{given}":
            raise ValueError(f"{name!r} is not a variable name, or its value holds a NUL character")
    return tuple((name, str(given)) for name, given in value.items())


Texts = Annotated[tuple[str, ...], Check(_some_texts, "one or more str, none of them empty", before=True)]
OptionalTexts = Annotated[tuple[str, ...] | None, Check(_texts, "a str, or a list or tuple of str", before=True)]
SecretMounts = Annotated[
    tuple[Secret, ...] | None,
    Check(_mounts, "the name of a secret, a Secret, or a list or tuple of these", before=True),
]
FilePath = Annotated[Path, Check(_path, "a path, as str or Path", before=True)]
OptionalPath = Annotated[Path | None, Check(_path, "a path, as str or Path", before=True)]
TextFile = Annotated[Path, Check(_requirements, "the path of a .txt file", before=True)]
Variables = Annotated[
    tuple[tuple[str, str], ...],
    Check(_variables, "a dict of variable names to values, such as {'LOG_LEVEL': 'info'}", before=True),
]


@dataclass(frozen=True, repr=False)
class Layer(Declaration):
    """One step of an image."""

    #: whether it has an effect only in a container, so that a plain Python environment cannot stand in for it
    in_container: ClassVar[bool] = False

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the files whose bytes are part of the layer, each with the name that it has there.

        Parameters
        ----------
        rules : IgnoreRules, optional
            What stays out of folders; by default the ``.dockerignore`` of each folder says it.
        """
        yield from self._own_files()

    def validate(self) -> None:
        """Check that the layer's files are there.

        Raises
        ------
        DeclarationFileError
            When a file does not exist; a FileNotFoundError.
        DeclarationValueError
            When it is not a file, but a folder for example.
        """
        for name, path in self._own_files():
            require_file(self, name, path)

    def content(self, rules: IgnoreRules | None = None) -> dict[str, Any]:
        """Give what determines the layer's content as JSON data: its kind, settings and files."""
        self.validate()
        settings = {name: plain(value) for name, value in set_fields(self) if not isinstance(value, Path)}
        return {"kind": type(self).__name__, "settings": settings, "files": digests(self.sources(rules))}

    def _own_files(self) -> Iterator[tuple[str, Path]]:
        for field in dataclasses.fields(self):
            if isinstance(value := getattr(self, field.name), Path):
                yield field.name, value


def require_file(declared: Declaration, field: str, path: Path) -> None:
    """Check that a declared file is there.

    Raises
    ------
    DeclarationFileError
        When nothing is there; a FileNotFoundError.
    DeclarationValueError
        When something else than a file is there.
    """
    if not path.exists():
        raise DeclarationFileError(
            f"{type(declared).__name__}.{field}", repr(str(path)), "the path of a file", "there is no such file"
        )
    if not path.is_file():
        raise refuse(declared, field, path, "the path of a file", "it is not a file")


def require_name(declared: Declaration, field: str, path: Path, names: str, fits: bool) -> None:
    """Check that a file is called what its tool finds it by.

    Raises
    ------
    DeclarationValueError
        When it is not.
    """
    if not fits:
        raise refuse(declared, field, path, names, f"its name is {path.name!r}")


@dataclass(frozen=True, repr=False, kw_only=True)
class InstallOptions(Layer):
    """What every installing layer can be told.

    Parameters
    ----------
    extra_args : str, optional
        More arguments of the installer.
    secret_mounts : str, Secret or list of these, optional
        Credentials that are there while it installs, and not in the image.
    """

    extra_args: str | None = None
    secret_mounts: SecretMounts = None


@dataclass(frozen=True, repr=False, kw_only=True)
class PipOptions(InstallOptions):
    """What an installer of Python packages can be told.

    Parameters
    ----------
    index_url : str, optional
        The package index.
    extra_index_urls : str or list of str, optional
        Further package indexes.
    pre : bool
        Whether pre-releases count.
    """

    index_url: str | None = None
    extra_index_urls: OptionalTexts = None
    pre: bool = False
