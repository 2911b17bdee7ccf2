"""Weight: a bundle that is too large is refused, with what makes it so."""

from __future__ import annotations

from pathlib import Path

import pytest
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.files import shipped
from flyte_nb.plan.weight import insist_light, parts, weight


def test_the_largest_parts_are_told(tmp_path: Path) -> None:
    files = []
    for size in range(1, 7):
        path = tmp_path / f"f{size}.bin"
        path.write_bytes(b"x" * size * 1000)
        files.append(shipped(path.name, path, "included by 'e'"))
    module = Module("x = 1\n", (Captured("model", b"1" * 4500, "In [3], line 1"),))
    bundle = Bundle("v1", module, (), tuple(files))
    assert weight(bundle) == 6 + 4500 + 21_000
    assert [name for name, _, _ in parts(bundle)[:3]] == ["f6.bin", "f5.bin", "model"]
    insist_light(bundle, weight(bundle))
    with pytest.raises(DeploymentError) as raised:
        insist_light(bundle, 20_000)
    lines = str(raised.value).splitlines()
    assert lines[0] == "the bundle has 24.9 KiB, more than 19.5 KiB; nothing was deployed. The largest parts:"
    assert lines[3].split(None, 2) == ["4.4", "KiB", "model  (a value computed by In [3], line 1)"]
    assert len(lines) == 7
