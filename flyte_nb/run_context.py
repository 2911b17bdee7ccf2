"""RunContext: how a run is made — what ``flyte.with_runcontext`` takes."""

from __future__ import annotations

import dataclasses
import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from flyte_nb.context.scopes import get_custom_context
from flyte_nb.deployed_tasks import Deployed
from flyte_nb.engine.base import Run, Settings, Work
from flyte_nb.engine.definition import refuse_while_loading
from flyte_nb.environments.declaration import Check, Declaration, refuse
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import InitializationError
from flyte_nb.portal import Relay, Verb
from flyte_nb.session import current_session
from flyte_nb.verbs import begin, carry_out, portal

__all__ = ["RunContext", "with_runcontext"]

#: what only runs on this machine have, and why a cluster's do not
_LOCAL_ONLY = {
    "fit": "the cluster decides where there is room",
    "keep": "the cluster keeps inputs and outputs itself",
    "run_start_time": "it starts when the cluster starts it",
    "interactive_mode": "the code travels as source",
    "dry_run": "flyte.deploy(…, engine='cluster', dry_run=True) says what would be sent",
    "copy_bundle_to": "flyte.export(…, for_='flyte') writes what would be sent",
    "tracked": "it is for runs of the Flyte SDK on this machine",
    "tracked_strict": "it is for runs of the Flyte SDK on this machine",
}
#: what the Flyte SDK's runner is told, beside what every run has
_CLUSTER = (
    "version", "copy_style", "run_base_dir", "cache_lookup_scope", "interruptible", "service_account", "queue",
    "labels", "annotations", "max_action_concurrency", "notifications", "log_level", "log_format", "user_log_level",
    "reset_root_logger", "debug",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")


def _run_name(value: str | None) -> str | None:
    if value is not None and (len(value) > 63 or not _NAME.fullmatch(value)):
        raise ValueError("it names files of the run, too")
    return value


def _at_once(value: int | None) -> int | None:
    if value is not None and (value < 0 or value == 1):
        raise ValueError("a task and one that it calls are two")
    return value


@dataclass(frozen=True, kw_only=True, repr=False)
class RunContext(Declaration):
    """How a run is made.

    A run on this machine honours the parameters up to ``wait``; the others are for ``engine="cluster"``.

    Parameters
    ----------
    mode : {"local", "remote", "hybrid"}, optional
        The Flyte SDK's word for the engine: ``"remote"`` is ``engine="cluster"``; this package has no ``"hybrid"``.
    name : str, optional
        The run's name: up to 63 letters, digits, ``-`` and ``_``; made up by default. The record of an ended run
        of the same name is replaced.
    custom_context : dict of str to str, optional
        What ``flyte.get_custom_context()`` gives in all tasks of the run, over what encloses the call.
    env_vars : dict of str to str, optional
        Environment variables of all tasks of the run, over those of their environments.
    project, domain : str, optional
        What ``flyte.current_project()`` and ``current_domain()`` give in the tasks.
    raw_data_path : str or Path, optional
        Where the tasks keep files; beside the run's records by default.
    run_start_time : datetime, optional
        What ``flyte.ctx().run_start_time`` gives.
    disable_run_cache, interactive_mode : bool
        What ``flyte.ctx()`` says of them.
    overwrite_cache : bool
        Compute kept outputs again.
    engine : {"local", "inline", "cluster"}
        ``"inline"`` runs the tasks in this process and thread, for breakpoints and tests; ``"cluster"`` in the Flyte
        cluster that this process knows.
    fit : {"clamp", "strict", "ignore"}
        What becomes of a request for more than this machine has: it gets what there is and a notice says so; it is
        refused; or, for a GPU where there is none, it is left out.
    keep : {"never", "on-failure", "always"}
        Whether the inputs are kept, so that ``flyte.rerun(name)`` can run the task with them again; ``"always"`` keeps
        the outputs, too, which apps of other processes can then be given by a ``RunOutput``.
    wait : bool
        Give the run at once where False; its ``wait``, ``outputs`` and ``cancel`` are there meanwhile.
    version, copy_style
        What a cluster's run takes its code from: ``"none"`` needs a version.
    max_action_concurrency : int, optional
        The most actions at a time in a cluster: 0 for the platform's own, or 2 and more.
    notifications : optional
        Sent by a cluster's runs; those on this machine warn that they send none.

    Raises
    ------
    DeclarationError
        When a parameter is not what it accepts.
    TypeError
        For an unknown parameter.
    """

    mode: Literal["local", "remote", "hybrid"] | None = field(default=None, kw_only=False)
    name: Annotated[str | None, Check(_run_name, "up to 63 letters, digits, - and _, or None")] = None
    custom_context: dict[str, str] | None = None
    env_vars: dict[str, str] | None = None
    project: str | None = None
    domain: str | None = None
    raw_data_path: str | Path | None = None
    run_start_time: datetime | None = None
    disable_run_cache: bool = False
    interactive_mode: bool | None = None
    overwrite_cache: bool = False
    engine: Literal["local", "inline", "cluster"] = "local"
    fit: Literal["clamp", "strict", "ignore"] = "clamp"
    keep: Literal["never", "on-failure", "always"] = "never"
    wait: bool = True

    version: str | None = None
    copy_style: Literal["loaded_modules", "all", "none"] = "loaded_modules"
    copy_bundle_to: Path | None = None
    dry_run: bool = False
    run_base_dir: str | None = None
    cache_lookup_scope: str = "global"
    interruptible: bool | None = None
    service_account: str | None = None
    queue: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    max_action_concurrency: Annotated[int | None, Check(_at_once, "0, or 2 and more, or None")] = None
    notifications: Any = None
    log_level: int | None = None
    log_format: str = "console"
    user_log_level: int | None = None
    reset_root_logger: bool = False
    debug: bool = False
    preserve_original_types: bool | None = None
    tracked: bool = False
    tracked_strict: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.copy_style == "none" and self.version is None:
            raise refuse(self, "copy_style", "none", "a version with it", "nothing says which code is meant")
        if self.mode == "local" and self.engine == "cluster":
            raise refuse(self, "mode", "local", "'remote', or nothing, with engine='cluster'")
        if self.chosen == "cluster":
            self._refuse_local_only()
        if self.mode == "hybrid" and not (self.name and self.run_base_dir):
            raise refuse(self, "mode", "hybrid", "a name and a run_base_dir with it")

    @property
    def run(self) -> Verb[..., Run]:
        """Run a task this way: ``run(task, *args, **kwargs)``, or ``await run.aio(…)``.

        Raises as ``flyte.run``; for a cluster `InitializationError` where none is known, and `UnionRpcError` where it
        does not do what it is asked.
        """

        async def run(relay: Relay, task: TaskTemplate | Deployed, /, *args: Any, **kwargs: Any) -> Run:
            """Run a task, as ``flyte.run`` does, or a deployed one, in this context."""
            refuse_while_loading("run")
            self._check_here()
            work = self.applied(_work(task, args, kwargs))
            return await carry_out(relay, self.chosen, work) if self.wait else begin(self.chosen, work)

        return Verb(run, portal)

    @property
    def chosen(self) -> str:
        """The engine that runs it."""
        return "cluster" if self.mode == "remote" else self.engine

    def _refuse_local_only(self) -> None:
        """Refuse what a run in a cluster would leave aside."""
        for name, why in _LOCAL_ONLY.items():
            value = getattr(self, name)
            if value and value != _default(name):
                raise refuse(self, name, value, "nothing, with engine='cluster'", why)

    def _check_here(self) -> None:
        if self.mode == "hybrid":
            raise InitializationError(
                "NotInitialized", "user",
                "mode 'hybrid', a root here with its calls in a cluster, is not of this package; leave mode out to run "
                "on this machine, or say 'remote' to run in the cluster",
            )  # fmt: skip
        if self.notifications and self.chosen != "cluster":
            logging.getLogger("flyte").warning("the notifications of a run on this machine are not sent")

    def applied(self, work: Work) -> Work:
        """Give prepared work with what this context says of the run."""
        started = self.run_start_time
        given: dict[str, Any] = {
            "name": self.name,
            "env_vars": self.env_vars,
            "project": self.project,
            "domain": self.domain,
            "raw_data_path": str(self.raw_data_path or ""),
            "run_start_time": started.isoformat() if started is not None else None,
            "disable_run_cache": self.disable_run_cache,
            "interactive_mode": self.interactive_mode,
            "overwrite_cache": self.overwrite_cache,
            "fit": self.fit,
            "keep": self.keep,
        }
        if self.chosen == "cluster":
            given["cluster"] = {name: getattr(self, name) for name in _CLUSTER if getattr(self, name) != _default(name)}
        settings = dataclasses.replace(Settings(), **{name: value for name, value in given.items() if value})
        return dataclasses.replace(
            work, settings=settings, custom_context={**get_custom_context(), **(self.custom_context or {})}
        )


def _default(name: str) -> Any:
    return RunContext.__dataclass_fields__[name].default


def _work(task: TaskTemplate | Deployed, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Work:
    return task.work(args, kwargs) if isinstance(task, Deployed) else current_session().work(task, args, kwargs)


def with_runcontext(mode: str | None = None, **options: Any) -> RunContext:
    """Say how a task is to be run: ``flyte.with_runcontext(name="first").run(task, x=1)``.

    Parameters
    ----------
    mode : {"local", "remote", "hybrid"}, optional
        Where it runs; ``"local"`` by default.
    **options
        The other parameters of `RunContext`.

    Raises
    ------
    DeclarationError
        For an unknown mode, and for a parameter that is not what it accepts.
    TypeError
        For an unknown parameter.
    """
    return RunContext(mode, **options)  # type: ignore[arg-type]  # it checks
