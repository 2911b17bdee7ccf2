"""Pod specs out of resources: the keys, the amounts as text, the two sides."""

import sys

import pytest
from flyte_nb.environments.devices import APPLE_SILICON, GPU, HABANA_GAUDI, TPU
from flyte_nb.environments.pod_spec import pod_spec_from_resources
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError

client = pytest.importorskip("kubernetes.client")


def sides(**given):
    (container,) = pod_spec_from_resources(**given).containers
    return container.resources.requests, container.resources.limits


def test_every_amount_is_text_under_its_name():
    asked, allowed = sides(requests=Resources(cpu=2, memory="4Gi", gpu=1, disk="10Gi", shm="auto"))
    assert asked == {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "10Gi"}
    assert allowed == asked
    assert allowed is not asked


def test_it_is_a_spec_that_the_client_can_send():
    spec = pod_spec_from_resources("main", requests=Resources(cpu=0.5, gpu="A100:2"))
    assert isinstance(spec, client.V1PodSpec)
    requests = {"cpu": "0.5", "nvidia.com/gpu": "2"}
    assert client.ApiClient().sanitize_for_serialization(spec) == {
        "containers": [{"name": "main", "resources": {"requests": requests, "limits": requests}}]
    }


def test_the_container_is_primary_by_default():
    assert [c.name for c in pod_spec_from_resources().containers] == ["primary"]
    assert sides() == ({}, {})


def test_a_missing_side_is_like_the_other():
    one, two = Resources(cpu=1, memory="1Gi"), Resources(cpu=2)
    assert sides(limits=two) == ({"cpu": "2"}, {"cpu": "2"})
    assert sides(requests=one, limits=two) == ({"cpu": "1", "memory": "1Gi"}, {"cpu": "2"})
    assert sides(requests=Resources(), limits=two) == ({}, {"cpu": "2"})


@pytest.mark.parametrize("none", [None, 0, "0"])
def test_no_accelerator_asks_for_nothing(none):
    assert sides(requests=Resources(cpu=1, gpu=none)) == ({"cpu": "1"}, {"cpu": "1"})


@pytest.mark.parametrize(
    ("gpu", "key", "count"),
    [
        ("1", "nvidia.com/gpu", "1"),
        (GPU("A100", 2, "1g.5gb"), "nvidia.com/gpu", "2"),
        ("Trn1:4", "aws.amazon.com/neuron", "4"),
        ("MI300X:1", "amd.com/gpu", "1"),
        (HABANA_GAUDI("Gaudi1"), "habana.ai/gaudi", "1"),
        (TPU("V5E", "2x2"), "google.com/tpu", "1"),
    ],
)
def test_each_vendor_has_its_key(gpu, key, count):
    assert sides(requests=Resources(gpu=gpu))[0] == {key: count}
    assert sides(requests=Resources(gpu=gpu), k8s_gpu_resource_key="my.org/gpu")[0] == {"my.org/gpu": count}


def test_apple_silicon_is_not_of_kubernetes():
    with pytest.raises(DeclarationValueError, match="APPLE_SILICON"):
        pod_spec_from_resources(requests=Resources(gpu=APPLE_SILICON()))


@pytest.mark.parametrize("pair", [Resources(cpu=(1, 2)), Resources(memory=("1Gi", "2Gi"))])
@pytest.mark.parametrize("side", ["requests", "limits"])
def test_a_pair_is_refused(pair, side):
    with pytest.raises(DeclarationValueError, match=rf"{side}.*is a pair"):
        pod_spec_from_resources(**{side: pair})


def test_a_list_set_later_is_refused():
    resources = Resources(cpu=1)
    resources.cpu = [1, 2]
    with pytest.raises(DeclarationValueError, match="is a pair"):
        pod_spec_from_resources(requests=resources)


def test_a_request_over_its_limit_is_refused():
    with pytest.raises(DeclarationValueError, match="the request of memory is more than its limit 1Gi"):
        pod_spec_from_resources(requests=Resources(memory="1025Mi"), limits=Resources(memory="1Gi"))


def test_something_else_than_resources_is_refused():
    with pytest.raises(DeclarationTypeError, match="limits"):
        pod_spec_from_resources(limits={"cpu": "1"})


def test_without_kubernetes_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ModuleNotFoundError, match="pip install kubernetes"):
        pod_spec_from_resources()
