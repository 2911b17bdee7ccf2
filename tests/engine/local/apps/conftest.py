"""One engine for the tests of a module; each leaves it without an app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app_bench import AppBench


@pytest.fixture(scope="module")
def engine_of_apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppBench]:
    bench = AppBench(tmp_path_factory.mktemp("apps"))
    yield bench
    bench.close()


@pytest.fixture
def bench(engine_of_apps: AppBench, tmp_path: Path) -> Iterator[AppBench]:
    """An engine whose apps are in files of the test's own folder."""
    engine_of_apps.begin(tmp_path)
    yield engine_of_apps
    engine_of_apps.stop()
