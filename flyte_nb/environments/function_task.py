"""AsyncFunctionTaskTemplate: a task that is a Python function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.runtime_task import RuntimeTaskTemplate

__all__ = ["AsyncFunctionTaskTemplate"]


class _Decorated(NamedTuple):
    """Stands in a pickle for a function whose name its task has taken, so that no module has it under that name."""

    module: str
    name: str

    def function(self) -> Callable[..., Any]:
        __import__(self.module)
        task: AsyncFunctionTaskTemplate = attrgetter(self.name)(sys.modules[self.module])
        return task.func


@dataclass(kw_only=True, repr=False)
class AsyncFunctionTaskTemplate(RuntimeTaskTemplate):
    """A task that is a Python function, sync or async; what ``@env.task`` gives.

    Parameters
    ----------
    func : callable
        The function.
    plugin_config : object, optional
        The configuration of the plugin whose class this is.
    task_resolver : object, optional
        How a cluster finds the task.

    See Also
    --------
    TaskTemplate : the settings of every task.
    """

    func: Callable[..., Any]
    plugin_config: Any = None
    debuggable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.__doc__ = self.func.__doc__
        self.__name__ = getattr(self.func, "__name__", self.short_name)
        self.__qualname__ = getattr(self.func, "__qualname__", self.__name__)
        self.__module__ = getattr(self.func, "__module__", type(self).__module__)
        self.__wrapped__ = self.func  # inspect.signature and getsource follow it

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        name = _Decorated(self.__module__, self.__qualname__)
        if name.module != "__main__" and "<locals>" not in name.name and self._is_at(name):
            state |= {"func": name, "__wrapped__": name}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["func"], _Decorated):
            state |= dict.fromkeys(("func", "__wrapped__"), state["func"].function())
        self.__dict__.update(state)

    def _is_at(self, name: _Decorated) -> bool:
        try:
            return name.function() is self.func
        except (AttributeError, ImportError, KeyError):
            return False

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.func)

    @property
    def _call_as_synchronous(self) -> bool:
        return not self.is_async

    @property
    def source_file(self) -> str | None:
        """The file of the function."""
        code = getattr(inspect.unwrap(self.func), "__code__", None)
        return str(Path(code.co_filename)) if code is not None else None

    @classmethod
    def refused_reuse(cls, config: Any, policy: ReusePolicy) -> str:
        """Say why tasks with a configuration cannot have a reuse policy; empty where they can. For plugins."""
        return ""

    def local_resources(self) -> Resources | None:
        """Give what a run takes of this machine: the task's resources, and those of its engine. For plugins."""
        return self.resources

    def local_processes(self) -> int:
        """Give how many processes and threads a run may have beside what every task may: its engine's. For plugins."""
        return 0

    def around(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Give what is around an execution on this machine, such as an engine that runs meanwhile. For plugins.

        What it gives on entering joins ``ctx().data``. It is entered in the thread that runs the task, and left
        however the task ends; where its process is killed, all that it has started is killed with it.
        """
        return nullcontext({})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function: its value for a sync one, a coroutine for an async one."""
        return self.func(*args, **kwargs)

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Execute the function between ``pre`` and ``post``; a sync function runs in a thread."""
        await self.pre(*args, **kwargs)
        if self.is_async:
            value = await self.func(*args, **kwargs)
        else:
            from asyncio import to_thread

            value = await to_thread(self.func, *args, **kwargs)
        return await self.post(value)
