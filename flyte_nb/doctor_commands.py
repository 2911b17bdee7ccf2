"""``%flyte doctor``: what running tasks needs here, what is wrong with it, and what to do."""

from __future__ import annotations

import json

from flyte_nb.commands import Command, Parser
from flyte_nb.session import Session
from flyte_nb.views import Text, View

__all__ = ["COMMANDS"]


def _doctor(words: list[str], session: Session) -> View:
    """Examine this kernel."""
    parser = Parser(prog="%flyte doctor")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(words)
    from flyte_nb.doctor.examination import examine
    from flyte_nb.doctor.finding import Patient, rows_of
    from flyte_nb.widgets.doctor import examination

    found = examine(Patient(session.workbook.shell, session.store.home, session.secrets))
    return Text(json.dumps(rows_of(found), indent=2)) if options.json else examination(found)


COMMANDS = (
    Command(
        "%flyte doctor [--json]",
        "look at versions, store, workers, uv, GPUs, secrets and cluster; say what is wrong and what to do",
        _doctor,
        ("%flyte doctor",),
    ),
)
