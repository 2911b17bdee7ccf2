"""ContainerTask: a task that is a command in a container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from flyte_nb.environments.declaration import Check
from flyte_nb.environments.interface import NativeInterface
from flyte_nb.environments.template import ImageRequest, TaskTemplate

__all__ = ["ContainerTask"]


def _texts(value: Any) -> list[str]:
    # the Flyte SDK refuses a word that is not a str as a wrong value, not as a wrong type
    words = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if isinstance(value, str) or not all(isinstance(word, str) for word in words):
        raise ValueError("it is a single str" if isinstance(value, str) else "an item of it is not a str")
    return words


def _optional_texts(value: Any) -> list[str] | None:
    return None if value is None else _texts(value)


@dataclass(repr=False)
class ContainerTask(TaskTemplate):
    """A command in a container; it belongs to an environment made with ``TaskEnvironment.from_task``.

    Parameters
    ----------
    name : str
        The task's name.
    image : str or Image
        What the command runs in.
    command : list of str
        The command and its words; ``{{.inputs.x}}`` stands for an input.
    inputs, outputs : dict, optional
        Name to type.
    arguments : list of str, optional
        Words that follow the command.
    input_data_dir, output_data_dir : str
        The folders in the container in which inputs lie and outputs are expected.
    metadata_format : {"JSON", "YAML", "PROTO"}
        The form of the files that describe inputs and outputs.
    local_logs : bool
        Whether a local run shows what the container prints.
    file_input_layout : str
        How files among the inputs lie in their folder.
    **settings
        The settings of every task, such as ``resources``.

    Raises
    ------
    DeclarationError
        For words that are not str, and for any setting that its field refuses.
    """

    name: str
    image: ImageRequest = field()
    command: Annotated[list[str], Check(_texts, "a list of str", before=True)]
    inputs: dict[str, Any] | None = None
    arguments: Annotated[list[str] | None, Check(_optional_texts, "a list of str, or None", before=True)] = None
    outputs: dict[str, Any] | None = None
    input_data_dir: str = "/var/inputs"
    output_data_dir: str = "/var/outputs"
    metadata_format: Literal["JSON", "YAML", "PROTO"] = "JSON"
    local_logs: bool = True
    file_input_layout: str = "DIRECT"
    task_type: str = field(default="raw-container", kw_only=True)
    interface: NativeInterface = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self.interface = NativeInterface.from_types(self.inputs or {}, self.outputs or {})
        super().__post_init__()
