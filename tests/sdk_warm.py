"""A process that has imported what the SDK imports of others, and forks for each container: that is most of its start.

The SDK itself, which starts a thread as it is imported, and the modules of tasks are imported in each fork anew.
Each line it reads is a container to start; each line it writes tells that one has started, or has ended.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import selectors
import signal
import sys
import threading
from typing import Any

#: what the SDK's runtime imports in every container; another version may lack some
OTHERS = (
    "aiofiles", "aiolimiter", "asyncio", "async_lru", "click", "cloudpickle", "connectrpc.client",
    "docstring_parser", "fsspec", "httpx", "mashumaro.codecs.json", "mashumaro.codecs.msgpack",
    "mashumaro.jsonschema", "msgpack", "obstore.fsspec", "obstore.store", "pydantic.json_schema", "pydantic.main",
    "pyqwest", "rich.console", "rich.logging", "rich.pretty", "rich.progress", "rich.tree", "tarfile", "yaml",
    "flyteidl2.actions.actions_service_connect", "flyteidl2.app.app_logs_service_connect",
    "flyteidl2.app.app_service_connect", "flyteidl2.auth.auth_service_connect", "flyteidl2.auth.identity_connect",
    "flyteidl2.cluster.service_connect", "flyteidl2.dataproxy.dataproxy_service_connect",
    "flyteidl2.imagebuilder.service_connect", "flyteidl2.project.project_service_connect",
    "flyteidl2.secret.secret_connect", "flyteidl2.settings.settings_service_connect",
    "flyteidl2.task.task_service_connect", "flyteidl2.trigger.trigger_service_connect",
    "flyteidl2.workflow.queue_service_pb2", "flyteidl2.workflow.run_logs_service_connect",
    "flyteidl2.workflow.run_service_connect",
)  # fmt: skip


def main() -> None:
    for name in OTHERS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()  # a fork would lack the others
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running, asked = dict[int, int](), b""
    selector = selectors.DefaultSelector()
    for end in (0, woken):
        selector.register(end, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            found = os.read(key.fd, 65536)
            if key.fd == woken:
                reap(running)
            elif not found:
                return
            else:
                *lines, asked = (asked + found).split(b"\n")
                for line in lines:
                    start(json.loads(line), running)


def start(container: dict[str, Any], running: dict[int, int]) -> None:
    pid = os.fork()
    if pid == 0:
        become(container)
    running[pid] = container["number"]
    tell(number=container["number"], pid=pid)


def reap(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        tell(number=running.pop(pid), code=os.waitstatus_to_exitcode(status))


def tell(**facts: int) -> None:
    os.write(1, (json.dumps(facts) + "\n").encode())


def become(container: dict[str, Any]) -> None:
    """Be the process of a container, from here to its end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(container["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(container["work"])
    os.environ.clear()
    os.environ.update(container["env_vars"])
    sys.argv = container["words"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit(0)


if __name__ == "__main__":
    main()
