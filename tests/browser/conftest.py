"""One JupyterLab and one Chromium for the tests of a file of this folder."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from front_end import Lab, Pictures

_NEEDS = [name for name in ("playwright", "jupyterlab") if importlib.util.find_spec(name) is None]
collect_ignore = ["gallery.py"]


# per module: Playwright keeps an event loop in the thread that other modules' tests must not find there
@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A page of JupyterLab in Chromium, with a server of its own."""
    if _NEEDS:
        pytest.skip(f"needs {' and '.join(_NEEDS)}: pip install flyte_nb[browser]")
    from front_end import Lab, chromium, chromium_browser, lab_server

    if chromium() is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("lab")
    with lab_server(folder) as address, chromium_browser() as browser:
        yield Lab(browser, address, folder)


@pytest.fixture
def page(lab: Lab) -> Iterator[Lab]:
    """The page, with nothing open; an error in its console is a failure."""
    from front_end import LIGHT

    if lab.is_in_use():  # a test before this one did not come to its end
        lab.reload()
    lab.errors.clear()
    yield lab
    lab.theme(LIGHT)
    lab.close_all()
    assert lab.errors == []


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Pictures:
    """Where the test leaves its pictures: below --pictures DIR, or in its own folder."""
    from front_end import Pictures

    kept = request.config.getoption("--pictures")
    folder = Path(kept) / re.sub(r"\W+", "-", request.node.name).strip("-") if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return Pictures(folder)
