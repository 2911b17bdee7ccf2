"""A kernel whose widgets a test moves: it sends the messages of a front end, without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbclient.util import run_sync

from kernels import Kernel, new_kernel


class WidgetClient(NotebookClient):
    """Drives the widgets of a real kernel.

    ``traffic`` counts the bytes of the comm messages that the kernel has sent.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.traffic = self.messages = 0

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"].startswith("comm_"):
            self.messages += 1
            self.traffic += len(str(msg["content"])) + sum(len(buffer) for buffer in msg.get("buffers", ()))
        if msg["msg_type"] == "comm_close":
            self.widget_state.pop(msg["content"]["comm_id"], None)
        return super().process_message(msg, cell, cell_index)

    def found(self, **wanted: Any) -> list[str]:
        """Give the models whose state has the values."""
        return [
            model for model, state in self.widget_state.items() if all(state.get(k) == v for k, v in wanted.items())
        ]

    def one(self, **wanted: Any) -> str:
        """Give the only model whose state has the values."""
        found = self.found(**wanted)
        assert len(found) == 1, (wanted, len(found))
        return found[0]

    def state(self, **wanted: Any) -> dict[str, Any]:
        """Give the state of the only model whose state has the values."""
        return dict(self.widget_state[self.one(**wanted)])

    def html(self) -> str:
        """Give the HTML of all widgets that show some."""
        return "\n".join(s["value"] for s in self.widget_state.values() if s.get("_model_name") == "HTMLModel")

    def set(self, model: str, **state: Any) -> None:
        """Change a widget's state as a person does, and wait until the kernel has answered."""
        run_sync(self._send)(model, {"method": "update", "state": state, "buffer_paths": []})

    def click(self, model: str) -> None:
        """Press a button, and wait until the kernel has answered."""
        run_sync(self._send)(model, {"method": "custom", "content": {"event": "click"}})

    def press(self, description: str) -> None:
        """Press the only button of a description."""
        self.click(self.one(description=description, _model_name="ButtonModel"))

    def wait(self, until: Callable[[], bool], timeout: float = 30) -> None:
        """Let messages in until something holds."""
        run_sync(self._pump)(until, timeout)

    async def _send(self, model: str, data: dict[str, Any]) -> None:
        assert self.kc is not None
        message = self.kc.session.msg("comm_msg", {"comm_id": model, "data": data})
        self.kc.shell_channel.send(message)
        number = message["header"]["msg_id"]
        while True:
            heard = await self.kc.get_iopub_msg(timeout=60)
            if not self._take(heard) and heard["parent_header"].get("msg_id") == number:
                return

    async def _pump(self, until: Callable[[], bool], timeout: float) -> None:
        assert self.kc is not None
        end = time.monotonic() + timeout
        while not until():
            self._take(await self.kc.get_iopub_msg(timeout=max(0.01, end - time.monotonic())))

    def _take(self, heard: Any) -> bool:
        """Take in a message; tell whether it is another than the end of what the kernel did."""
        last = len(self.nb.cells) - 1
        try:
            self.process_message(heard, self.nb.cells[last], last)
        except CellExecutionComplete:
            return False
        return True


@contextmanager
def widget_kernel(folder: Path) -> Iterator[tuple[Kernel, WidgetClient]]:
    """Start a kernel in a folder that takes its store, with its widgets to move."""
    with new_kernel(folder, WidgetClient) as kernel:
        assert isinstance(kernel.client, WidgetClient)
        yield kernel, kernel.client
