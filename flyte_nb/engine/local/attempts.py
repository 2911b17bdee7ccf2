"""Attempts: a failed call is tried again, within its deadline and with its backoff."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from flyte_nb.engine.local.calls import Call, Handler, Outcome
from flyte_nb.engine.policy import seconds
from flyte_nb.environments.policies import RetryStrategy
from flyte_nb.errors import (
    BaseRuntimeError,
    DeadlineExceededError,
    NonRecoverableError,
    RetriesExhaustedError,
    RuntimeDataValidationError,
)

__all__ = ["in_time", "retried"]

T = TypeVar("T")
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds, where no backoff is declared
_FINAL = (NonRecoverableError, RuntimeDataValidationError, DeadlineExceededError)


def retried(handle: Handler) -> Handler:
    """Wrap a handler: attempts follow each other until one succeeds, they are used up, or the deadline has come."""

    async def retry(call: Call) -> Outcome:
        policy = call.work.policy
        if policy.retries is None and policy.timeout is None:
            return await handle(call)
        deadline = seconds(policy.timeout.deadline) if policy.timeout is not None else None
        attempts = _attempts(call, handle, policy.retries or RetryStrategy(0))
        late = DeadlineExceededError(f"{call.work.task}: the deadline of {deadline:g} s has passed" if deadline else "")
        try:
            return await in_time(attempts, deadline, late)
        except DeadlineExceededError as error:
            return Outcome(error=error)

    return retry


async def _attempts(call: Call, handle: Handler, strategy: RetryStrategy) -> Outcome:
    for number in range(strategy.count + 1):
        call.action.attempt = number
        outcome = await handle(call)
        if outcome.error is None or isinstance(outcome.error, _FINAL):
            return outcome
        if number < strategy.count:
            wait = delay(strategy, number)
            call.journal.put_attempt(call.action, said(outcome.error))
            call.output("stderr", f"attempt {number + 1} of {strategy.count + 1} failed: {said(outcome.error)}; "
                                  f"the next one in {wait:g} s\n")  # fmt: skip
            await asyncio.sleep(wait)
    return outcome if strategy.count == 0 else _exhausted(outcome, strategy.count + 1)


def delay(strategy: RetryStrategy, number: int) -> float:
    """Give the seconds to wait after the failed attempt ``number``, counted from 0."""
    if strategy.backoff is not None:
        return strategy.backoff.compute_delay(number).total_seconds()
    return float(min(FIRST_WAIT * 2**number, LONGEST_WAIT))


def said(error: BaseRuntimeError) -> str:
    """Word an error on one short line."""
    return f"{error.code}: {error}".splitlines()[0][:200]


def _exhausted(outcome: Outcome, attempts: int) -> Outcome:
    """Tell the last error as the one that used up the attempts; its code and its cause stay."""
    last = outcome.error
    assert last is not None
    if type(last).__name__ not in ("RuntimeUserError", "TaskProcessError", "RetriesExhaustedError"):
        return outcome  # a class that says more: out of memory, out of time
    error = RetriesExhaustedError(last.code, f"{last} (attempt {attempts} of {attempts})")
    error.__cause__ = last.__cause__ or last
    error.remote_traceback = last.remote_traceback
    return Outcome(error=error, cause=outcome.cause)


async def in_time(work: Awaitable[T], limit: float | None, late: BaseRuntimeError) -> T:
    """Await work for so many seconds at most, without a limit when None; then it is cancelled.

    Whoever is cancelled here ends as cancelled, also where the work is done at that moment: ``asyncio.wait_for`` of
    Python before 3.12 would go on. A ``TimeoutError`` of the work's own is its own.

    Raises
    ------
    BaseRuntimeError
        ``late``, when the time is over.
    """
    if limit is None:
        return await work
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
        if not done:
            task.cancel()
            await asyncio.wait({task})  # it cleans up first
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
    if not done and task.cancelled():
        raise late
    return task.result()
