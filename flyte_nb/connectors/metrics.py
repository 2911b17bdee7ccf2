"""Metrics: what the connector server counts for Prometheus, under the names that the Flyte SDK's server has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter, Summary, start_http_server

__all__ = ["measured", "note_failure", "note_inputs", "start_metrics"]

_PREFIX = "flyte_connector_"
_CALL = ["task_type", "operation"]
_done = Counter(f"{_PREFIX}requests_success_total", "Requests that were answered.", _CALL)
_failed = Counter(f"{_PREFIX}requests_failure_total", "Requests that failed.", [*_CALL, "error_code"])
_seconds = Summary(f"{_PREFIX}request_latency_seconds", "Seconds that a request took.", _CALL)
_bytes = Summary(f"{_PREFIX}input_literal_bytes", "Bytes that the inputs of a task have.", ["task_type"])


@contextmanager
def measured(task_type: str, operation: str) -> Iterator[None]:
    """Measure a request, and count it where it succeeds."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _seconds.labels(task_type, operation).observe(time.perf_counter() - began)
    _done.labels(task_type, operation).inc()


def note_failure(task_type: str, operation: str, status: HTTPStatus) -> None:
    """Count a request that failed."""
    _failed.labels(task_type, operation, str(status.value)).inc()


def note_inputs(task_type: str, size: int) -> None:
    """Take note of the size of a task's inputs."""
    _bytes.labels(task_type).observe(size)


def start_metrics(host: str, port: int) -> Any:
    """Publish the metrics over HTTP, in a thread; give the server.

    Raises
    ------
    OSError
        When the port is taken.
    """
    server, _ = start_http_server(port, host)
    return server
