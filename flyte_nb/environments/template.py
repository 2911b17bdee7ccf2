"""TaskTemplate: what can be run, and the settings of its own level."""

from __future__ import annotations

import dataclasses
import inspect
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from flyte_nb.environments import overriding
from flyte_nb.environments.cache import Cache, CacheRequest, cache_from_request
from flyte_nb.environments.calling import awaited, current_runner, refuse_in_loop, user_error
from flyte_nb.environments.declaration import Check, Declaration, mask, same
from flyte_nb.environments.image import Image
from flyte_nb.environments.interface import NativeInterface
from flyte_nb.environments.links import links_from_request
from flyte_nb.environments.place import Place
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import (
    Documentation,
    RetryStrategy,
    ReusePolicy,
    TimeoutType,
    retries_from_request,
    timeout_from_request,
)
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import SecretRequest

if TYPE_CHECKING:
    from flyte_nb.environments.task import TaskEnvironment

__all__ = ["Setting", "TaskTemplate"]

INLINE_BYTES = 10 * 1024 * 1024

_Task = TypeVar("_Task", bound="TaskTemplate")


def _image(value: Any) -> Any:
    if isinstance(value, str):
        return Image.from_debian_base() if value == "auto" else Image.from_base(value)
    return value


def _timeout(value: Any) -> Any:
    if value is not None:
        timeout_from_request(value)
    return value


def _retries(value: Any) -> Any:
    return retries_from_request(value)


def _triggers(value: Any) -> Any:
    if isinstance(value, tuple) and not value:
        return value  # nearly every task: nothing to load
    from flyte_nb.environments.triggers import triggers_from_request

    return triggers_from_request(value)


ImageRequest = Annotated[Image | None, Check(_image, "a URI, an Image, or 'auto'", before=True)]
Retries = Annotated[RetryStrategy, Check(_retries, "a number of further attempts, or a RetryStrategy", before=True)]
Caching = Annotated[Cache, Check(cache_from_request, "'auto', 'override', 'disable', or a Cache", before=True)]
TimeLimit = Annotated[Any, Check(_timeout, "seconds as an int, a timedelta, or a Timeout", before=True)]
Links = Annotated[tuple[Any, ...], Check(links_from_request, "a link, or a tuple or list of links", before=True)]
Triggers = Annotated[tuple[Any, ...], Check(_triggers, "a Trigger, or a tuple or list of them", before=True)]


class Setting(NamedTuple):
    """One effective setting of a task, and the level that it comes from.

    ``level`` is ``"default"``, ``"environment"``, ``"task"`` or ``"override"``: the most specific one that set it.
    """

    name: str
    value: Any
    level: str


@dataclass(kw_only=True, repr=False)
class TaskTemplate(Declaration):
    """What can be run: a name, an interface, and settings.

    Parameters
    ----------
    name : str
        The fully qualified name, ``<environment>.<function>``.
    interface : NativeInterface
        Inputs and outputs.
    short_name : str
        The name shown; ``name`` by default, and the function's own name for a function.
    image : str, Image or "auto"
        Held as an `Image`.
    cache : str or Cache
        Held as a `Cache`.
    retries : int or RetryStrategy
        Held as a `RetryStrategy`.
    timeout : int, timedelta or Timeout
        Seconds; 0 and None are unlimited.
    max_inline_io_bytes : int
        The most bytes that inputs and outputs may have inline.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts.
    """

    name: str
    interface: NativeInterface
    short_name: str = ""
    task_type: str = "python"
    task_type_version: int = 0
    image: ImageRequest = "auto"  # type: ignore[assignment]  # converted when the fields are checked
    resources: Resources | None = None
    cache: Caching = "disable"  # type: ignore[assignment]
    interruptible: bool = False
    retries: Retries = 0  # type: ignore[assignment]
    reusable: ReusePolicy | None = None
    docs: Documentation | None = None
    env_vars: dict[str, str] | None = None
    secrets: SecretRequest | None = None
    service_account: str | None = None
    timeout: TimeLimit = None
    pod_template: str | PodTemplate | None = None
    report: bool = False
    queue: str | None = None
    debuggable: bool = False
    entrypoint: bool = False
    produces_artifacts: bool = False
    parent_env: weakref.ReferenceType[Any] | None = field(default=None, compare=False)
    parent_env_name: str | None = None
    ref: bool = field(default=False, init=False, compare=False)
    max_inline_io_bytes: int = INLINE_BYTES
    triggers: Triggers = ()
    links: Links = ()
    place: Place = field(default=Place("<unknown>", 0), compare=False)
    #: which settings the decorator gave, and which an override did
    own_settings: frozenset[str] = field(default=frozenset(), compare=False)
    override_settings: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.short_name = self.short_name or self.name

    @property
    def native_interface(self) -> NativeInterface:
        """The same as ``interface``."""
        return self.interface

    @property
    def environment(self) -> TaskEnvironment | None:
        """The environment the task is bound to, in its newest declaration."""
        return self.parent_env() if self.parent_env is not None else None

    @property
    def source_file(self) -> str | None:
        """The file of the function; None for a task without one."""
        return None

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the inputs: an object, with the inputs without default required."""
        return self.interface.json_schema()

    @property
    def _call_as_synchronous(self) -> bool:
        return False

    def settings(self) -> list[Setting]:
        """List the effective settings that somebody set, each with the level that set it.

        The specification's three levels: the environment, the decorator, the override; the most specific wins.
        A setting that a task or an override gives is listed even where it gives the default.
        """
        return [
            Setting(f.name, getattr(self, f.name), self._level(f.name))
            for f in dataclasses.fields(self)
            if f.name in overriding.SETTINGS
            and (
                f.name in self.own_settings | self.override_settings
                or not same(getattr(self, f.name), self._default(f))
            )
        ]

    def _level(self, name: str) -> str:
        if name in self.override_settings:
            return "override"
        if name in self.own_settings:
            return "task"
        return "environment" if name in overriding.INHERITED else "default"

    def _default(self, f: Any) -> Any:
        if f.name in ("cache", "retries", "image"):
            return {"cache": Cache("disable"), "retries": RetryStrategy(0), "image": _image("auto")}[f.name]
        if f.name == "short_name":
            return self.short_name if self.short_name == self.name.rpartition(".")[2] else self.name
        return 0 if f.name == "timeout" and self.timeout == 0 else f.default

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, without a run around it.

        Raises
        ------
        NotImplementedError
            When the task has no function.
        """
        raise NotImplementedError(f"{type(self).__name__} has no function to call")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task: a child action inside a running task, the plain function elsewhere.

        Raises
        ------
        RuntimeUserError
            For an exception of the function, which is the cause; its class gives the ``code``.
        SyncTaskCallInAsyncContextError
            For a sync task called in a running async one; use ``await task.aio(…)``.
        """
        runner = current_runner.get()
        if runner is None:
            return self._plain_call(args, kwargs)
        inputs = self.interface.complete(*args, **kwargs)
        if not self._call_as_synchronous:
            return runner.acall(self, inputs)
        refuse_in_loop(self.name)
        return runner.call(self, inputs)

    def _plain_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            value = self.forward(*args, **kwargs)
        except Exception as error:  # the user's own code
            told = user_error(error)
            if told is error:
                raise
            raise told from error
        return awaited(value) if inspect.iscoroutine(value) else value

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task from async code and await its value, whether its function is sync or async.

        Raises
        ------
        RuntimeUserError
            For an exception of the function, which is the cause.
        """
        runner = current_runner.get()
        if runner is not None:
            return await runner.acall(self, self.interface.complete(*args, **kwargs))
        value = self._plain_call(args, kwargs)
        return await value if inspect.isawaitable(value) else value

    async def pre(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Prepare an execution; what it returns joins ``ctx().data``. For plugins."""
        return {}

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Execute the task. For plugins.

        Raises
        ------
        NotImplementedError
            When the task has no function.
        """
        raise NotImplementedError(f"{type(self).__name__} has no function to execute")

    async def post(self, return_vals: Any) -> Any:
        """See what an execution returned, and give what the task returns. For plugins."""
        return return_vals

    def config(self, sctx: Any) -> dict[str, str]:
        """Give the configuration of the task for a cluster. For plugins."""
        return {}

    def custom_config(self, sctx: Any) -> dict[str, str]:
        """Give further configuration of the task for a cluster. For plugins."""
        return {}

    def data_loading_config(self, sctx: Any) -> Any:
        """Give how data is loaded for the task's container. For plugins."""
        return None

    def container_args(self, serialize_context: Any) -> list[str]:
        """Give the arguments of the task's container. For plugins."""
        return []

    def sql(self, sctx: Any) -> str | None:
        """Give the task's query. For plugins."""
        return None

    def override(
        self: _Task,
        *,
        short_name: str | None = None,
        resources: Resources | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy | None = None,
        timeout: TimeoutType | None = None,
        reusable: ReusePolicy | Literal["off"] | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        service_account: str | None = None,
        max_inline_io_bytes: int | None = None,
        pod_template: str | PodTemplate | None = None,
        queue: str | None = None,
        interruptible: bool | None = None,
        entrypoint: bool | None = None,
        produces_artifacts: bool | None = None,
        links: Any = None,
        plugin_config: Any = None,
        **kwargs: Any,
    ) -> _Task:
        """Give the same task with other settings, for the calls made of it; this one stays as it is.

        Parameters
        ----------
        resources, env_vars, secrets, …
            Replace the setting, they do not merge. None keeps it; every other value, an empty one too, sets it.
        reusable : ReusePolicy or "off"
            ``"off"`` takes the reuse policy away.

        Raises
        ------
        DeclarationError
            For a value that its field refuses; for ``resources``, ``env_vars``, ``secrets``, ``service_account`` and
            ``pod_template`` of a task that stays reusable, since its workers are running already; for ``name``,
            ``image``, ``docs`` and ``interface``, which are not for one call to change.
        TypeError
            For an unknown setting.
        """
        given = {
            name: value for name, value in locals().items() if name not in ("self", "kwargs") and value is not None
        }
        return overriding.overridden(self, {**given, **kwargs})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.interface})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        settings = "".join(f"\n  {s.name} = {mask(s.name, s.value)}  ({s.level})" for s in self.settings())
        printer.text(f"{self!r}{settings}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "parent_env": None}  # weak references do not pickle
