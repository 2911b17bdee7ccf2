"""Projects, and the cluster that answers for them."""

from __future__ import annotations

from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.cluster import payload_pb2 as cluster
from flyteidl2.cluster.service_connect import ClusterService
from flyteidl2.project import project_service_pb2 as messages
from flyteidl2.project.project_service_connect import ProjectService

DOMAINS = ("development", "staging", "production")


class Projects(ProjectService):
    """The projects by name, each with the usual domains."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = list(names)

    async def list_projects(self, request: Any, ctx: Any) -> Any:
        projects = [_project(name) for name in self.names]
        return messages.ListProjectsResponse(projects=messages.Projects(projects=projects))

    async def get_project(self, request: Any, ctx: Any) -> Any:
        if request.id not in self.names:
            raise ConnectError(Code.NOT_FOUND, f"project {request.id!r} not found")
        return messages.GetProjectResponse(project=_project(request.id))

    async def create_project(self, request: Any, ctx: Any) -> Any:
        if request.project.id in self.names:
            raise ConnectError(Code.ALREADY_EXISTS, f"project {request.project.id!r}")
        self.names.append(request.project.id)
        return messages.CreateProjectResponse()


def _project(name: str) -> Any:
    domains = [messages.Domain(id=domain, name=domain) for domain in DOMAINS]
    return messages.Project(id=name, name=name, domains=domains, state=messages.PROJECT_STATE_ACTIVE)


class Clusters(ClusterService):
    """One cluster: the plane itself."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    async def select_cluster(self, request: Any, ctx: Any) -> Any:
        answer = cluster.SelectClusterResponse(cluster_endpoint=self._endpoint)
        if "cluster" in answer.DESCRIPTOR.fields_by_name:  # not in older versions
            answer.cluster = "stand-in"
        return answer
