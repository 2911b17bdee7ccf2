"""Records that travel with a run: where an action stands, where its data goes, what its code is."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flyte_nb.environments.declaration import Declaration, refuse

__all__ = ["ActionID", "CodeBundle", "GroupData", "PathRewrite", "RawDataPath", "SerializationContext"]


@dataclass(frozen=True, kw_only=True, repr=False)
class ActionID(Declaration):
    """Which execution of a task, in which run.

    Parameters
    ----------
    name : str
        The action's own name.
    run_name : str, optional
        The run's; the action's own by default, as for the first one of a run.
    project, domain, org : str, optional
        Where the run belongs.
    """

    name: str
    run_name: str | None = None
    project: str | None = None
    domain: str | None = None
    org: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run_name is None:
            object.__setattr__(self, "run_name", self.name)

    @classmethod
    def create_random(cls) -> ActionID:
        """Give an action, the first of its run, with a random name."""
        return cls(name=f"r{secrets.token_hex(8)}")

    def named(self, name: str) -> ActionID:
        """Give another action of the same run, without another check of what was checked."""
        made = object.__new__(type(self))
        vars(made).update({**vars(self), "name": name})
        return made

    def new_sub_action(self, name: str | None = None) -> ActionID:
        """Give an action of the same run, with a random name by default."""
        return ActionID(
            name=name or f"a{secrets.token_hex(8)}",
            run_name=self.run_name,
            project=self.project,
            domain=self.domain,
            org=self.org,
        )


@dataclass(frozen=True, repr=False)
class GroupData(Declaration):
    """The group that actions started now belong to.

    Parameters
    ----------
    name : str
        What is shown for it.
    """

    name: str


@dataclass(frozen=True, repr=False)
class PathRewrite(Declaration):
    """Data under one prefix that is read from another.

    Parameters
    ----------
    old_prefix, new_prefix : str
        What is replaced at the start of a path, and by what.

    Raises
    ------
    DeclarationValueError
        When they are equal.
    """

    old_prefix: str
    new_prefix: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.old_prefix == self.new_prefix:
            raise refuse(self, "new_prefix", self.new_prefix, "another prefix than old_prefix", "they are equal")

    @classmethod
    def from_str(cls, pattern: str) -> PathRewrite:
        """Read ``old->new``.

        Raises
        ------
        DeclarationValueError
            For a text of another form.
        """
        prefixes = pattern.split("->") if isinstance(pattern, str) else []
        if len(prefixes) != 2:
            raise refuse(cls, "from_str", pattern, "'old->new', two prefixes and one arrow")
        return cls(*prefixes)

    def __str__(self) -> str:
        return f"{self.old_prefix}->{self.new_prefix}"


@dataclass(frozen=True, repr=False)
class RawDataPath(Declaration):
    """Where files of a run are kept.

    Parameters
    ----------
    path : str
        A folder, or a prefix with a protocol.
    path_rewrite : PathRewrite, optional
        A prefix that is read from elsewhere.
    """

    path: str
    path_rewrite: PathRewrite | None = None

    @classmethod
    def from_local_folder(cls, local_folder: str | Path | None = None) -> RawDataPath:
        """Use a folder of this machine, which is made; a new temporary one by default."""
        folder = Path(tempfile.mkdtemp(prefix="flyte-")) if local_folder is None else Path(local_folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(str(folder))

    def get_random_remote_path(self, file_name: str | None = None) -> str:
        """Give a path below it that nothing else uses; it ends with ``file_name``, if one is given."""
        parts = [self.path.rstrip("/"), secrets.token_hex(16), *([file_name] if file_name else [])]
        return "/".join(parts)


@dataclass(frozen=True, kw_only=True, repr=False)
class CodeBundle(Declaration):
    """Code that travels with a run.

    Parameters
    ----------
    computed_version : str
        What its content gives as a version.
    destination : str
        Where it is unpacked.
    tgz, pkl : str, optional
        Where the archive, or the pickle, is; exactly one of them.
    downloaded_path : Path, optional
        Where it lies on this machine, when it does.
    files : list of str, optional
        What is in it.

    Raises
    ------
    DeclarationValueError
        For both or neither of ``tgz`` and ``pkl``.
    """

    computed_version: str
    destination: str = "."
    tgz: str | None = None
    pkl: str | None = None
    downloaded_path: Path | None = None
    files: list[str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.tgz is None) == (self.pkl is None):
            raise refuse(self, "tgz", self.tgz, "exactly one of tgz and pkl", "given both or neither")

    def with_downloaded_path(self, path: Path) -> CodeBundle:
        """Give the same bundle with the place where it lies on this machine."""
        return replace(self, downloaded_path=path)


@dataclass(frozen=True, repr=False)
class SerializationContext(Declaration):
    """What a task or an app is translated for a cluster with; the hooks of plugins receive it.

    Parameters
    ----------
    version : str or None
        The version that is deployed; None where the code bundle's counts.
    project, domain, org : str, optional
        Where it is deployed to.
    code_bundle : CodeBundle, optional
        The code that travels along.
    input_path, output_path : str
        Templates that the platform fills in.
    interpreter_path : str
        The Python of the container.
    image_cache : object, optional
        The images that are built already.
    root_dir : Path, optional
        What paths of the code are relative to.
    """

    version: str | None
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    code_bundle: CodeBundle | None = None
    input_path: str = "{{.input}}"
    output_path: str = "{{.outputPrefix}}"
    interpreter_path: str = "/opt/venv/bin/python"
    image_cache: Any = None
    root_dir: Path | None = None

    def get_entrypoint_path(self, interpreter_path: str | None = None) -> str:
        """Give the path of the runtime's command, beside an interpreter; the context's own by default."""
        return str(Path(interpreter_path or self.interpreter_path).parent / "runtime.py")
