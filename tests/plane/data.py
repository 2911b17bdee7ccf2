"""What goes in and comes out: upload locations, inputs, outputs, and the logs of actions."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from flyteidl2.dataproxy import dataproxy_service_pb2 as messages
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyService

from plane.actions import Actions
from plane.bucket import Bucket
from plane.containers import followed


class Data(DataProxyService):
    """Files of the bucket, by what they belong to."""

    def __init__(self, bucket: Bucket, actions: Actions) -> None:
        self._bucket, self._actions = bucket, actions

    async def create_upload_location(self, request: Any, ctx: Any) -> Any:
        content = base64.b32encode(request.content_md5).decode().rstrip("=").lower()
        root = request.filename_root or content or uuid.uuid4().hex
        path = f"{request.project}/{request.domain}/{root}/{request.filename}"
        answer = messages.CreateUploadLocationResponse(
            signed_url=f"{self._bucket.url}/{path}?X-Signature=signed", native_url=self._bucket.uri(path)
        )
        answer.expires_at.FromSeconds(int(time.time()) + 3600)
        return answer

    async def upload_inputs(self, request: Any, ctx: Any) -> Any:
        content = request.inputs.SerializeToString(deterministic=True)
        digest = hashlib.sha256(content).hexdigest()[:16]
        uri = self._bucket.uri(f"inputs/{digest}/inputs.pb")
        file = self._bucket.file(uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        answer = messages.UploadInputsResponse()
        answer.offloaded_input_data.uri, answer.offloaded_input_data.inputs_hash = uri, digest
        return answer

    async def get_action_data(self, request: Any, ctx: Any) -> Any:
        action = self._actions.get(request.action_id)
        answer = messages.GetActionDataResponse()
        if "inputs_uri" in answer.DESCRIPTOR.fields_by_name:  # not in older versions
            answer.inputs_uri, answer.outputs_uri = action.inputs, f"{action.outputs}/outputs.pb"
        for told, file in ((answer.inputs, self._bucket.file(action.inputs)),
                           (answer.outputs, action.folder / "outputs.pb")):  # fmt: skip
            if file.exists():
                told.ParseFromString(file.read_bytes())
        return answer

    async def tail_logs(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        action = self._actions.get(request.action_id)
        log = action.folder / f"attempt-{request.attempt or 1}" / "log.txt"
        async for lines in followed(log, lambda: bool(action.ended)):
            answer = messages.TailLogsResponse()
            rows = answer.logs.add().lines
            for line in lines:
                rows.add().message = line
            yield answer
