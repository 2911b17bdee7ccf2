"""PodTemplate: Kubernetes settings of a task's pod beyond what `Resources` says."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from flyte_nb.environments.declaration import (
    Check,
    Declaration,
    WrongType,
    mask,
    plain,
    refuse,
    refuse_type,
    set_fields,
)
from flyte_nb.environments.durations import Duration, duration_argument
from flyte_nb.environments.pod_containers import (
    add_fuse_device,
    add_fuse_resource,
    add_sys_admin,
    apparmor_profile,
    copy_with_container,
    manifest,
    merge_resources,
    security_of,
)
from flyte_nb.environments.texts import Text

__all__ = ["PodTemplate"]

_PRIMARY = "primary"
_FUSE_NOTE = "flyte.org/capability-fuse"
_SANDBOX_NOTE = "flyte.org/capability-nested-sandboxing"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"  # Kubernetes' own; the container's name follows
_UNCONFINED = "unconfined"

_Template = TypeVar("_Template", bound="PodTemplate")


def _pod_spec(value: Any) -> Any:
    """Check by the name of the class: the client that made the object need not be imported here."""
    if value is not None and not any(kind.__name__ == "V1PodSpec" for kind in type(value).__mro__):
        raise WrongType(f"it is of type {type(value).__name__}")
    return value


_Labels = dict[str, str] | None


@dataclass(repr=False)
class PodTemplate(Declaration):
    """Kubernetes settings of a pod: sidecars, volumes, capabilities, labels and annotations.

    Its methods give a new template and can be chained; a template, its spec included, never changes through them.

    Parameters
    ----------
    pod_spec : kubernetes.client.V1PodSpec, optional
        The pod; a method that needs one starts with an empty primary container.
    primary_container_name : str
        The container that the task's code runs in.
    labels : dict of str to str, optional
        Labels of the pod.
    annotations : dict of str to str, optional
        Annotations of the pod.
    """

    pod_spec: Annotated[Any, Check(_pod_spec, "a kubernetes.client.V1PodSpec or None")] = None
    primary_container_name: Text = _PRIMARY
    labels: _Labels = None
    annotations: _Labels = None

    @classmethod
    def from_spec(
        cls: type[_Template],
        pod_spec: Any,
        *,
        primary_container_name: str | None = None,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> _Template:
        """Make a template from a copy of a pod spec.

        Parameters
        ----------
        pod_spec : kubernetes.client.V1PodSpec
            The pod, with at least one container.
        primary_container_name : str, optional
            The container that the task's code runs in; otherwise the one named "primary", else the only one.
        labels, annotations : dict of str to str, optional
            Of the pod.

        Raises
        ------
        DeclarationTypeError
            When it is not a V1PodSpec.
        DeclarationValueError
            When no container has the given name, or when there is none to choose.
        """
        if pod_spec is None:
            raise refuse_type(cls, "from_spec(pod_spec)", pod_spec, "a kubernetes.client.V1PodSpec")
        template = cls(pod_spec, primary_container_name or _PRIMARY, labels, annotations)
        names = [container.name for container in pod_spec.containers or []]
        primary = _choose(cls, names, primary_container_name)
        return dataclasses.replace(template, pod_spec=copy.deepcopy(pod_spec), primary_container_name=primary)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self._shown(name, value)}" for name, value in set_fields(self))
        return f"{type(self).__name__}({shown})"

    def _shown(self, name: str, value: Any) -> str:
        if name != "pod_spec":
            return mask(name, value)
        return f"<{', '.join(str(container.name) for container in value.containers or [])}>"

    def to_dict(self) -> dict[str, Any]:
        """Give the declaration as plain JSON data; the spec as in a Kubernetes manifest."""
        fields = {n: manifest(v) if n == "pod_spec" else plain(v) for n, v in set_fields(self)}
        return {"type": type(self).__name__, **fields}

    def allow_fuse(self: _Template, privileged: bool = False) -> _Template:
        """Let the primary container mount FUSE file systems.

        Parameters
        ----------
        privileged : bool
            Mount the node's own ``/dev/fuse`` into a privileged container. Otherwise the device comes from the
            smarter-device-manager plugin, as the resource ``smarter-devices/fuse``.

        Raises
        ------
        DeclarationValueError
            For ``privileged=True``, when the container is set to be unprivileged or not to escalate privileges:
            Kubernetes refuses a privileged container that may not escalate.
        """
        template, container = self._own_copy()
        security = security_of(container)
        if privileged:
            self._refuse_if("allow_fuse(privileged=True)", security, privileged=False, allow_privilege_escalation=False)
            security.privileged = True
            add_fuse_device(template.pod_spec, container)
        else:
            add_fuse_resource(container)
        add_sys_admin(security)
        return template._annotated({_FUSE_NOTE: "true"})

    def allow_nested_sandboxing(self: _Template) -> _Template:
        """Let the primary container make sandboxes (namespaces and mounts) of its own, unprivileged.

        Raises
        ------
        DeclarationValueError
            When the container is set to be privileged or to escalate privileges, or has another AppArmor profile
            than "unconfined".
        """
        template, container = self._own_copy()
        security = security_of(container)
        self._refuse_if("allow_nested_sandboxing()", security, privileged=True, allow_privilege_escalation=True)
        for profile in ((self.annotations or {}).get(_APPARMOR + container.name), apparmor_profile(security)):
            if profile not in (None, _UNCONFINED):
                raise refuse(self, "allow_nested_sandboxing()", profile, "the AppArmor profile 'unconfined' or none")
        security.allow_privilege_escalation = False
        add_sys_admin(security)
        return template._annotated({_APPARMOR + container.name: _UNCONFINED, _SANDBOX_NOTE: "true"})

    def with_termination_grace_period(self: _Template, termination_grace_period: Duration) -> _Template:
        """Give the pod time to finish after it was told to stop.

        Parameters
        ----------
        termination_grace_period : int or timedelta
            Whole seconds; 0 stops it at once. Kubernetes has no fractions: they are cut.

        Raises
        ------
        DeclarationError
            When it is neither an int nor a timedelta (a TypeError), or negative (a ValueError).
        """
        field = "with_termination_grace_period(termination_grace_period)"
        length = duration_argument(self, field, termination_grace_period)
        template, _ = self._own_copy()
        template.pod_spec.termination_grace_period_seconds = int(length.total_seconds())
        return template

    def with_container_resources(
        self: _Template, requests: Mapping[str, Any] | None = None, limits: Mapping[str, Any] | None = None
    ) -> _Template:
        """Merge a task's resources into the primary container: they win over the template's, whose others stay.

        Parameters
        ----------
        requests, limits : mapping of str to quantity, optional
            By Kubernetes' names, for example ``{"cpu": "500m", "memory": "1Gi"}``.
        """
        template, container = self._own_copy()
        merge_resources(container, requests or {}, limits or {})
        return template

    def to_k8s_pod(self) -> Any:
        """Give the protobuf form, a ``flyteidl2.core.tasks_pb2.K8sPod``; without a spec it has a bare container.

        Raises
        ------
        ModuleNotFoundError
            When the package flyteidl2 or kubernetes is not installed.
        """
        try:
            from flyteidl2.core.tasks_pb2 import K8sObjectMetadata, K8sPod
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "to_k8s_pod() needs the package 'flyteidl2': pip install flyteidl2", name=error.name
            ) from error
        spec = self.pod_spec if self.pod_spec is not None else self._own_copy()[0].pod_spec
        metadata = K8sObjectMetadata(labels=self.labels, annotations=self.annotations)
        pod = K8sPod(metadata=metadata, primary_container_name=self.primary_container_name)
        pod.pod_spec.update(manifest(spec))
        return pod

    def _own_copy(self: _Template) -> tuple[_Template, Any]:
        """Copy the template for a change; give the copy and its primary container, made when it is missing."""
        spec, container = copy_with_container(self.pod_spec, self.primary_container_name)
        template = copy.copy(self)
        template.pod_spec = spec
        template.labels, template.annotations = copy.copy(self.labels), copy.copy(self.annotations)
        return template, container

    def _annotated(self: _Template, notes: dict[str, str]) -> _Template:
        self.annotations = {**(self.annotations or {}), **notes}
        return self

    def _refuse_if(self, method: str, security: Any, **unwanted: bool) -> None:
        for field, value in unwanted.items():
            if getattr(security, field) is value:
                accepted = f"a primary container without {field}={value}"
                raise refuse(self, method, f"{field}={value}", accepted, "the pod template sets it")


def _choose(cls: type, names: list[str], wanted: str | None) -> str:
    """Choose the primary container among those of a spec."""
    if wanted is None:
        wanted = _PRIMARY if len(names) != 1 else names[0]
    if wanted not in names:
        accepted = " or ".join(map(repr, names)) or "the name of a container; the spec has none"
        raise refuse(cls, "from_spec(primary_container_name)", wanted, accepted, "no container has that name")
    return wanted
