"""Pod specs: changes to the Kubernetes client's own objects; the client is imported when one is needed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

_FUSE_RESOURCE = "smarter-devices/fuse"
_FUSE_VOLUME = "fuse-device"
_FUSE_PATH = "/dev/fuse"


def kubernetes() -> Any:
    """Give the Kubernetes client's module, or say which package is missing."""
    try:
        from kubernetes import client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a PodTemplate with a spec needs the package 'kubernetes': pip install kubernetes",
            name=error.name,
        ) from error
    return client


def copy_with_container(spec: Any, primary: str) -> tuple[Any, Any]:
    """Copy a spec, or start one; give the copy and its container named ``primary``, added when it is missing."""
    client = kubernetes()
    if spec is None:
        spec = client.V1PodSpec(containers=[client.V1Container(name=primary)])
    spec = copy.deepcopy(spec)
    for container in spec.containers or []:
        if container.name == primary:
            return spec, container
    spec.containers = [*(spec.containers or []), client.V1Container(name=primary)]
    return spec, spec.containers[-1]


def security_of(container: Any) -> Any:
    """Give a container's security context, added when it is missing."""
    if container.security_context is None:
        container.security_context = kubernetes().V1SecurityContext()
    return container.security_context


def add_sys_admin(security: Any) -> None:
    """Add the capability SYS_ADMIN, once: mounting needs it."""
    if security.capabilities is None:
        security.capabilities = kubernetes().V1Capabilities()
    added = security.capabilities.add or []
    if "SYS_ADMIN" not in added:
        security.capabilities.add = [*added, "SYS_ADMIN"]


def add_fuse_resource(container: Any) -> None:
    """Ask for one device; Kubernetes wants request and limit of an extended resource to be equal."""
    merge_resources(container, {_FUSE_RESOURCE: "1"}, {_FUSE_RESOURCE: "1"})


def merge_resources(container: Any, requests: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    """Set requests and limits of a container; those not named stay."""
    if container.resources is None:
        container.resources = kubernetes().V1ResourceRequirements()
    resources = container.resources
    for side, wanted in (("requests", requests), ("limits", limits)):
        if wanted:
            merged = {
                **(getattr(resources, side) or {}),
                **{key: str(value) for key, value in wanted.items()},
            }
            setattr(resources, side, merged)


def add_fuse_device(spec: Any, container: Any) -> None:
    """Mount the node's FUSE device into a container, once."""
    client = kubernetes()
    if all(volume.name != _FUSE_VOLUME for volume in spec.volumes or []):
        source = client.V1HostPathVolumeSource(path=_FUSE_PATH, type="CharDevice")
        spec.volumes = [*(spec.volumes or []), client.V1Volume(name=_FUSE_VOLUME, host_path=source)]
    if all(mount.name != _FUSE_VOLUME for mount in container.volume_mounts or []):
        mount = client.V1VolumeMount(name=_FUSE_VOLUME, mount_path=_FUSE_PATH)
        container.volume_mounts = [*(container.volume_mounts or []), mount]


def apparmor_profile(security: Any) -> str | None:
    """Give the AppArmor profile of the security context, the newer place of the annotation, in its words."""
    profile = getattr(security, "app_armor_profile", None)  # absent from clients before Kubernetes 1.30
    return None if profile is None else str(profile.type).lower()


def manifest(spec: Any) -> dict[str, Any]:
    """Give a spec as in a Kubernetes manifest: camel-case keys, nothing that is not set."""
    plain: dict[str, Any] = kubernetes().ApiClient().sanitize_for_serialization(spec)
    return plain
