"""TaskEnvironment and the tasks bound to it."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from flyte_nb.environments.base import Environment, announce, clone
from flyte_nb.environments.image import Image
from flyte_nb.environments.interface import NativeInterface
from flyte_nb.environments.place import Place, here
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import SecretRequest

__all__ = ["AsyncFunctionTaskTemplate", "TaskEnvironment", "TaskTemplate"]

_Self = TypeVar("_Self", bound="TaskEnvironment")


class Runner(Protocol):
    """Whoever runs the tasks that a running task calls; an engine sets one around each run."""

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a sync task as a child action; block until it is done and give its value."""

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run an async task as a child action and give its value."""


#: set by an engine around a run; None means that a task called is a plain function call
current_runner: ContextVar[Runner | None] = ContextVar("current_runner", default=None)


@dataclass(kw_only=True, repr=False)
class TaskTemplate:
    """What can be run: a name, an interface, and the settings of its own level.

    Parameters
    ----------
    name : str
        The fully qualified name, ``<environment>.<function>``.
    interface : NativeInterface
        Inputs and outputs.
    """

    name: str
    interface: NativeInterface
    short_name: str = ""
    cache: Any = None
    retries: int = 0
    timeout: Any = 0
    parent_env: weakref.ReferenceType[TaskEnvironment] | None = field(default=None, compare=False)
    parent_env_name: str | None = None
    place: Place = field(default=Place("<unknown>", 0), compare=False)

    def __post_init__(self) -> None:
        self.short_name = self.short_name or self.name.rpartition(".")[2]

    @property
    def native_interface(self) -> NativeInterface:
        """The same as ``interface``."""
        return self.interface

    @property
    def environment(self) -> TaskEnvironment | None:
        """The environment the task is bound to, in its newest declaration."""
        return self.parent_env() if self.parent_env is not None else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, without a run around it."""
        raise NotImplementedError(f"{type(self).__name__} has no function to call")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.interface})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "parent_env": None}  # weak references do not pickle


@dataclass(kw_only=True, repr=False)
class AsyncFunctionTaskTemplate(TaskTemplate):
    """A task that is a Python function, sync or async; what ``@env.task`` gives.

    Parameters
    ----------
    func : callable
        The function.
    """

    func: Callable[..., Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.__doc__ = self.func.__doc__
        self.__name__ = self.func.__name__
        self.__module__ = self.func.__module__
        self.__wrapped__ = self.func  # inspect.signature and getsource follow it

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
        return inspect.getsourcefile(self.func)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function: its value for a sync one, a coroutine for an async one."""
        return self.func(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        runner = current_runner.get()
        if runner is None:
            return self.func(*args, **kwargs)
        inputs = self.interface.complete(*args, **kwargs)
        return runner.acall(self, inputs) if self.is_async else runner.call(self, inputs)

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task from async code, whether its function is sync or async."""
        runner = current_runner.get()
        if runner is not None:
            return await runner.acall(self, self.interface.complete(*args, **kwargs))
        value = self.func(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value


@dataclass(repr=False)
class TaskEnvironment(Environment):
    """The infrastructure of a set of tasks; ``@env.task`` binds a function to it.

    Parameters
    ----------
    cache : str
        The default of its tasks: ``"disable"``, ``"auto"`` or ``"override"``.

    See Also
    --------
    Environment : the settings shared with apps.
    """

    cache: Any = "disable"
    _tasks: dict[str, TaskTemplate] = field(init=False, compare=False, default_factory=dict)

    @property
    def tasks(self) -> dict[str, TaskTemplate]:
        """The tasks bound to this environment, by fully qualified name, in the order of their binding."""
        return self._tasks

    @overload
    def task(self, func: Callable[..., Any]) -> AsyncFunctionTaskTemplate: ...
    @overload
    def task(self, **settings: Any) -> Callable[[Callable[..., Any]], AsyncFunctionTaskTemplate]: ...
    def task(self, func: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Bind a function to this environment, as ``@env.task`` or ``@env.task(cache="auto", …)``.

        Parameters
        ----------
        func : callable
            A sync or async function whose inputs have names.
        short_name : str, optional
            The name shown; the function's own by default.
        cache : str, optional
            This task's own cache behaviour.
        retries : int
            Further attempts after a failure.
        timeout : int or timedelta
            Seconds an attempt may take; 0 is unlimited.

        Returns
        -------
        AsyncFunctionTaskTemplate
            The task, named ``<environment>.<function>``.
        """
        if func is None:
            return lambda function: self._bind(function, settings)
        return self._bind(func, settings)

    def _bind(self, func: Callable[..., Any], settings: dict[str, Any]) -> AsyncFunctionTaskTemplate:
        task = AsyncFunctionTaskTemplate(
            func=func,
            name=f"{self.name}.{func.__name__}",
            interface=NativeInterface.from_callable(func),
            parent_env_name=self.name,
            parent_env=weakref.ref(self),
            place=here(),
            **settings,
        )
        announce("binding", self, task)
        self._tasks[task.name] = task
        return task

    def clone_with(
        self: _Self,
        name: str,
        image: str | Image | None = None,
        resources: Resources | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        depends_on: list[Environment] | None = None,
        description: str | None = None,
        interruptible: bool | None = None,
        include: Iterable[str] | None = None,
        service_account: str | None = None,
        *,
        cache: Any = None,
        pod_template: Any = None,
        reset: Iterable[str] = (),
        **own: Any,
    ) -> _Self:
        """Make a new environment that inherits every setting of this one but those given.

        Parameters
        ----------
        name : str
            The name of the new environment.
        reset : iterable of str
            Fields that go back to their default; None keeps a value.
        **own
            Fields that a subclass added.

        Returns
        -------
        TaskEnvironment
            Of the same class, registered, with no tasks: a task belongs to the environment it was bound to.

        Raises
        ------
        DeclarationError
            When a value is not what its field accepts.
        """
        overrides = {
            "image": image, "resources": resources, "env_vars": env_vars, "secrets": secrets,
            "depends_on": depends_on, "description": description, "interruptible": interruptible,
            "include": include, "service_account": service_account, "cache": cache, "pod_template": pod_template,
            **own,
        }  # fmt: skip
        return clone(self, name, overrides, reset)


def rebind(task: TaskTemplate, env: TaskEnvironment) -> None:
    """Move a task to a newer declaration of its environment."""
    task.parent_env = weakref.ref(env)
    env._tasks[task.name] = task
