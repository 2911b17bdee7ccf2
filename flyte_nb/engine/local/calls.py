"""Calls: one action to carry out, as it passes through the wrappers around its execution, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Action, Event, Outputs, Phase, Run, Work, now
from flyte_nb.engine.local.admission import Lease
from flyte_nb.engine.local.journal import Journal
from flyte_nb.engine.local.pool import Given
from flyte_nb.engine.local.redactor import Redactor
from flyte_nb.engine.local.replica import Output
from flyte_nb.engine.segments import Part, as_bytes
from flyte_nb.errors import BaseRuntimeError, RuntimeUserError, TaskTimeoutError

__all__ = ["Call", "Handler", "Outcome", "recorded"]

MOST_RUNS = 500  # that a worker is taken to know; it keeps more


@dataclass(eq=False)
class Call:
    """One action to carry out.

    Parameters
    ----------
    journal : Journal
        Where its run is recorded and told of.
    action : Action
        Its record.
    work : Work
        What is to be done.
    env : dict
        The environment variables that every process of the run has.
    output : callable
        Takes what it prints.
    """

    journal: Journal
    action: Action
    work: Work
    env: dict[str, str] = field(repr=False)
    output: Output = field(repr=False)
    #: the tasks that wait for this one: the first of the run, …, the one that called it
    callers: tuple[str, ...] = field(default=(), repr=False)
    #: the share of the machine of the call that called this one, and waits for it
    parent_lease: Lease | None = field(default=None, repr=False)
    #: its own share of the machine, and its worker; both are lent while it waits for tasks that it called
    lease: Lease | None = field(default=None, repr=False)
    given: Given | None = field(default=None, repr=False)
    #: whether its process has let go of the shared memory that held its inputs
    released: bool = False
    #: gives a text without the values of secrets
    clean: Callable[[str], str] = field(default=lambda text: text, repr=False)
    #: gives out what was held back of its output
    end_output: Callable[[], None] = field(default=lambda: None, repr=False)
    #: the work of each task that it has called, without inputs, by the number that its process gave the task
    called: dict[int, Work] = field(default_factory=dict, repr=False)
    steps: dict[str, Action] = field(default_factory=dict, repr=False)
    #: how many quick calls of warm workers it has made
    quick: int = 0
    _waits: int = 0

    def enter(self, phase: Phase, **changes: Any) -> None:
        """Enter a phase: record it and tell of it."""
        self.action.phase = phase
        for name, value in changes.items():
            setattr(self.action, name, value)
        self.journal.put(self.action)

    def context(self, known: set[str]) -> dict[str, Any]:
        """Give what the process of the call is told of its action, and of its run unless that is ``known`` to it."""
        own = {**self.told_of_run(known), "action": self.action.id, "attempt": self.action.attempt}
        if self.work.custom_context:
            own["custom_context"] = self.work.custom_context
        return own

    def told_of_run(self, known: set[str]) -> dict[str, Any]:
        """Give the name of its run, and what there is to tell of it unless that is ``known``, which it is then."""
        run = self.journal.context
        if run["run"] in known:
            return {"run": run["run"]}
        if len(known) >= MOST_RUNS:
            known.clear()
        known.add(run["run"])
        return {"run": run["run"], "of_run": run}

    def notice(self, text: str) -> None:
        """Record and tell something that whoever looks at the run should know."""
        if text not in self.action.notice:
            self.enter(self.action.phase, notice="\n".join(filter(None, (self.action.notice, text))))

    def redact(self, stdout: Redactor, stderr: Redactor) -> None:
        """Take the values of secrets out of what it prints and of what is told of it."""
        plain, redactors = self.output, {"stdout": stdout, "stderr": stderr}

        def output(stream: str, text: str) -> None:
            if clean := redactors[stream].feed(text):
                plain(stream, clean)

        def rest() -> None:
            for stream, redactor in redactors.items():
                if text := redactor.close():
                    plain(stream, text)

        self.output, self.end_output, self.clean = output, rest, stdout.redact

    def end(self, outcome: Outcome) -> None:
        """Record its end."""
        self.end_output()
        error = outcome.error
        if error is None:
            self.enter(Phase.SUCCEEDED, ended=now())
        else:
            phase = Phase.TIMED_OUT if isinstance(error, TaskTimeoutError) else Phase.FAILED
            self.enter(phase, ended=now(), error=self.clean(f"{error.code}: {error}"))

    def abort(self, why: str) -> None:
        """Record that it was ended."""
        self.enter(Phase.ABORTED, ended=now(), error=f"ABORTED: {why}")

    def step(self, told: dict[str, Any]) -> None:
        """Record a step of the task that is traced: its start or its end, as its process tells; or a notice."""
        if "notice" in told:
            self.notice(self.clean(told["notice"]))
            return
        error = told.get("error", "")
        phase = Phase(told["phase"])
        if phase is Phase.RUNNING:
            self.steps[told["action"]] = self.journal.new_step(told["action"], told["name"], told["parent"])
        action = self.steps.get(told["action"])
        if action is not None:
            action.phase, action.error = phase, error
            action.ended = now() if phase.is_terminal else None
            self.journal.put(action)

    def waits(self) -> None:
        """Note that a task that it called starts."""
        self._waits += 1
        if self._waits == 1:
            if self.lease is not None:
                self.lease.lend()
            if self.given is not None:
                self.given.lend()

    def goes_on(self) -> None:
        """Note that a task that it called has ended."""
        self._waits -= 1
        if self._waits == 0:
            if self.lease is not None:
                self.lease.take_back()
            if self.given is not None:
                self.given.take_back()


@dataclass(frozen=True)
class Outcome:
    """What became of a call: the encoded value, or the error.

    Parameters
    ----------
    parts : tuple of bytes-like
        The encoded value.
    names : tuple of str
        The names of its outputs.
    error : BaseRuntimeError, optional
        What failed it.
    cause : tuple of bytes-like
        The encoded exception that the task raised, for a task that called it.
    """

    parts: tuple[Part, ...] = ()
    names: tuple[str, ...] = ()
    error: BaseRuntimeError | None = None
    cause: tuple[Part, ...] = ()

    def kept(self) -> tuple[bytes, ...]:
        """Give the value as it is kept, the names of the outputs first."""
        return (json.dumps(self.names).encode(), *map(as_bytes, self.parts))

    def tell(self, run: Run) -> None:
        """Tell a run what became of it, its error or what its task returned; and those who follow it that it did."""
        self._settle(run)
        run.observers.tell(Event(run.name, run.root.copy()))

    def _settle(self, run: Run) -> None:
        run.error = self.error
        if self.error is not None:
            return
        try:
            value = codec.decode(self.parts, last=True)
        except Exception as error:  # a class that this process does not have, or one whose __setstate__ raises
            run.error = RuntimeUserError(
                "ResultUnreadable",
                f"{run.task} succeeded, but what it returned cannot be read here: {error}. Return plain data, or "
                "import the class where the result is used",
            )
            return
        run.result = Outputs.of(value, self.names)


Handler = Callable[[Call], Awaitable[Outcome]]


def recorded(handle: Handler) -> Handler:
    """Wrap a handler: the end of a call is recorded and told, whatever it is."""

    async def record(call: Call) -> Outcome:
        try:
            outcome = await handle(call)
        except BaseException as stopped:
            call.abort("the run was cancelled" if isinstance(stopped, asyncio.CancelledError) else repr(stopped))
            raise
        call.end(outcome)
        return outcome

    return record
