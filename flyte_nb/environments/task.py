"""TaskEnvironment: the infrastructure of a set of tasks; ``@env.task`` binds functions to it."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, overload

from flyte_nb.environments.base import Environment, announce, clone, is_heard, overrides_in
from flyte_nb.environments.cache import BEHAVIORS, Cache, CacheRequest
from flyte_nb.environments.declaration import Check, WrongType, refuse, refuse_type
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Image
from flyte_nb.environments.interface import NativeInterface
from flyte_nb.environments.overriding import INHERITED
from flyte_nb.environments.place import here
from flyte_nb.environments.plugin_registry import TaskPluginRegistry, plugin_for
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import Documentation, RetryStrategy, ReusePolicy, TimeoutType
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import SecretRequest
from flyte_nb.environments.template import INLINE_BYTES, TaskTemplate
from flyte_nb.errors import DeclarationError

__all__ = ["TaskEnvironment", "rebind", "refused_cache", "renewed"]

_Self = TypeVar("_Self", bound="TaskEnvironment")
_logger = logging.getLogger("flyte")


def _cache(value: Any) -> Any:
    """Accept any word here: an unknown one is refused when a task takes it, as in the Flyte SDK."""
    if value is not None and not isinstance(value, str | Cache):
        raise WrongType(f"it is of type {type(value).__name__}")
    if is_heard() and (why := refused_cache(value)):
        _logger.warning("no task of this environment can be declared: %s", why)
    return value


def refused_cache(value: Any) -> str:
    """Say why no task can take a value of ``cache`` that the environment accepts; empty where one can."""
    if not isinstance(value, str) or value in BEHAVIORS:
        return ""
    try:
        Cache(value)
    except DeclarationError as error:
        return str(error)
    return ""


@dataclass(repr=False)
class TaskEnvironment(Environment):
    """The infrastructure of a set of tasks; ``@env.task`` binds a function to it.

    Parameters
    ----------
    cache : str or Cache
        The default of its tasks: ``"disable"``, ``"auto"``, ``"override"``, or a `Cache`.
    reusable : ReusePolicy, optional
        Keep the processes of its tasks warm.
    plugin_config : object, optional
        Makes its tasks those of a plugin, such as Ray or Spark; not together with ``reusable``, unless the plugin says
        that it supports reuse (the specification).
    queue : str, optional
        The queue of a cluster that its tasks wait in.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts; nothing is registered then.

    See Also
    --------
    Environment : the settings shared with apps.
    """

    cache: Annotated[Any, Check(_cache, "'auto', 'override', 'disable', or a Cache")] = "disable"
    reusable: ReusePolicy | None = None
    plugin_config: Any | None = None
    queue: str | None = None
    _tasks: dict[str, TaskTemplate] = field(init=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reusable is not None and self.plugin_config is not None:
            self._check_plugin(self.reusable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for task in self._tasks.values():
            if task.parent_env is None:  # it was copied or unpickled with its environment
                task.parent_env = weakref.ref(self)

    def _check_plugin(self, policy: ReusePolicy) -> None:
        """Refuse a reuse policy that the plugin does not support, or not with its configuration."""
        plugin = TaskPluginRegistry.find(type(self.plugin_config))
        if not getattr(plugin, "supports_reuse_policy", False):
            raise refuse(self, "plugin_config", self.plugin_config, "no plugin_config, or no reusable",
                         "its plugin does not support a reuse policy")  # fmt: skip
        if plugin is not None and (why := plugin.refused_reuse(self.plugin_config, policy)):
            raise refuse(self, "reusable", policy, "what its plugin can keep warm", why)

    @property
    def tasks(self) -> dict[str, TaskTemplate]:
        """The tasks bound to this environment, by fully qualified name, in the order of their binding."""
        return self._tasks

    @overload
    def task(self, func: Callable[..., Any], /) -> AsyncFunctionTaskTemplate: ...
    @overload
    def task(self, **settings: Any) -> Callable[[Callable[..., Any]], AsyncFunctionTaskTemplate]: ...
    def task(  # type: ignore[misc]  # the overload leaves the settings to this signature
        self,
        func: Callable[..., Any] | None = None,
        /,
        *,
        short_name: str | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType = 0,
        docs: Documentation | None = None,
        pod_template: str | PodTemplate | None = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = INLINE_BYTES,
        queue: str | None = None,
        service_account: str | None = None,
        triggers: Any = (),
        links: Any = (),
        task_resolver: Any | None = None,
        entrypoint: bool = False,
        produces_artifacts: bool = False,
    ) -> Any:
        """Bind a function to this environment, as ``@env.task`` or ``@env.task(cache="auto", …)``.

        Parameters
        ----------
        func : callable
            A sync or async function whose inputs have names.
        cache, pod_template, interruptible, queue, service_account
            In the place of the environment's; None takes the environment's.
        retries : int or RetryStrategy
            Further attempts after a failure.
        timeout : int, timedelta or Timeout
            Seconds an attempt may take; 0 is unlimited.
        short_name, docs, report, max_inline_io_bytes, triggers, links, task_resolver, entrypoint, produces_artifacts
            As the fields of `TaskTemplate`.

        Returns
        -------
        AsyncFunctionTaskTemplate
            The task, named ``<environment>.<function>``; the plugin's class where the environment has one.

        Raises
        ------
        DeclarationError
            When a setting is not what it accepts, or not with this environment's reuse policy; when the environment
            has a task of that name from the same file.
        ValueError
            For ``*args`` and ``**kwargs`` in the signature.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "func")}
        if func is None:
            return lambda function: self._bind(function, settings)
        return self._bind(func, settings)

    def _bind(self, func: Callable[..., Any], settings: dict[str, Any]) -> AsyncFunctionTaskTemplate:
        for name, value in settings.items():
            if isinstance(value, str) and not value and _DECORATOR[name] is None:
                settings[name] = None  # an empty text is no setting, as in the Flyte SDK
        given = {name for name, value in settings.items() if value is not None and value != _DECORATOR[name]}
        self._check_reuse(func, settings)
        settings["short_name"] = settings["short_name"] or func.__name__
        task: AsyncFunctionTaskTemplate = self._template()(
            func=func,
            name=f"{self.name}.{func.__name__}",
            interface=NativeInterface.from_callable(func),
            parent_env_name=self.name,
            parent_env=weakref.ref(self),
            place=here(),
            own_settings=frozenset(given),
            **{
                **inherited(self),
                **{name: value for name, value in settings.items() if name in given or name not in INHERITED},
            },
        )
        if task.triggers:
            _match_triggers(task)
        announce("binding", self, task)
        self._tasks[task.name] = task
        return task

    def _template(self) -> type[AsyncFunctionTaskTemplate]:
        if self.plugin_config is None:
            return AsyncFunctionTaskTemplate
        try:
            return plugin_for(self.plugin_config)
        except LookupError as error:
            raise refuse(
                self, "plugin_config", self.plugin_config, "a registered plugin's configuration", str(error)
            ) from None

    def _check_reuse(self, func: Callable[..., Any], settings: dict[str, Any]) -> None:
        """Refuse what workers that are kept warm cannot give to one task alone."""
        account = settings["service_account"]
        if account is not None and not isinstance(account, str):
            raise refuse_type(self, "task(service_account=)", account, "str or None")
        if self.reusable is None:
            return
        if self.reusable.concurrency > 1 and not _is_async(func):
            raise refuse(self, "task", func.__name__, "an async function, or a reuse policy with concurrency 1",
                         "a sync function cannot share its worker with other calls")  # fmt: skip
        if settings["pod_template"] is not None:
            raise refuse(self, "task(pod_template=)", settings["pod_template"], "the environment's pod_template",
                         "the workers of a reusable environment are started with it")  # fmt: skip
        if account is not None and account != self.service_account:
            raise refuse(self, "task(service_account=)", account, f"the environment's, {self.service_account!r}",
                         "the workers of a reusable environment are started with it")  # fmt: skip

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
        cache: CacheRequest | None = None,
        reusable: ReusePolicy | Literal["keep"] | None = "keep",
        plugin_config: Any = None,
        pod_template: str | PodTemplate | None = None,
        queue: str | None = None,
        reset: Iterable[str] = (),
        **own: Any,
    ) -> _Self:
        """Make a new environment that inherits every setting of this one but those given.

        Parameters
        ----------
        name : str
            The name of the new environment.
        image, resources, env_vars, …
            None keeps the value, as in the Flyte SDK.
        reusable : ReusePolicy or None
            None given outright takes the reuse policy away, as in the Flyte SDK.
        reset : iterable of str
            Fields that go back to their default.
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
        TypeError
            For a field that the class does not have.
        """
        overrides = overrides_in({**locals(), "reusable": None}, own)
        cleared = [reset] if isinstance(reset, str) else list(reset)
        if reusable is None:
            cleared.append("reusable")
        elif reusable != "keep":
            overrides["reusable"] = reusable
        return clone(self, name, overrides, cleared)

    @classmethod
    def from_task(cls, name: str, *tasks: TaskTemplate, depends_on: list[Environment] | None = None) -> TaskEnvironment:
        """Make an environment of tasks that have none yet, such as container tasks.

        Raises
        ------
        DeclarationError
            When one of them has an environment already, or their images differ.
        """
        for task in tasks:
            if not isinstance(task, TaskTemplate):
                raise refuse_type(cls, "from_task", task, "tasks without an environment")
            if task.parent_env_name is not None:
                raise refuse(cls, "from_task", task.name, "tasks without an environment",
                             f"it belongs to {task.parent_env_name!r}")  # fmt: skip
        images = [task.image for task in tasks]
        if any(image != images[0] for image in images):
            raise refuse(cls, "from_task", [task.name for task in tasks], "tasks of one image", "their images differ")
        env = cls(name=name, image=images[0] if images else "auto", depends_on=list(depends_on or []))
        for task in tasks:
            task.parent_env_name = env.name
            task.own_settings |= {setting.name for setting in task.settings()}  # they stay: the environment has none
            announce("binding", env, task)
            rebind(task, env)
        return env


#: what the decorator's settings are when nobody gives them
_DECORATOR: dict[str, Any] = dict(TaskEnvironment.task.__kwdefaults__ or {})


def _match_triggers(task: TaskTemplate) -> None:
    """Compare the inputs that triggers give with those the task has."""
    from flyte_nb.environments.triggers import match_inputs

    for trigger in task.triggers:
        match_inputs(trigger, task.interface.inputs)


def _is_async(func: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(func)


def inherited(env: TaskEnvironment) -> dict[str, Any]:
    """Give the settings that an environment's tasks take from it."""
    return {name: getattr(env, name) for name in INHERITED if name != "plugin_config" or env.plugin_config is not None}


def renewed(task: TaskTemplate, env: TaskEnvironment) -> tuple[TaskTemplate, list[str]]:
    """Give a task as it is under a newer declaration of its environment, and the settings that it takes from that.

    Raises
    ------
    DeclarationError
        When the task cannot have one of them.
    """
    fields = {f.name for f in dataclasses.fields(task)}
    newer = {n: v for n, v in inherited(env).items() if n in fields - task.own_settings - task.override_settings}
    return dataclasses.replace(task, **newer), list(newer)


def rebind(task: TaskTemplate, env: TaskEnvironment) -> None:
    """Move a task to a newer declaration of its environment, whose settings it takes where it has none of its own."""
    other, newer = renewed(task, env)
    for name in newer:
        setattr(task, name, getattr(other, name))
    task.parent_env = weakref.ref(env)
    env._tasks[task.name] = task
