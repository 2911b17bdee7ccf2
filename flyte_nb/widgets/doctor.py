"""What an examination found, as a table: a sign and a word for each row, and what to do."""

from __future__ import annotations

from flyte_nb.doctor.finding import Finding, State, is_well
from flyte_nb.views import Diff, Stack, Table, View

__all__ = ["examination"]

_SIGNS = {State.OK: "\N{CHECK MARK} ok", State.NOTICE: "! notice", State.PROBLEM: "\N{MULTIPLICATION SIGN} problem"}


def examination(findings: list[Finding]) -> View:
    """Show what was looked at, in order, and whether tasks can run."""
    rows = [(_SIGNS[one.state], one.what, one.found, one.advice) for one in findings]
    count = sum(one.state is State.PROBLEM for one in findings)
    problems = "a problem keeps" if count == 1 else f"{count} problems keep"
    told = "tasks run here" if is_well(findings) else f"{problems} tasks from running"
    notices = sum(one.state is State.NOTICE for one in findings)
    more = f"{notices} notice{'s' if notices != 1 else ''}" if notices else ""
    verdict = Diff([("=" if is_well(findings) else "!", told, more)])
    return Stack([Table(("", "what", "found", "what to do"), rows), verdict])
