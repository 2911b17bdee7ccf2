"""RuntimeTaskTemplate: a task that a Python process of Flyte's runs in its container."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_nb.environments.container_words import bundle_words, image_cache_words, of_context
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import RuntimeSystemError

__all__ = ["RuntimeTaskTemplate"]

#: the resolver in Flyte's own images that imports a module and takes a variable of it
_RESOLVER = "flyte._internal.resolvers.default.DefaultTaskResolver"
#: what Flyte fills in when the container starts
_FILLED_IN = {
    "--raw-data-path": "{{.rawOutputDataPrefix}}",
    "--checkpoint-path": "{{.checkpointOutputPrefix}}",
    "--prev-checkpoint": "{{.prevCheckpointPrefix}}",
    "--run-name": "{{.runName}}",
    "--name": "{{.actionName}}",
    "--run-start-time": "{{.runStartTime}}",
}


@dataclass(kw_only=True, repr=False)
class RuntimeTaskTemplate(TaskTemplate):
    """A task that a Python process of Flyte's runs in its container; plugins whose tasks have no function start here.

    Parameters
    ----------
    task_resolver : object, optional
        How the container finds the task: ``import_path`` names it, ``loader_args(task=, root_dir=)`` gives its words.

    See Also
    --------
    TaskTemplate : the settings of every task.
    """

    task_resolver: Any = None

    def container_args(self, serialize_context: Any) -> list[str]:
        """Give the words with which the task's container starts.

        Parameters
        ----------
        serialize_context : SerializationContext
            What the task is translated for a cluster with.

        Raises
        ------
        RuntimeSystemError
            When the code is no pickle and the container could not find the task: it has no function, or one that is
            no variable of a module.
        """
        sctx, bundle = serialize_context, of_context(serialize_context, "code_bundle")
        words = ["a0", "--inputs", of_context(sctx, "input_path") or "{{.input}}"]
        words += ["--outputs-path", of_context(sctx, "output_path") or "{{.outputPrefix}}"]
        words += ["--version", of_context(sctx, "version") or of_context(bundle, "computed_version") or ""]
        words += [word for pair in _FILLED_IN.items() for word in pair]
        words += [*image_cache_words(sctx), *bundle_words(bundle)]
        return words if of_context(bundle, "pkl") else [*words, *self._resolver_words(sctx)]

    def _resolver_words(self, sctx: Any) -> list[str]:
        resolver = self.task_resolver
        if resolver is None:
            module, variable = self._variable()
            return ["--resolver", _RESOLVER, "mod", module, "instance", variable]
        loader: list[str] = resolver.loader_args(task=self, root_dir=of_context(sctx, "root_dir"))
        return ["--resolver", resolver.import_path, *loader]

    def _variable(self) -> tuple[str, str]:
        """Give the module and the variable that hold the task: those of its function."""
        func = getattr(self, "func", None)
        module, name = getattr(func, "__module__", ""), getattr(func, "__qualname__", "")
        if module == "__main__":  # a script is imported by its file's name; a notebook has none
            module = Path(getattr(sys.modules["__main__"], "__file__", None) or "").stem
        if not module or not name.isidentifier():
            raise RuntimeSystemError(
                "SerializationError",
                f"task {self.name!r}: no variable of a module holds it, so a container could not find it; "
                "deploy it with its code as a pickle, or give the task a task_resolver",
            )
        return module, name
