"""A task that is a command in a container, run here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flyte_nb.containers.engine import found
from flyte_nb.containers.files import mounts, read
from flyte_nb.containers.words import rendered
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.image import Image
from flyte_nb.environments.secrets import secrets_from_request
from flyte_nb.errors import RuntimeUserError
from flyte_nb.plugins.amounts import bounded, cores_of, memory_of
from flyte_nb.plugins.scratch import scratch
from flyte_nb.plugins.share import Share

__all__ = ["carry_out", "why_not"]

_NOT_FOUND, _NO_CONTAINER = 127, 125  # exit codes of docker and podman


def carry_out(task: ContainerTask, inputs: dict[str, Any]) -> Any:
    """Run the command of a task in a container, and give its outputs.

    Parameters
    ----------
    task : ContainerTask
        The task.
    inputs : dict
        Its inputs by name.

    Raises
    ------
    RuntimeUserError
        When no container engine answers, the image has to be built, the command fails, or an output is not there.
    """
    if why := why_not(task.image):
        raise RuntimeUserError("ImageNotBuilt", f"{task.name}: {why}")
    try:
        engine = found()
    except RuntimeUserError as error:
        raise RuntimeUserError(error.code, f"{task.name}: {error}; {_HELP}") from None
    engine.remove_left()
    words = rendered([*task.command, *(task.arguments or ())], inputs, task.input_data_dir)
    with scratch("container") as folder:
        out, stage = folder / "out", folder / "in"
        out.mkdir()
        out.chmod(0o777)  # the user of the container may be another
        volumes = [
            *mounts(inputs, task.input_data_dir, task.file_input_layout, stage),
            (str(out), task.output_data_dir),
        ]
        options = [*_volumes(volumes), *_variables(task), *_limits(task)]
        code = engine.run(_uri(task.image), words, options, task.local_logs)
        if code:
            raise RuntimeUserError("ContainerFailed", f"{task.name}: {_told(code, words, task)}")
        return read(task.interface.outputs, out, task.output_data_dir)


_HELP = "a command in a container needs one: install docker or podman and start it, or run the task on a cluster"


def why_not(image: Image | str | None) -> str:
    """Say why an image cannot be run as it is; empty where it can."""
    if isinstance(image, Image) and (image.layers or image.dockerfile is not None):
        return "its image has to be built first, which is not done here: build it, and name it as image='…'"
    return ""


def _uri(image: Image | str | None) -> str:
    return image.uri if isinstance(image, Image) else str(image)


def _volumes(pairs: list[tuple[str, str]]) -> Iterator[str]:
    for here, there in pairs:
        yield from ("--volume", f"{here}:{there}")


def _variables(task: ContainerTask) -> Iterator[str]:
    """Name the variables that go to the container; their values are those of this process, so that none is shown."""
    secrets = [secret.as_env_var for secret in secrets_from_request(task.secrets)]
    for name in dict.fromkeys([*(task.env_vars or {}), *filter(None, secrets)]):
        yield from ("--env", name)


def _limits(task: ContainerTask) -> Iterator[str]:
    """Give what the container may take of the machine."""
    share = bounded(Share.here(), task.resources)
    if cores_of(task.resources) is not None:
        yield from ("--cpus", f"{min(cores_of(task.resources) or share.cores, share.cores):g}")
    if memory_of(task.resources) is not None:
        yield from ("--memory", f"{share.memory}b")


def _told(code: int, words: list[str], task: ContainerTask) -> str:
    """Word how a command failed."""
    if code == _NO_CONTAINER:
        return f"the container of {_uri(task.image)} did not start; why is in the output of the task"
    if code == _NOT_FOUND:
        return f"{_uri(task.image)} has no program {words[0]!r}" if words else "there is no command"
    why = " (killed; perhaps it had too little memory)" if code == 137 else ""
    return f"its command ended with exit code {code}{why}; what it printed is in the output of the task"
