"""Scratch: a folder while it is used, and nothing after it, however its process ended."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

import pytest
from flyte_nb.plugins import scratch as module
from flyte_nb.plugins.scratch import scratch

from scripts import ran

LEAVES = (
    "import os\nfrom flyte_nb.plugins.scratch import scratch\nwith scratch({name!r}) as f:\n print(f)\n os._exit(1)"
)


@pytest.fixture
def name() -> str:
    return f"test{uuid.uuid4().hex[:8]}"


def test_a_folder_is_private_and_goes_with_the_block(name: str) -> None:
    with scratch(name) as folder:
        assert name in folder.name
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").write_text("a")
    assert not folder.exists()


def test_what_an_ended_process_left_goes_with_the_next_and_what_is_used_stays(name: str, tmp_path: Path) -> None:
    left = Path(ran(["-c", LEAVES.format(name=name)], tmp_path).stdout.strip())
    assert left.is_dir()
    with scratch(name) as used:
        assert not left.exists()
        with scratch(name):
            assert used.is_dir()


def test_a_folder_that_is_just_made_stays_and_an_old_one_without_a_lock_goes(name: str) -> None:
    made = Path(tempfile.mkdtemp(prefix=f"flyte-nb-{name}-"))
    with scratch(name):
        assert made.is_dir()
    os.utime(made, (0, 0))
    with scratch(name):
        assert not made.exists()


def test_the_path_is_short_enough_for_sockets(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 20)))
    with scratch(name) as folder:
        assert len(str(folder)) < module.LONGEST + 30
        assert folder.parent == Path("/tmp")
