"""Absent: the names of the Flyte SDK's root that cannot do their work here, each with what to do instead."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, NoReturn

from flyte_nb.errors import InitializationError

__all__ = ["ABSENT", "NAMESPACES", "Absent", "AbsentNamespace", "namespace"]


class Absent:
    """A name whose use says what it lacks, and what to do instead.

    Parameters
    ----------
    name : str
        The name, as in ``flyte.name``.
    missing : str
        What it needs that is not there.
    instead : str
        What to do instead.
    """

    def __init__(self, name: str, missing: str, instead: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = f"Not available: {missing}; {instead}."

    def __repr__(self) -> str:
        return f"<flyte.{self.__name__}, not available>"

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        missing, _, instead = (self.__doc__ or "").removeprefix("Not available: ").rstrip(".").rpartition("; ")
        return Absent(f"{self.__name__}.{name}", missing, instead)

    def _refuse(self) -> NoReturn:
        said = (self.__doc__ or "").removeprefix("Not available: ")
        raise InitializationError("NotAvailable", "user", f"flyte.{self.__name__}: {said}")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Say that it is not available.

        Raises
        ------
        InitializationError
            Always.
        """
        self._refuse()

    async def aio(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Say that it is not available, where it is awaited."""
        self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """Refuse to be subclassed, for the same reason."""
        self._refuse()


_CLUSTER = "it needs a connection to a Flyte control plane, and this process has none"
_IMAGES = "flyte_nb has no image builder yet"
_CHECKPOINTS = "local runs keep no checkpoints yet"
_CONDITIONS = "conditions are signalled through a Flyte control plane, and this process has no connection to one"

_BUILD = "run tasks with flyte.run, which uses this Python environment, or name a built image by its URI"
_SAVE = "write what is to be kept to a flyte.io.File and take it as an input"
_WAIT = "ask for the decision in the notebook, between two runs"

#: name: what is missing, and what to do instead
ABSENT = {
    "BaseCheckpoint": (_CHECKPOINTS, _SAVE),
    "Checkpoint": (_CHECKPOINTS, _SAVE),
    "ConditionWebhook": (_CONDITIONS, _WAIT),
    "build": (_IMAGES, _BUILD),
    "build_images": (_IMAGES, _BUILD),
    "latest_checkpoint": (_CHECKPOINTS, _SAVE),
    "load_interactive_ctx": (_CLUSTER, "run the task with flyte.run and look at flyte.ctx() in it"),
    "load_plugin_config": (_CLUSTER, "make the plugin's configuration in Python and give it to plugin_config="),
    "new_condition": (_CONDITIONS, _WAIT),
    "run_python_script": (_CLUSTER, "run the script with this Python, or make a task of it and call flyte.run"),
}


class AbsentNamespace(ModuleType):
    """A namespace of the Flyte SDK, all of whose names are absent.

    Parameters
    ----------
    name : str
        The name, as in ``flyte.name``.
    missing, instead : str
        As for `Absent`.
    names : str
        What it holds in the SDK, separated by spaces.
    """

    def __init__(self, name: str, missing: str, instead: str, names: str) -> None:
        super().__init__(f"flyte_nb.{name}", f"Not available: {missing}; {instead}.")
        self.__all__ = names.split()
        for each in self.__all__:
            setattr(self, each, Absent(f"{name}.{each}", missing, instead))

    def __repr__(self) -> str:
        return f"<flyte.{self.__name__.partition('.')[2]}, not available>"


_ARTIFACTS = "artifacts live in a Flyte control plane, and this process has no connection to one"

#: name: what is missing, what to do instead, and what it holds in the SDK
NAMESPACES = {
    "artifacts": (
        _ARTIFACTS,
        "return the value, and give it to the task that needs it",
        "Artifact ArtifactKey ArtifactVersionId Card CardFormat CardType Granularity KIND_KEY Kind MAX_PARENTS "
        "Metadata TimePartition new produces",
    ),
    "git": (
        "flyte_nb does not look into the repository of the code",
        "give flyte.init_from_config the path of the configuration file",
        "GitStatus config_from_root",
    ),
    "prefetch": (
        _CLUSTER,
        "download the model in a task, and return it as a flyte.io.Dir",
        "HuggingFaceModelInfo ShardConfig StoredModelInfo VLLMShardArgs hf_model",
    ),
    "remote": (
        _CLUSTER,
        "use what flyte.run and flyte.deployed give, or %flyte runs",
        "Action ActionDetails ActionInputs ActionOutputs App Artifact Condition PartitionSchema Project Run RunDetails "
        "Secret SecretTypes Settings Task TaskDetails TimeFilter Trigger TriggerDetails User auth_metadata upload_dir "
        "upload_file",
    ),
    "sandbox": (
        "flyte_nb does not run code that it is given as text",
        "declare a task, which runs in a process of its own",
        "CodeTaskTemplate ImageConfig ORCHESTRATOR_SYNTAX_PROMPT SandboxedConfig SandboxedTaskTemplate create "
        "orchestrate_local orchestrator_from_str sandbox_environment",
    ),
}


@cache
def namespace(name: str) -> AbsentNamespace:
    """Give a namespace whose names are absent."""
    return AbsentNamespace(name, *NAMESPACES[name])


def __getattr__(name: str) -> Absent:
    if name not in ABSENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Absent(name, *ABSENT[name])
