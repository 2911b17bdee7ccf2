"""The log of what a client asked, call by call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: what a person wants to know of a request, as paths into it; of others the first few values
MAIN = {
    "ActionsService.Enqueue": ("action.action_id.name", "action.task.spec.task_template.id.name"),
    "ActionsService.WatchForUpdates": ("parent_action_id.name",),
    "AppService.Create": ("app.metadata.id.name", "app.spec.container.image"),
    "AppService.Delete": ("app_id.name",),
    "AppService.Get": ("app_id.name",),
    "AppService.Update": ("app.metadata.id.name", "app.spec.desired_state"),
    "AppService.Watch": ("app_id.name",),
    "ClusterService.SelectCluster": ("operation",),
    "DataProxyService.CreateUploadLocation": ("filename",),
    "DataProxyService.GetActionData": ("action_id.run.name", "action_id.name"),
    "DataProxyService.TailLogs": ("action_id.run.name", "action_id.name"),
    "DataProxyService.UploadInputs": ("task_id.name", "task_spec.task_template.id.name"),
    "PUT": ("name", "size"),
    "ProjectService.ListProjects": (),
    "RunService.AbortRun": ("run_id.name", "reason"),
    "RunService.CreateRun": ("task_id.name", "task_spec.task_template.id.name"),
    "RunService.GetRunDetails": ("run_id.name",),
    "RunService.WatchActionDetails": ("action_id.run.name", "action_id.name"),
    "SecretService.CreateSecret": ("id.name",),
    "TaskService.DeployTask": ("task_id.name", "task_id.version"),
    "TaskService.GetTaskDetails": ("task_id.name", "task_id.version"),
}
ROOM = 88


@dataclass
class Call:
    """One call: its number, what was asked, and the answer: ``ok``, ``open`` (of a stream), or the code of an error."""

    number: int
    rpc: str
    request: dict[str, Any]
    answer: str = ""

    def main(self) -> str:
        """Say what it was about."""
        paths = MAIN.get(self.rpc)
        values = [_at(self.request, path) for path in paths] if paths is not None else list(_leaves(self.request))[:3]
        return ", ".join(str(value) for value in values if value is not None)


class Calls(list[Call]):
    """All calls, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, rpc: str, request: dict[str, Any]) -> Call:
        """Note a call as it comes in."""
        with self._lock:
            call = Call(len(self) + 1, rpc, request)
            self.append(call)
        return call

    def of(self, rpc: str) -> list[Call]:
        """Give the calls of one kind, such as ``"TaskService.DeployTask"`` or ``"PUT"``."""
        return [call for call in list(self) if call.rpc == rpc]

    def told(self) -> str:
        """Give a table of text: number, call, what it was about, answer."""
        calls = list(self)
        wide = max((len(call.rpc) for call in calls), default=0)
        digits = len(str(len(calls)))
        rows = (f"{call.number:>{digits}}  {call.rpc:<{wide}}  {call.main():.{ROOM}}" for call in calls)
        answers = ("" if call.answer in ("ok", "open") else f"  -> {call.answer or 'no answer yet'}" for call in calls)
        return "\n".join(f"{row}{answer}".rstrip() for row, answer in zip(rows, answers, strict=True))


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value
