"""Pod templates: what each method adds, what it refuses, and the laws they keep together."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flyte_nb.environments.base import Environment
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client as k8s

FUSE = "smarter-devices/fuse"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/primary"


def pod(*names: str, **primary: Any) -> Any:
    """Give a pod spec with containers of these names; the settings are the first one's."""
    first, *others = names or ("primary",)
    containers = [k8s.V1Container(name=first, **primary), *(k8s.V1Container(name=name) for name in others)]
    return k8s.V1PodSpec(containers=containers)


def primary(template: PodTemplate) -> Any:
    """Give the primary container of a template."""
    return next(c for c in template.pod_spec.containers if c.name == template.primary_container_name)


# --- the declaration


def test_defaults_and_positions() -> None:
    template = PodTemplate()
    assert template.pod_spec is template.labels is template.annotations is None
    assert template.primary_container_name == "primary"
    spec = pod("main")
    given = PodTemplate(spec, "main", {"a": "1"}, {"b": "2"})
    assert given.pod_spec is spec
    assert (given.primary_container_name, given.labels, given.annotations) == ("main", {"a": "1"}, {"b": "2"})


def test_equal_unhashable_mutable() -> None:
    assert PodTemplate(pod()) == PodTemplate(pod())
    assert PodTemplate(pod()) != PodTemplate(pod("other"))
    with pytest.raises(TypeError):
        hash(PodTemplate())
    template = PodTemplate()
    template.labels = {"a": "b"}
    assert dataclasses.replace(template, primary_container_name="x").labels == {"a": "b"}
    assert copy.deepcopy(PodTemplate(pod())) == pickle.loads(pickle.dumps(PodTemplate(pod()))) == PodTemplate(pod())


@pytest.mark.parametrize(
    "fields",
    [
        {"pod_spec": {"containers": []}},
        {"pod_spec": "spec"},
        {"primary_container_name": None},
        {"labels": {"a": 1}},
        {"annotations": ["a"]},
    ],
)
def test_wrong_types(fields: dict[str, Any]) -> None:
    with pytest.raises(DeclarationTypeError, match=f"PodTemplate.{next(iter(fields))}"):
        PodTemplate(**fields)


def test_no_name() -> None:
    with pytest.raises(DeclarationValueError):
        PodTemplate(primary_container_name="")


def test_repr_and_json_are_short() -> None:
    template = PodTemplate(pod("primary", "sidecar"), labels={"a": "b"})
    assert repr(template) == "PodTemplate(pod_spec=<primary, sidecar>, labels={'a': 'b'})"
    assert template.to_dict() == {
        "type": "PodTemplate",
        "pod_spec": {"containers": [{"name": "primary"}, {"name": "sidecar"}]},
        "labels": {"a": "b"},
    }
    assert template.digest() == copy.deepcopy(template).digest()


def test_an_environment_takes_a_template_or_a_name() -> None:
    template = PodTemplate()
    assert Environment("a", pod_template=template).pod_template is template
    assert Environment("a", pod_template="named").pod_template == "named"
    with pytest.raises(DeclarationTypeError, match=r"Environment\.pod_template"):
        Environment("a", pod_template=3)  # type: ignore[arg-type]


# --- from_spec


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (("a", "primary"), None, "primary"),
        (("a",), None, "a"),
        (("a", "b"), "b", "b"),
        (("primary", "b"), "b", "b"),
    ],
)
def test_from_spec_chooses_the_primary_container(names: tuple[str, ...], wanted: str | None, chosen: str) -> None:
    spec = pod(*names)
    template = PodTemplate.from_spec(spec, primary_container_name=wanted, labels={"a": "b"}, annotations={"c": "d"})
    assert template.primary_container_name == chosen
    assert (template.labels, template.annotations) == ({"a": "b"}, {"c": "d"})
    assert template.pod_spec == spec
    assert template.pod_spec is not spec
    spec.containers[0].name = "changed"
    assert template.pod_spec.containers[0].name == names[0]


@pytest.mark.parametrize(("names", "wanted"), [(("a", "b"), None), (("a",), "b"), (("primary",), "b")])
def test_from_spec_without_a_primary_container(names: tuple[str, ...], wanted: str | None) -> None:
    with pytest.raises(DeclarationValueError, match=r"'a'|'primary'"):
        PodTemplate.from_spec(pod(*names), primary_container_name=wanted)


def test_from_spec_without_containers_or_spec() -> None:
    with pytest.raises(DeclarationValueError):
        PodTemplate.from_spec(k8s.V1PodSpec(containers=[]))
    for wrong in (None, {"containers": []}):
        with pytest.raises(DeclarationTypeError):
            PodTemplate.from_spec(wrong)
    with pytest.raises(TypeError):
        PodTemplate.from_spec(pod(), "primary")  # type: ignore[misc]


# --- FUSE


def test_unprivileged_fuse() -> None:
    container = primary(PodTemplate().allow_fuse())
    assert container.resources.requests == container.resources.limits == {FUSE: "1"}
    assert container.security_context.capabilities.add == ["SYS_ADMIN"]
    assert container.security_context.allow_privilege_escalation is None
    assert container.security_context.privileged is None
    assert PodTemplate().allow_fuse().annotations == {"flyte.org/capability-fuse": "true"}


def test_unprivileged_fuse_adds_to_what_there_is() -> None:
    capabilities = k8s.V1Capabilities(add=["NET_ADMIN"], drop=["ALL"])
    spec = pod(
        "primary",
        "sidecar",
        resources=k8s.V1ResourceRequirements(limits={"cpu": "1"}),
        security_context=k8s.V1SecurityContext(capabilities=capabilities, run_as_user=7),
    )
    template = PodTemplate(spec, labels={"a": "b"}, annotations={"c": "d"}).allow_fuse()
    container = primary(template)
    assert container.resources.limits == {"cpu": "1", FUSE: "1"}
    assert container.resources.requests == {FUSE: "1"}
    assert container.security_context.capabilities.add == ["NET_ADMIN", "SYS_ADMIN"]
    assert container.security_context.capabilities.drop == ["ALL"]
    assert container.security_context.run_as_user == 7
    assert (template.labels, template.annotations) == ({"a": "b"}, {"c": "d", "flyte.org/capability-fuse": "true"})
    assert template.pod_spec.containers[1] == k8s.V1Container(name="sidecar")


def test_privileged_fuse() -> None:
    template = PodTemplate().allow_fuse(privileged=True)
    container = primary(template)
    (volume,), (mount,) = template.pod_spec.volumes, container.volume_mounts
    assert (volume.name, volume.host_path.path, volume.host_path.type) == ("fuse-device", "/dev/fuse", "CharDevice")
    assert (mount.name, mount.mount_path) == ("fuse-device", "/dev/fuse")
    assert container.security_context.privileged is True
    assert container.resources is None


@pytest.mark.parametrize("security", [{"privileged": False}, {"allow_privilege_escalation": False}])
def test_privileged_fuse_refuses(security: dict[str, bool]) -> None:
    template = PodTemplate(pod(security_context=k8s.V1SecurityContext(**security)))
    with pytest.raises(DeclarationValueError, match=next(iter(security))):
        template.allow_fuse(privileged=True)
    template.allow_fuse()


# --- nested sandboxing


def test_nested_sandboxing() -> None:
    template = PodTemplate().allow_nested_sandboxing()
    security = primary(template).security_context
    assert security.capabilities.add == ["SYS_ADMIN"]
    assert security.allow_privilege_escalation is False
    assert template.annotations == {APPARMOR: "unconfined", "flyte.org/capability-nested-sandboxing": "true"}


def test_nested_sandboxing_names_the_primary_container() -> None:
    assert APPARMOR.replace("primary", "main") in (
        PodTemplate(primary_container_name="main").allow_nested_sandboxing().annotations or {}
    )


@pytest.mark.parametrize(
    "security",
    [
        {"privileged": True},
        {"allow_privilege_escalation": True},
        {"app_armor_profile": k8s.V1AppArmorProfile(type="RuntimeDefault")},
    ],
)
def test_nested_sandboxing_refuses(security: dict[str, Any]) -> None:
    template = PodTemplate(pod(security_context=k8s.V1SecurityContext(**security)))
    with pytest.raises(DeclarationValueError, match=r"allow_nested_sandboxing\(\)"):
        template.allow_nested_sandboxing()


def test_nested_sandboxing_refuses_another_apparmor_annotation() -> None:
    with pytest.raises(DeclarationValueError, match="runtime/default"):
        PodTemplate(annotations={APPARMOR: "runtime/default"}).allow_nested_sandboxing()
    unconfined = k8s.V1SecurityContext(app_armor_profile=k8s.V1AppArmorProfile(type="Unconfined"))
    PodTemplate(pod(security_context=unconfined), annotations={APPARMOR: "unconfined"}).allow_nested_sandboxing()


def test_the_two_forms_exclude_each_other() -> None:
    with pytest.raises(DeclarationValueError):
        PodTemplate().allow_nested_sandboxing().allow_fuse(privileged=True)
    with pytest.raises(DeclarationValueError):
        PodTemplate().allow_fuse(privileged=True).allow_nested_sandboxing()


# --- termination grace period


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (45, 45), (timedelta(minutes=2), 120), (timedelta(0), 0)])
def test_grace_period(given: Any, kept: int) -> None:
    template = PodTemplate().with_termination_grace_period(given)
    assert template.pod_spec.termination_grace_period_seconds == kept
    assert primary(template).name == "primary"
    assert template.with_termination_grace_period(7).pod_spec.termination_grace_period_seconds == 7


@pytest.mark.parametrize("wrong", [True, None, 1.5, "30"])
def test_grace_period_of_the_wrong_type(wrong: Any) -> None:
    with pytest.raises(DeclarationTypeError, match="grace_period"):
        PodTemplate().with_termination_grace_period(wrong)


@pytest.mark.parametrize("wrong", [-1, timedelta(seconds=-1)])
def test_negative_grace_period(wrong: Any) -> None:
    with pytest.raises(DeclarationValueError, match="grace_period"):
        PodTemplate().with_termination_grace_period(wrong)


# --- resources of the task


def test_the_tasks_resources_win() -> None:
    template = PodTemplate(pod(resources=k8s.V1ResourceRequirements(requests={"cpu": "1", "a/b": "2"})))
    merged = primary(template.with_container_resources({"cpu": 4}, {"memory": "1Gi"})).resources
    assert (merged.requests, merged.limits) == ({"cpu": "4", "a/b": "2"}, {"memory": "1Gi"})
    assert primary(template).resources.requests == {"cpu": "1", "a/b": "2"}


# --- laws

METHODS: dict[str, Callable[[PodTemplate], PodTemplate]] = {
    "fuse": lambda template: template.allow_fuse(),
    "privileged fuse": lambda template: template.allow_fuse(privileged=True),
    "sandboxing": lambda template: template.allow_nested_sandboxing(),
    "grace": lambda template: template.with_termination_grace_period(9),
    "resources": lambda template: template.with_container_resources({"cpu": "2"}, {"cpu": "3"}),
}
words = st.text("abc", min_size=1, max_size=3)
texts = st.none() | st.dictionaries(words, words, max_size=2)


@st.composite
def templates(draw: st.DrawFn) -> PodTemplate:
    """Give templates with any of: no spec, no primary container, sidecars, volumes, mounts, capabilities, notes."""
    labels, annotations = draw(texts), draw(texts)
    if draw(st.booleans()):
        return PodTemplate(None, "primary", labels, annotations)
    added = draw(st.none() | st.lists(st.sampled_from(["SYS_ADMIN", "NET_ADMIN", "SYS_TIME"]), unique=True))
    requests = draw(st.none() | st.dictionaries(st.sampled_from(["cpu", "x/y", FUSE]), st.just("3")))
    main = k8s.V1Container(
        name="primary",
        security_context=draw(
            st.none() | st.just(k8s.V1SecurityContext(capabilities=k8s.V1Capabilities(add=added), run_as_user=1))
        ),
        resources=draw(st.none() | st.just(k8s.V1ResourceRequirements(requests=requests))),
        volume_mounts=draw(st.none() | st.just([k8s.V1VolumeMount(name="v", mount_path="/v")])),
    )
    sidecars = [k8s.V1Container(name=f"s{i}") for i in range(draw(st.integers(0, 2)))]
    keep_main = draw(st.booleans()) or not sidecars
    volumes = draw(st.none() | st.just([k8s.V1Volume(name="v", empty_dir=k8s.V1EmptyDirVolumeSource())]))
    spec = k8s.V1PodSpec(containers=[*sidecars, *([main] if keep_main else [])], volumes=volumes)
    return PodTemplate(copy.deepcopy(spec), "primary", labels, annotations)


@given(templates(), st.sampled_from(sorted(METHODS)))
def test_methods_are_idempotent_and_leave_the_original(template: PodTemplate, name: str) -> None:
    before = copy.deepcopy(template)
    once = METHODS[name](template)
    snapshot = copy.deepcopy(once)
    assert METHODS[name](once) == once
    assert template == before
    assert once == snapshot
    assert type(once) is PodTemplate


@given(templates(), st.permutations(["fuse", "sandboxing", "grace"]))
def test_unprivileged_methods_commute(template: PodTemplate, order: list[str]) -> None:
    def apply(names: list[str]) -> PodTemplate:
        changed = template
        for name in names:
            changed = METHODS[name](changed)
        return changed

    assert apply(order) == apply(sorted(order))
    assert apply(order).digest() == apply(sorted(order)).digest()


@given(templates(), st.sampled_from(sorted(METHODS)))
def test_methods_keep_what_is_not_theirs(template: PodTemplate, name: str) -> None:
    changed = METHODS[name](template)
    assert changed.labels == template.labels
    assert (template.annotations or {}).items() <= (changed.annotations or {}).items()
    spec = template.pod_spec or k8s.V1PodSpec(containers=[])
    assert [c for c in changed.pod_spec.containers if c.name != "primary"] == [
        c for c in spec.containers if c.name != "primary"
    ]
    assert all(volume in (changed.pod_spec.volumes or []) for volume in spec.volumes or [])
    for before in (c for c in spec.containers if c.name == "primary"):
        after = primary(changed)
        assert all(mount in (after.volume_mounts or []) for mount in before.volume_mounts or [])
        if before.security_context:
            assert after.security_context.run_as_user == before.security_context.run_as_user
            assert set(before.security_context.capabilities.add or []) <= set(
                after.security_context.capabilities.add or []
            )


# --- the protobuf form, and missing packages


class K8sPod(SimpleNamespace):
    """Stands in for the generated message: the package is no dependency of the tests."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields, pod_spec={})


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flyteidl2", "flyteidl2.core", "flyteidl2.core.tasks_pb2"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["flyteidl2.core.tasks_pb2"].__dict__.update(K8sPod=K8sPod, K8sObjectMetadata=SimpleNamespace)


@pytest.mark.usefixtures("messages")
def test_protobuf_form() -> None:
    spec = pod("main", termination_message_path="/x")
    message = PodTemplate(spec, "main", {"a": "b"}, {"c": "d"}).to_k8s_pod()
    assert message.primary_container_name == "main"
    assert (message.metadata.labels, message.metadata.annotations) == ({"a": "b"}, {"c": "d"})
    assert message.pod_spec == {"containers": [{"name": "main", "terminationMessagePath": "/x"}]}


@pytest.mark.usefixtures("messages")
def test_protobuf_form_without_a_spec_has_the_primary_container() -> None:
    template = PodTemplate(primary_container_name="main")
    assert template.to_k8s_pod().pod_spec == {"containers": [{"name": "main"}]}
    assert template.pod_spec is None


def test_without_flyteidl2(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flyteidl2", "flyteidl2.core.tasks_pb2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match="pip install flyteidl2"):
        PodTemplate().to_k8s_pod()


def test_without_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    template = PodTemplate(labels={"a": "b"})
    assert template.to_dict() == {"type": "PodTemplate", "labels": {"a": "b"}}
    assert Environment("a", pod_template=template).pod_template is template
    with pytest.raises(ModuleNotFoundError, match="pip install kubernetes"):
        template.allow_fuse()
