"""Tasks that are not Python functions."""

from flyte_nb.environments.container_task import ContainerTask

__all__ = ["ContainerTask"]
