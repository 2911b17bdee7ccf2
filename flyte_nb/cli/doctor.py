"""``flyte-nb doctor``: what running tasks needs here, what is wrong with it, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

from flyte_nb.commands import Parser
from flyte_nb.doctor.examination import examine
from flyte_nb.doctor.finding import Patient, is_well, rows_of
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.engine.store import home_for
from flyte_nb.widgets.doctor import examination

__all__ = ["doctor"]

FAILED = 1


def doctor(words: list[str]) -> int:
    """Examine this machine, as tasks of this folder would use it."""
    parser = Parser(prog="flyte-nb doctor")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(words)
    home = home_for(Path.cwd())
    found = examine(Patient(None, home, Secrets(home.parent)))
    print(json.dumps(rows_of(found), indent=2) if options.json else examination(found).text())
    return 0 if is_well(found) else FAILED
