"""Running in a cluster: a task as it is declared, or one that is deployed there, started by the SDK and followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Emit, Outputs, Phase, Run, Work, now
from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.kinds import translate
from flyte_nb.engine.cluster.passing import Passing
from flyte_nb.engine.cluster.printing import in_cells
from flyte_nb.engine.cluster.reading import FAILED, action_of, error_of, phase_of
from flyte_nb.engine.cluster.recording import Recording
from flyte_nb.engine.cluster.translation import Translation
from flyte_nb.engine.cluster.watching import Watching
from flyte_nb.engine.store import Store
from flyte_nb.errors import (
    ActionAbortedError,
    BaseRuntimeError,
    MaxRuntimeExceededError,
    RuntimeSystemError,
    RuntimeUserError,
    UnionRpcError,
    UsageError,
    by_code,
)

__all__ = ["Running"]

ABORT = 4.0  # seconds that ending a run may take, while somebody waits for it
START = 600.0  # seconds that building an image, the upload and the start may take


class Running:
    """One run.

    Parameters
    ----------
    store : Store
        Takes the records.
    connection : Connection
        The cluster.
    work : Work
        What is run.
    translation : Translation or None
        Its environment as the SDK has it; None for a deployed task.
    emit : callable
        Hears what happens.
    """

    def __init__(
        self, store: Store, connection: Connection, work: Work, translation: Translation | None, emit: Emit
    ) -> None:
        self._store, self._connection, self._work, self._emit = store, connection, work, emit
        self._translation = translation
        self._passing = Passing(translation.modules if translation is not None else {})
        self._task: Any = None

    async def start(self, starting: asyncio.Lock) -> Run:
        """Have the cluster start it, and give its record.

        Parameters
        ----------
        starting : asyncio.Lock
            Held while the SDK has the root of this run's code.

        Raises
        ------
        UnionRpcError
            When it could not be started.
        """
        asked = f"running {self._work.task}"
        values = await asyncio.to_thread(self._values)
        if self._work.settings.name:
            self._store.forget(self._work.settings.name)
        async with starting:
            made = await self._connection.call(
                asked, self._started, values, patience=START, hear=lambda said: None,
            )  # fmt: skip
        self._remote = made
        run = Run(made.name, self._work.task, "cluster", self._work.shown, self._work.version, address=made.url)
        run.log = self._store.log_of(run.name)
        root = action_of(made.pb2.action, task=self._work.task)
        root.queued = root.queued or now()
        self._store.add_run(run, self._work.notebook, "")
        self.recording = Recording(run, self._store, self._emit)
        self.recording.put(root, [])
        return run

    async def take_up(self, run: Run) -> Run:
        """Follow a run that an earlier process started, from where its record ends.

        Raises
        ------
        UnionRpcError
            When the cluster does not know it.
        """
        found = sdk.find("flyte.remote.Run").get
        self._remote = await self._connection.call(f"looking for run {run.name!r}", found, name=run.name)
        if self._translation is not None and self._work.live is not None:
            self._task = self._translation.task(self._work.live[0])
        self.recording = Recording(run, self._store, self._emit)
        return await self.follow()

    async def follow(self) -> Run:
        """Follow it to its end; cancelling that ends it in the cluster."""
        run = self.recording.run
        file = self._translation.file if self._translation is not None else None
        watching = Watching(self._connection, self.recording, self._remote.pb2.action.id, self._placed(), file)
        try:
            details = await watching.follow()
            await self._finish(details, watching.exception)
            if run.error is not None:
                run.error.remote_traceback = watching.traceback
        except asyncio.CancelledError:
            await self.abort()
            raise
        except UnionRpcError as error:
            run.error = error
        self.recording.end()
        return run

    async def abort(self) -> None:
        """End it in the cluster, and all that it has started."""
        run = self.recording.run
        run.error = ActionAbortedError(f"run {run.name} was cancelled")
        try:
            await self._connection.call(
                f"ending run {run.name!r}", _aborted, self._remote.pb2.action.id.run, patience=ABORT
            )
        except UnionRpcError as error:
            run.error = error
            self.recording.end()
            return
        for action in list(run.actions):
            if not action.phase.is_terminal:
                ended = action.copy()
                ended.phase, ended.ended, ended.error = Phase.ABORTED, now(), "ABORTED: the run was cancelled"
                self.recording.put(ended, [])
        self.recording.end()

    async def _finish(self, details: Any, exception: str) -> None:
        run, place = self.recording.run, self._placed()
        phase = phase_of(details.status.phase)
        if phase is not Phase.SUCCEEDED:
            code, message = error_of(details)
            code = exception if code == FAILED and exception else code
            run.error = _failure(phase, code, message, run.name, place)
            return
        value = await self._connection.call(f"reading what run {run.name!r} gave", self._outputs, patience=START)
        try:
            value = await asyncio.to_thread(self._passing.from_sdk, value)
        except Exception as error:  # the user's own classes
            told = f"the outputs of run {run.name} cannot be read here: {error}"
            run.error = RuntimeUserError(type(error).__name__, told)
            return
        run.result = Outputs.of(value, self._names(value))

    def _names(self, value: Any) -> tuple[str, ...]:
        if self._work.live is not None:
            return tuple(self._work.live[0].interface.outputs)
        return tuple(f"o{i}" for i in range(len(value))) if type(value) is tuple else ()

    def _placed(self) -> Callable[[str], str]:
        """Give what tells the lines of the module in cells."""
        if self._translation is None:
            return str
        return lambda text: in_cells(text, self._translation.file)  # type: ignore[union-attr]

    def _values(self) -> dict[str, Any]:
        if self._work.texts:
            raise UsageError("a task in a cluster takes values, not texts: call it from Python")
        given: dict[str, Any] = codec.decode(self._work.inputs) if self._work.live is None else self._work.live[1]
        return {name: self._passing.to_sdk(value) for name, value in given.items()}

    # --- what runs on the SDK's own loop ---

    async def _started(self, values: dict[str, Any]) -> Any:
        settings, options = self._work.settings, dict(self._work.settings.cluster)
        options |= {
            "name": settings.name or None, "env_vars": dict(settings.env_vars) or None,
            "project": settings.project or self._connection.project,
            "domain": settings.domain or self._connection.domain,
            "raw_data_path": settings.raw_data_path or None, "overwrite_cache": settings.overwrite_cache or None,
            "disable_run_cache": settings.disable_run_cache or None,
            "custom_context": dict(self._work.custom_context) or None,
            "notifications": translate(options.get("notifications")),
        }  # fmt: skip
        options = {name: value for name, value in options.items() if value is not None and value != ""}
        if self._translation is None:
            self._task = sdk.find("flyte.remote.Task").get(self._work.task, version=self._work.version)
            return await self._runner(options).run.aio(self._task, **values)
        assert self._work.live is not None
        self._task = self._translation.task(self._work.live[0])
        files, root = tuple(map(str, self._translation.files())), self._translation.root
        if options.get("copy_style") != "none":
            options |= {"copy_style": "custom", "_bundle_relative_paths": files, "_bundle_from_dir": root}
        with self._connection.rooted(root):
            return await self._runner(options).run.aio(self._task, **values)

    def _runner(self, options: dict[str, Any]) -> Any:
        """Give the SDK's runner, which sends the code as source, in a kernel, too."""
        make = sdk.find("flyte._run._Runner")
        for name in options.keys() - sdk.accepted(make):
            raise UsageError(
                f"flyte.with_runcontext({name}=): the installed Flyte SDK {sdk.version()} does not have it"
            )
        runner = make("remote", interactive_mode=False, preserve_original_types=True, **options)
        runner._interactive_mode = False  # a kernel counts as interactive in older versions, whatever they are told
        return runner

    async def _outputs(self) -> Any:
        from flyteidl2.dataproxy import dataproxy_service_pb2

        if self._translation is None:
            found = await self._remote.outputs.aio()
            return found[0] if len(found) == 1 else tuple(found)
        convert = sdk.find("flyte._internal.runtime.convert")
        request = dataproxy_service_pb2.GetActionDataRequest(action_id=self._remote.pb2.action.id)
        answer = await self._connection.client.dataproxy_service.get_action_data(request)
        return await convert.convert_outputs_to_native(self._task.native_interface, convert.Outputs(answer.outputs))


async def _aborted(run: Any) -> None:
    from flyteidl2.workflow import run_service_pb2

    request = run_service_pb2.AbortRunRequest(run_id=run, reason="cancelled from the notebook")
    await sdk.find("flyte._initialize.get_client")().run_service.abort_run(request)


def _failure(phase: Phase, code: str, message: str, run: str, place: Callable[[str], str]) -> BaseRuntimeError:
    """Make the error of a run that failed."""
    message = place(message).strip() or f"run {run} is {phase.value}, and the cluster does not say why"
    if phase is Phase.ABORTED:
        return ActionAbortedError(message)
    if phase is Phase.TIMED_OUT:
        return MaxRuntimeExceededError(message)
    if code.startswith(("Exit", "System")):
        return RuntimeSystemError(code, message)
    return by_code(RuntimeUserError(code or FAILED, message))
