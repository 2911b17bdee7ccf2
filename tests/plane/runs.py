"""Runs: asked for by clients (RunService), and the tasks that tasks call (ActionsService)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.actions import actions_service_pb2 as calls
from flyteidl2.actions.actions_service_connect import ActionsService
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2 as messages
from flyteidl2.workflow.run_service_connect import RunService

from plane.actions import SUCCEEDED, Action, Actions
from plane.bucket import Bucket
from plane.tasks import Tasks

ROOT = "a0"


class Runs(RunService):
    """The runs; each is its first action, and those that this one calls."""

    def __init__(self, actions: Actions, tasks: Tasks, bucket: Bucket) -> None:
        self._actions, self._tasks, self._bucket = actions, tasks, bucket

    async def create_run(self, request: Any, ctx: Any) -> Any:
        run = _identifier(request)
        is_sent = request.HasField("task_spec")
        spec = request.task_spec if is_sent else self._tasks.newest(request.task_id).spec
        inputs = request.offloaded_input_data.uri or self._kept(request.inputs, run.name)
        env_vars = {row.key: row.value for row in request.run_spec.envs.values}
        place = identifier_pb2.ActionIdentifier(run=run, name=ROOT)
        action = Action(place, spec, inputs, self._bucket.uri(f"runs/{run.name}"), env_vars=env_vars)
        self._actions.start(action)
        answer = messages.CreateRunResponse()
        action.row(answer.run.action)
        return answer

    def _kept(self, inputs: Any, run: str) -> str:
        uri = self._bucket.uri(f"inputs/{run}/inputs.pb")
        file = self._bucket.file(uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(inputs.SerializeToString())
        return uri

    async def get_run_details(self, request: Any, ctx: Any) -> Any:
        answer = messages.GetRunDetailsResponse()
        self._root(request.run_id).details(answer.details.action)
        return answer

    async def watch_run_details(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        action = self._root(request.run_id)
        async for _ in self._actions.changes():
            answer = messages.WatchRunDetailsResponse()
            action.details(answer.details.action)
            yield answer
            if action.ended:
                return

    async def get_action_details(self, request: Any, ctx: Any) -> Any:
        answer = messages.GetActionDetailsResponse()
        self._actions.get(request.action_id).details(answer.details)
        return answer

    async def watch_action_details(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        action = self._actions.get(request.action_id)
        told = None
        async for _ in self._actions.changes():
            if (action.phase, action.attempt) != told:
                told = action.phase, action.attempt
                answer = messages.WatchActionDetailsResponse()
                action.details(answer.details)
                yield answer
            if action.ended:
                return

    async def list_actions(self, request: Any, ctx: Any) -> Any:
        answer = messages.ListActionsResponse()
        for action in self._actions.of(request.run_id.name):
            action.row(answer.actions.add())
        return answer

    async def list_runs(self, request: Any, ctx: Any) -> Any:
        answer = messages.ListRunsResponse()
        for action in reversed(self._actions.roots()):
            action.row(answer.runs.add().action)
        return answer

    async def abort_run(self, request: Any, ctx: Any) -> Any:
        self._root(request.run_id)
        for action in self._actions.of(request.run_id.name):
            self._actions.abort(action)
        return messages.AbortRunResponse()

    async def abort_action(self, request: Any, ctx: Any) -> Any:
        self._actions.abort(self._actions.get(request.action_id))
        return messages.AbortActionResponse()

    def _root(self, run: Any) -> Action:
        return self._actions.get(identifier_pb2.ActionIdentifier(run=run, name=ROOT))


def _identifier(request: Any) -> Any:
    """Give the identifier of a new run: what was asked for, or a new name in a project."""
    if request.HasField("run_id"):
        return request.run_id
    project, name = request.project_id, f"r{uuid.uuid4().hex[:19]}"
    return identifier_pb2.RunIdentifier(
        org=project.organization, project=project.name, domain=project.domain, name=name
    )


class Called(ActionsService):
    """What the runtime in a container asks: tasks that its task calls."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions

    async def enqueue(self, request: Any, ctx: Any) -> Any:
        asked = request.action
        if asked.WhichOneof("spec") != "task":
            raise ConnectError(Code.UNIMPLEMENTED, f"the stand-in takes tasks, not {asked.WhichOneof('spec')}")
        place, env_vars = asked.action_id, {}
        parent = identifier_pb2.ActionIdentifier(run=place.run, name=asked.parent_action_name)
        env_vars = self._actions.get(parent).env_vars
        self._actions.start(
            Action(place, asked.task.spec, asked.input_uri, asked.run_output_base, asked.parent_action_name, env_vars)
        )
        return calls.EnqueueResponse()

    async def abort(self, request: Any, ctx: Any) -> Any:
        self._actions.abort(self._actions.get(request.action_id))
        return calls.AbortResponse()

    async def watch_for_updates(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        parent, told, is_first = request.parent_action_id, dict[str, int](), True
        async for _ in self._actions.changes():
            for action in self._actions.of(parent.run.name):
                if action.parent == parent.name and told.get(action.id.name) != action.phase:
                    told[action.id.name] = action.phase
                    yield _update(action)
            if is_first:  # what was before has been told; all else is new
                answer, is_first = calls.WatchForUpdatesResponse(), False
                answer.control_message.sentinel = True
                yield answer


def _update(action: Action) -> Any:
    answer = calls.WatchForUpdatesResponse()
    told = answer.action_update
    told.action_id.CopyFrom(action.id)
    told.phase = action.phase
    if action.phase == SUCCEEDED:
        told.output_uri = action.outputs  # the runtime adds the name of the file
    if action.error is not None:
        told.error.CopyFrom(action.error)
    return answer
