"""Share: what the engine around a task may take, as its process was told."""

from __future__ import annotations

import os

import pytest
from flyte_nb.errors import RuntimeUserError
from flyte_nb.plugins.missing import insist_on
from flyte_nb.plugins.share import SHARE, Share


@pytest.mark.parametrize(
    ("told", "visible", "share"),
    [
        ("2500 1024", "0, 2", Share(3, 1024, ("0", "2"))),
        ("1000 2048", "", Share(1, 2048)),
    ],
)
def test_a_process_has_what_it_was_given(
    told: str, visible: str, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARE, told)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Share.here() == share


@pytest.mark.parametrize("told", ["", "0 0", "much more"])
def test_where_nothing_was_told_it_is_the_machine(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, told)
    share = Share.here()
    assert 1 <= share.cores <= (os.cpu_count() or 1)
    assert share.memory > 1 << 28


def test_a_package_that_is_missing_is_told_with_its_extra() -> None:
    insist_on("json", "none", "JSON")
    with pytest.raises(RuntimeUserError, match=r"Warp is not installed .* pip install 'flyte_nb\[warp\]'") as raised:
        insist_on("no_such_package", "warp", "Warp")
    assert raised.value.code == "PackageMissing"
