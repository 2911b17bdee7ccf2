"""Actions: the tasks of runs, each executed as a container, with what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common import phase_pb2
from flyteidl2.core import execution_pb2

from plane.containers import Container, words_of
from plane.processes import Start

RUNNING = (phase_pb2.ACTION_PHASE_QUEUED, phase_pb2.ACTION_PHASE_INITIALIZING, phase_pb2.ACTION_PHASE_RUNNING)
SUCCEEDED, FAILED = phase_pb2.ACTION_PHASE_SUCCEEDED, phase_pb2.ACTION_PHASE_FAILED
ABORTED = phase_pb2.ACTION_PHASE_ABORTED


@dataclass
class Action:
    """A task that runs, or has run.

    ``inputs`` is where its inputs lie, ``base`` where its run keeps what its actions give, both as addresses;
    ``env_vars`` are those of its run.
    """

    id: Any
    spec: Any
    inputs: str
    base: str
    parent: str = ""
    env_vars: dict[str, str] = field(default_factory=dict)
    phase: int = RUNNING[0]
    started: float = field(default_factory=time.time)
    ended: float = 0
    attempt: int = 1
    error: Any = None
    container: Container | None = None
    work: asyncio.Task[None] | None = None

    @property
    def outputs(self) -> str:
        """Where its outputs go, as an address."""
        return f"{self.base}/{self.id.name}"

    @property
    def folder(self) -> Path:
        """The folder of its outputs."""
        return Path(self.outputs.removeprefix("file://"))

    def status(self, told: Any) -> None:
        """Fill in a message for a status."""
        told.phase, told.attempts = self.phase, self.attempt
        told.start_time.FromMilliseconds(int(self.started * 1000))
        if self.ended:
            told.end_time.FromMilliseconds(int(self.ended * 1000))
            told.duration_ms = int((self.ended - self.started) * 1000)

    def row(self, told: Any) -> None:
        """Fill in a message for an action of a list."""
        told.id.CopyFrom(self.id)
        self.status(told.status)
        about, template = told.metadata, self.spec.task_template
        about.parent, about.environment_name = self.parent, self.spec.environment.name
        about.task.short_name = self.spec.short_name
        for name in ("org", "project", "domain", "name", "version"):
            setattr(about.task.id, name, getattr(template.id, name))

    def details(self, told: Any) -> None:
        """Fill in a message for all of it."""
        self.row(told)
        told.task.CopyFrom(self.spec)
        attempt = told.attempts.add(phase=self.phase, attempt=self.attempt, logs_available=self.container is not None)
        attempt.start_time.CopyFrom(told.status.start_time)
        if self.ended:
            attempt.end_time.CopyFrom(told.status.end_time)
        if self.phase == SUCCEEDED:
            attempt.outputs.output_uri = f"{self.outputs}/outputs.pb"
        if self.error is not None:
            for info in (told.error_info, attempt.error_info):
                info.message, info.kind = self.error.message, self.error.kind
                if "code" in info.DESCRIPTOR.fields_by_name:  # not in older versions
                    info.code = self.error.code


class Actions:
    """All actions, by the name of their run and their own.

    Parameters
    ----------
    endpoint : str
        The address of the control plane, for tasks that call tasks.
    python : str
        The Python of every image.
    start : callable
        How the process of a container starts.
    """

    def __init__(self, endpoint: str, python: str, start: Start) -> None:
        self._endpoint, self._python, self._start = endpoint, python, start
        self._known: dict[tuple[str, str], Action] = {}
        self._waiting: set[asyncio.Event] = set()

    def get(self, wanted: Any) -> Action:
        """Give an action."""
        found = self._known.get((wanted.run.name, wanted.name))
        if found is None:
            raise ConnectError(Code.NOT_FOUND, f"action {wanted.run.name}/{wanted.name} not found")
        return found

    def of(self, run: str) -> list[Action]:
        """Give the actions of a run, the first of all first."""
        return [action for (name, _), action in self._known.items() if name == run]

    def roots(self) -> list[Action]:
        """Give the first action of each run."""
        return [action for action in self._known.values() if not action.parent]

    def start(self, action: Action) -> None:
        """Take an action, and have it executed."""
        key = action.id.run.name, action.id.name
        if key in self._known:
            raise ConnectError(Code.ALREADY_EXISTS, f"action {'/'.join(key)}")
        self._known[key] = action
        action.work = asyncio.create_task(self._execute(action))

    def abort(self, action: Action) -> None:
        """End an action that has not ended."""
        if not action.ended:
            self._become(action, ABORTED)
            if action.container is not None:
                action.container.kill()

    async def changes(self) -> AsyncIterator[None]:
        """Come back once, and whenever an action has changed since."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            while True:
                event.clear()
                yield
                await event.wait()
        finally:
            self._waiting.discard(event)

    async def close(self) -> None:
        """End all that runs."""
        for action in self._known.values():
            self.abort(action)
        await asyncio.gather(*(action.work for action in self._known.values() if action.work is not None))

    def _become(self, action: Action, phase: int, error: Any = None) -> None:
        action.phase, action.error = phase, error
        if phase in (SUCCEEDED, FAILED, ABORTED):
            action.ended = time.time()
        for event in self._waiting:
            event.set()

    async def _execute(self, action: Action) -> None:
        try:
            for phase in RUNNING[1:]:
                self._become(action, phase)
                await asyncio.sleep(0)
            error = await self._attempts(action)
        except Exception as failure:  # the plane's own, which shall be seen
            error = execution_pb2.ExecutionError(code=type(failure).__name__, message=f"the stand-in: {failure}")
        if not action.ended:
            self._become(action, FAILED if error is not None else SUCCEEDED, error)

    async def _attempts(self, action: Action) -> Any:
        """Run it, again where it failed and may be tried again, and give the error of the last attempt."""
        most = 1 + action.spec.task_template.metadata.retries.retries
        for action.attempt in range(1, most + 1):
            folder = action.folder / f"attempt-{action.attempt}"
            action.container = self._container(action, folder)
            code = await action.container.run()
            error = _error(action.folder, code, action.container.log)
            if error is None or action.ended:
                return error
            (action.folder / "error.pb").unlink(missing_ok=True)
        return error

    def _container(self, action: Action, folder: Path) -> Container:
        given, out = action.spec.task_template.container, action.outputs
        inserted = {
            "{{.input}}": action.inputs,
            "{{.outputPrefix}}": out,
            "{{.rawOutputDataPrefix}}": f"{out}/raw",
            "{{.checkpointOutputPrefix}}": f"{out}/checkpoint",
            "{{.prevCheckpointPrefix}}": "",
            "{{.runName}}": action.id.run.name,
            "{{.actionName}}": action.id.name,
            "{{.runStartTime}}": datetime.now(timezone.utc).isoformat(),
        }
        (action.folder / "raw").mkdir(parents=True, exist_ok=True)
        env_vars = {row.key: row.value for row in given.env} | action.env_vars | self._told(action)
        return Container(folder, words_of([*given.command, *given.args], inserted), env_vars, self._python, self._start)

    def _told(self, action: Action) -> dict[str, str]:
        """Give what a control plane tells the runtime in a container."""
        run = action.id.run
        return {
            "_U_EP_OVERRIDE": self._endpoint,
            "_U_INSECURE": "1",
            "_U_USE_ACTIONS": "1",
            "_U_ORG_NAME": run.org or "org",
            "_U_RUN_BASE": action.base,
            "FLYTE_INTERNAL_EXECUTION_PROJECT": run.project,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.domain,
            "RUN_NAME": run.name,
            "ACTION_NAME": action.id.name,
            "FSSPEC_FILE_AUTO_MKDIR": "true",
        }


def _error(folder: Path, code: int, log: Path) -> Any:
    """Give the error of an attempt; None of one that succeeded."""
    file = folder / "error.pb"
    if file.exists():
        found = execution_pb2.ErrorDocument.FromString(file.read_bytes()).error
        return execution_pb2.ExecutionError(code=found.code, message=found.message, kind=found.origin)
    if code == 0 and (folder / "outputs.pb").exists():
        return None
    message = f"the container ended with {code}: {log.read_text(errors='replace')[-800:]}"
    return execution_pb2.ExecutionError(code=f"Exit{code}", message=message, kind=execution_pb2.ExecutionError.SYSTEM)
