"""``flyte-nb runs``: what this folder's store remembers."""

from __future__ import annotations

import json
from pathlib import Path

from flyte_nb.commands import Parser
from flyte_nb.engine.store import Store, home_for
from flyte_nb.widgets import runs as views

__all__ = ["runs"]


def runs(words: list[str]) -> int:
    """Print the latest runs, or one with its actions."""
    parser = Parser(prog="flyte-nb runs")
    parser.add_argument("run", nargs="?", metavar="RUN", help="the name of a run, to see it with its actions")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="how many; 20 by default")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(words)
    store = Store(home_for(Path.cwd()))
    if options.run is not None:
        run = store.run(options.run)
        print(json.dumps(views.data(run, actions=True), indent=2) if options.json else views.run(run).text())
        return 0
    made = store.runs(options.last)
    print(json.dumps([views.data(run) for run in made], indent=2) if options.json else views.runs(made).text())
    return 0
