"""Replica: one process that serves an app, from its start until it is cleared away."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from flyte_nb.engine.base import Work, now
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.local.apps.failures import LINES, AppFailure, exit_told, failed_told
from flyte_nb.engine.local.apps.grounds import Grounds
from flyte_nb.engine.local.apps.log import AppLog, Writer
from flyte_nb.engine.local.apps.ports import free_port, give_back, listening_ports
from flyte_nb.engine.local.apps.probing import answers
from flyte_nb.engine.local.apps.process import AppProcess
from flyte_nb.engine.local.apps.spec import AppPhase, Limits, ReplicaRecord, Spec
from flyte_nb.engine.local.apps.traffic import Backend
from flyte_nb.engine.local.apps.waiting import Patience, heard, within
from flyte_nb.engine.local.limits import out_of_memory
from flyte_nb.engine.local.redactor import Redactor
from flyte_nb.engine.local.replica import Died

__all__ = ["AppReplica"]

FIRST, SLOWEST = 0.01, 0.1  # seconds between two looks whether it answers
ELSEWHERE = 1.0  # seconds after which its ports are looked at
LEAVING = 1.0  # seconds that a process may take to end once it has nothing left to do
MARGIN = 1.0  # seconds beyond its limits, in which it ends itself

Heard = Callable[[], None]


def _close(writer: Writer, stream: str, redactor: Redactor) -> None:
    """Give out what was held back of a stream."""
    writer(stream, redactor.close())


class AppReplica:
    """One replica of an app.

    Parameters
    ----------
    id : str
        Its name, which no other replica of the app ever has.
    spec : Spec
        What it serves.
    folder : Path
        Its own, which goes with it.
    grounds : Grounds
        What it stands on.
    log : AppLog
        Takes what it prints.
    heard : callable
        Hears when something about it has changed.
    env : dict of str to str, optional
        Variables of its process, which those of the app go over.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - a backend's own word
        spec: Spec,
        folder: Path,
        grounds: Grounds,
        log: AppLog,
        heard: Heard,
        env: dict[str, str] | None = None,
    ) -> None:
        self.id, self.spec, self.log = id, spec, log
        self.phase, self.since, self.note = AppPhase.STARTING, now(), ""
        #: whether it is not offered to requests any more
        self.is_leaving = False
        #: what starts it, where nobody waits for that
        self.starting: asyncio.Task[None] | None = None
        #: why it ended, or did not start
        self.failure: AppFailure | None = None
        #: the last lines that it printed
        self.printed: deque[str] = deque(maxlen=LINES)
        self._folder, self._grounds, self._heard, self._env = folder, grounds, heard, env or {}
        self._clock = asyncio.get_running_loop().time
        self.ready_at = 0.0
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()
        self._process: AppProcess | None = None
        self._program = 0  # the process of its command
        self._is_serving = False
        self._port, self._host = 0, ""
        self._cleared: asyncio.Task[None] | None = None

    # --- what it is ---

    @property
    def record(self) -> ReplicaRecord:
        """What there is to show of it."""
        pid = self._process.pid if self._process is not None else 0
        return ReplicaRecord(self.id, self.phase, pid, self._port, self.spec.version, self.since, self.note)

    @property
    def backend(self) -> Backend:
        """Where requests reach it."""
        return Backend(self.id, self._host, self._port)

    @property
    def has_ended(self) -> bool:
        """Whether its process has ended by itself."""
        return self._process is not None and self._process.process.ended.done()

    @property
    def waits(self) -> bool:
        """Whether it waits for a share of the machine."""
        return self.note.startswith("waiting for")

    def is_frozen(self) -> bool:
        """Tell whether somebody has stopped its process, which then answers nobody."""
        if self._process is None or self.has_ended:
            return False
        with contextlib.suppress(psutil.Error):
            pids = filter(None, (self._process.pid, self._program))
            return any(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids)
        return False

    def _write(self, line: str) -> None:
        self.printed.append(line)
        self.log.write(self.id, line)

    def say(self, text: str) -> None:
        """Put a line of the service's own into the log."""
        self.log.write("service", f"{self.id}: {text}")

    # --- its start ---

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises
        ------
        AppFailure
            When it does not; nothing of it is left then.
        BaseRuntimeError, UsageError
            When what it stands on cannot be had.
        """
        try:
            await self._start()
        except BaseException as error:
            if isinstance(error, AppFailure):
                self.failure = error
            await self.stop()
            raise
        self.ready_at = self._clock()
        self._enter(AppPhase.ACTIVE)

    async def _start(self) -> None:
        spec = self.spec
        redactors = self._grounds.redactors(spec)
        writer = Writer(self._write, lambda stream, text: redactors[stream].feed(text))
        self._stack.callback(writer.close)
        for stream, redactor in redactors.items():
            self._stack.callback(_close, writer, stream, redactor)
        self._clean = redactors["stdout"].redact
        self._port = free_port()
        self._stack.callback(give_back, self._port)
        around = self._grounds.around(spec, self._folder, self._port, self.say, self._wait_for)
        need, values = await self._stack.enter_async_context(around)
        need = replace(need, env={**self._env, **need.env})
        process = self._process = await self._grounds.pool.start(need, writer, AppProcess)
        process.told = self._hear
        process.process.ended.add_done_callback(self._ended)
        await self._load(process)
        limits = {"server": spec.limits.server, "shutdown": spec.limits.shutdown}
        process.serve({"app": spec.name, "module": spec.definition.module, "declared": spec.declared,
                       "command": list(spec.command), "port": spec.port, "used": self._port,
                       "parameters": values.texts, "limits": limits})  # fmt: skip
        await self._until_ready(process)

    async def _load(self, process: AppProcess) -> None:
        """Have the process load the app's definitions, as a task's does."""
        found = self.spec.definition
        definition = found if self.spec.declared else Definition(folder=found.folder, inside=found.inside)
        limit = self.spec.limits.activate
        try:
            head, _ = await within(process.load(Work(self.spec.name, definition, ())), limit)
        except asyncio.TimeoutError:
            raise AppFailure(f"loading its definitions took longer than {limit:g} s") from None
        except Died as died:
            raise self._death(died.exit_code) from None
        if head.get("failed"):
            raise self._told_failure({"stage": "load", **head})

    async def _until_ready(self, process: AppProcess) -> None:
        patience, pause, looked = Patience(self.spec.limits.activate), FIRST, self._clock()
        while not await self._answers():
            if self.failure is not None:
                raise self.failure
            if process.process.ended.done():
                raise self._death(process.process.ended.result())
            if patience.is_over():
                raise await self._late(process)
            if self._is_serving and self._clock() - looked > ELSEWHERE:
                looked = self._clock()
                await self._look_elsewhere(process)
            self._news.clear()
            await heard(self._news, pause)
            pause = min(pause * 1.3, SLOWEST)

    async def _answers(self) -> bool:
        if not self._is_serving or self.failure is not None or self.has_ended:
            return False
        host = await answers(self._port, self.spec.health_path)
        self._host = host or ""
        return host is not None and not self.has_ended

    async def _look_elsewhere(self, process: AppProcess) -> None:
        """Take the port that it asked for, where it got that itself: its sockets are not Python's."""
        found = await asyncio.to_thread(listening_ports, process.pid)
        if self.spec.port in found and self._port not in found:
            give_back(self._port)
            self._port = self.spec.port
            self.say(f"listens on port {self._port} itself, which cannot be mapped: there can be no second replica")

    async def _late(self, process: AppProcess) -> AppFailure:
        limit, port = f"{self.spec.limits.activate:g} s", self.spec.port
        if not self._is_serving:
            return AppFailure(f"on_startup did not end within {limit}")
        found = sorted(await asyncio.to_thread(listening_ports, process.pid) - {self._port})
        if self._host or (self.spec.health_path and await answers(self._port)):
            return AppFailure(f"{self.spec.health_path} was not answered with a status below 500 within {limit}")
        hint = f"; it listens on {', '.join(map(str, found))}: declare port={found[0]}" if found else ""
        return AppFailure(f"nothing listens on port {port} within {limit}{hint}")

    # --- what it tells ---

    def _hear(self, told: dict[str, Any]) -> None:
        state = told["state"]
        if state == "serving":
            self._is_serving, self._program = True, told.get("process", 0)
        elif state == "failed":
            failure = self._told_failure(told)
            self.say(failure.why)
            for line in failure.trace.splitlines():
                self.say(line)
            if told["stage"] != "on_shutdown":
                self.failure = failure
        elif state == "ended":
            self.failure = AppFailure("its server returned")
        elif state == "stuck":
            what = "on_shutdown" if told["stage"] == "on_shutdown" else "its server"
            self.say(f"{what} did not end within {told['limit']:g} s")
        elif state == "over":
            self._over.set()
        self._news.set()

    def _told_failure(self, told: dict[str, Any]) -> AppFailure:
        failure = failed_told(told, self.spec.definition, self.spec.source)
        return AppFailure(self._clean(failure.why), self._clean(failure.trace))

    def _death(self, code: int) -> AppFailure:
        if self.failure is not None:
            return self.failure
        exceeded = self._process.exceeded if self._process is not None else None
        return AppFailure(str(out_of_memory(exceeded)) if exceeded is not None else exit_told(code))

    def _ended(self, _: object) -> None:
        self._news.set()
        self._over.set()
        self._heard()

    def _wait_for(self, why: str) -> None:
        if why and why != self.note:
            self.say(why)
        self.note = why
        self._heard()

    def _enter(self, phase: AppPhase, note: str = "") -> None:
        self.phase, self.since, self.note = phase, now(), note
        self._heard()

    # --- its end ---

    def why_ended(self) -> AppFailure:
        """Say why it has ended by itself."""
        assert self._process is not None
        return self._death(self._process.process.ended.result())

    async def stop(self, limits: Limits | None = None) -> None:
        """Ask it to stop, wait for its shutdown hook, and clear it away; at the latest when its limits have passed.

        Parameters
        ----------
        limits : Limits, optional
            Others than the app's own.
        """
        process, limits = self._process, limits or self.spec.limits
        self._enter(AppPhase.STOPPING, self.note)
        if process is not None and not self.has_ended:
            process.ask_to_stop({"server": limits.server, "shutdown": limits.shutdown})
            most = limits.server + limits.shutdown + MARGIN
            if not await process.wait(LEAVING if await heard(self._over, most) else 0):
                self.say("was killed: its process did not end")
        await self.clear()

    async def clear(self) -> None:
        """End its process at once, and give back all that it had; a second call waits for the first."""
        if self._cleared is None:
            self._cleared = asyncio.create_task(self._clear())
        await asyncio.shield(self._cleared)

    async def _clear(self) -> None:
        try:
            if self._process is not None:
                await self._process.kill()
                self._grounds.pool.forget(self._process)
        finally:
            await self._stack.aclose()
            self._enter(AppPhase.FAILED if self.failure is not None else AppPhase.STOPPED, self.note)
