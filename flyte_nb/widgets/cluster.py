"""A cluster as a card: its address, where that was found, whether it answers, the projects that it shows."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_nb.errors import suggestion
from flyte_nb.views import Card

__all__ = ["ClusterRecord", "card"]


@dataclass(frozen=True)
class ClusterRecord:
    """A cluster that this process is connected to.

    Parameters
    ----------
    endpoint : str
        Its address.
    source : str
        Where that was found.
    project, domain, org : str
        Where runs and deployments belong; may be empty.
    version : str
        Of the Flyte SDK that is installed.
    is_tested : bool
        Whether the tests run with that version.
    projects : tuple of str, optional
        The projects that it shows; None where it does not answer.
    is_whole : bool
        Whether those are all.
    why : str
        Why it does not answer.
    """

    endpoint: str
    source: str
    project: str = ""
    domain: str = ""
    org: str = ""
    version: str = ""
    is_tested: bool = False
    projects: tuple[str, ...] | None = None
    is_whole: bool = True
    why: str = ""


def card(cluster: ClusterRecord) -> Card:
    """Show one cluster."""
    place = "/".join(filter(None, (cluster.project, cluster.domain)))
    rows = [
        ("found in", cluster.source, ""),
        ("project", place or "none", _about_project(cluster)),
        ("Flyte SDK", cluster.version, "tested" if cluster.is_tested else "not one of the tested versions"),
    ]
    rows += [("org", cluster.org, "")] if cluster.org else []
    rows += [("error", cluster.why, "")] if cluster.why else []
    sections = [("projects", list(cluster.projects))] if cluster.projects else []
    if cluster.projects == ():
        rows.append(("projects", "none that it shows", ""))
    state = "answers" if cluster.projects is not None else "no answer"
    return Card(cluster.endpoint, "cluster", [state], rows, sections)


def _about_project(cluster: ClusterRecord) -> str:
    if not cluster.project or not cluster.domain:
        return "name both: %flyte connect --project P --domain D"
    known = cluster.projects
    if known and cluster.is_whole and cluster.project not in known:
        return f"not among its projects; {suggestion(cluster.project, known)}"
    return ""
