"""Resources: what each field accepts, what is kept, and what is asked for."""

import dataclasses
import logging
import math
import typing

import pytest
from flyte_nb.environments.devices import AMD_GPU, GPU, TPU, Device
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu", 2),
        ("cpu", 0),
        ("cpu", 0.5),
        ("cpu", "2"),
        ("cpu", "500m"),
        ("cpu", (1, 2)),
        ("cpu", ("500m", 1.5)),
        ("cpu", (1, 1)),
        ("memory", "4Gi"),
        ("memory", "1e9"),
        ("memory", "1.5Gi"),
        ("memory", "500M"),
        ("memory", ("2Gi", "4Gi")),
        ("gpu", 0),
        ("gpu", 1),
        ("gpu", 64),
        ("gpu", "1"),
        ("gpu", "0"),
        ("gpu", "A100:2"),
        ("gpu", "T4 shared:1"),
        ("gpu", "AppleSilicon"),
        ("gpu", "Trn1:16"),
        ("disk", "10Gi"),
        ("shm", "1Gi"),
        ("shm", "auto"),
        ("cpu", None),
        ("memory", None),
        ("gpu", None),
        ("disk", None),
        ("shm", None),
    ],
)
def test_what_was_given_is_kept(field, value):
    kept = getattr(Resources(**{field: value}), field)
    assert kept == value
    assert type(kept) is type(value)
    if isinstance(value, tuple):
        assert [type(one) for one in kept] == [type(one) for one in value]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("cpu", "abc", "not a number"),
        ("cpu", (2, 1), "the request 2 is more than the limit 1"),
        ("cpu", math.nan, "finite"),
        ("cpu", math.inf, "finite"),
        ("cpu", "-1", "negative"),
        ("cpu", -1, "negative"),
        ("cpu", (-1, 2), "negative"),
        ("cpu", "", "empty"),
        ("cpu", (1,), "it has 1"),
        ("cpu", (1, 2, 3), "it has 3"),
        ("cpu", (1, "500m"), "more than the limit"),
        ("memory", "10", "it would be 10 bytes; write the unit, such as '10Mi' or '10Gi'"),
        ("memory", "lots", "not a number"),
        ("memory", "1GB", "did you mean '1G' or '1Gi'"),
        ("memory", ("2Gi", "1Gi"), "more than the limit 1Gi"),
        ("memory", ("1025Mi", "1Gi"), "more than the limit"),
        ("memory", "-1Gi", "negative"),
        ("memory", "nan", "finite"),
        ("memory", "400m", "did you mean '400M' or '400Mi'"),
        ("memory", ("1Gi",), "it has 1"),
        ("memory", "", "empty"),
        ("memory", ("1Gi", "2"), "write the unit"),
        ("disk", "-1Gi", "negative"),
        ("disk", "10", "write the unit"),
        ("disk", "auto", "not a number"),
        ("shm", "", "empty"),
        ("shm", "64", "write the unit"),
        ("shm", "AUTO", "not a number"),
        ("gpu", -1, "negative"),
        ("gpu", "-1", "negative"),
        ("gpu", 65, "more than 64"),
        ("gpu", 1000, "more than 64"),
        ("gpu", "1000", "more than 64"),
        ("gpu", "A100", "write 'A100:1'"),
        ("gpu", "a100:1", "did you mean 'A100'"),
        ("gpu", "", "."),
        ("gpu", "V5E:1", "TPU"),
        ("gpu", "A100:9", "1 to 8"),
        ("gpu", "A100:1:1g.5gb", "partition"),
    ],
)
def test_a_wrong_value_is_refused(field, value, reason):
    with pytest.raises(DeclarationValueError, match=rf"Resources\.{field}: .*{reason}") as caught:
        Resources(**{field: value})
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu", True),
        ("cpu", (True, 2)),
        ("cpu", (1, None)),
        ("cpu", [1, 2]),
        ("cpu", {}),
        ("cpu", b"1"),
        ("memory", 4),
        ("memory", 4.0),
        ("memory", True),
        ("memory", ("1Gi", None)),
        ("memory", (1, 2)),
        ("memory", ["1Gi", "2Gi"]),
        ("gpu", True),
        ("gpu", 1.0),
        ("gpu", (1, 2)),
        ("gpu", ["A100:1"]),
        ("gpu", object()),
        ("disk", 5),
        ("disk", ("1Gi", "2Gi")),
        ("disk", False),
        ("shm", 5),
        ("shm", True),
        ("shm", ("1Gi", "2Gi")),
    ],
)
def test_a_wrong_type_is_refused(field, value):
    with pytest.raises(DeclarationTypeError, match=rf"Resources\.{field}: "):
        Resources(**{field: value})


def test_the_example_of_the_specification():
    resources = Resources(gpu="1", memory="16Gi")
    assert (resources.gpu, resources.memory) == ("1", "16Gi")
    assert resources.get_device() == Device(1, "GPU")


@pytest.mark.parametrize("none", [None, 0, "0"])
def test_no_device(none):
    assert Resources(gpu=none).get_device() is None


def test_the_device():
    assert Resources(gpu=3).get_device() == Device(3, "GPU", None, None)
    assert Resources(gpu="A100:2").get_device() == Device(2, "GPU", "A100")
    assert Resources(gpu="Trn1:4").get_device() == Device(4, "NEURON", "Trn1")
    assert Resources(gpu="MI300X:1").get_device() == AMD_GPU("MI300X")
    assert Resources(gpu="AppleSilicon").get_device() == Device(1, "APPLE_SILICON", "AppleSilicon")


@pytest.mark.parametrize("device", [GPU("A100", 1, "1g.5gb"), TPU("V5E", "2x2")])
def test_a_given_device_stays_the_same_object(device):
    resources = Resources(gpu=device)
    assert resources.gpu is device
    assert resources.get_device() is device


def test_a_former_spelling_is_rewritten_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="flyte"):
        assert Resources(gpu="A100 80G:2").gpu == "A100_80G:2"
    assert len(caplog.records) == 1


def test_the_shared_memory():
    assert Resources().get_shared_memory() is None
    assert Resources(shm="auto").get_shared_memory() == ""
    assert Resources(shm="2Gi").get_shared_memory() == "2Gi"


def test_positional_order_equality_and_no_hash():
    resources = Resources(1, "2Gi", "A100:1", "3Gi", "4Gi")
    assert resources == Resources(cpu=1, memory="2Gi", gpu="A100:1", disk="3Gi", shm="4Gi")
    assert resources != Resources(2, "2Gi", "A100:1", "3Gi", "4Gi")
    with pytest.raises(TypeError):
        hash(resources)
    with pytest.raises(TypeError):
        Resources(cores=1)


def test_it_is_mutable_and_checked_when_made():
    resources = Resources(cpu=1)
    resources.cpu = 2
    assert dataclasses.replace(resources, memory="1Gi") == Resources(cpu=2, memory="1Gi")
    with pytest.raises(DeclarationValueError):
        dataclasses.replace(resources, cpu=-1)


def test_it_is_shown_and_stored_plainly():
    resources = Resources(cpu=(1, 2), gpu=GPU("A100", 1))
    assert repr(resources) == "Resources(cpu=(1, 2), gpu=Device(quantity=1, device_class='GPU', device='A100'))"
    assert resources.to_dict() == {
        "type": "Resources",
        "cpu": [1, 2],
        "gpu": {"type": "Device", "quantity": 1, "device_class": "GPU", "device": "A100"},
    }
    assert set(typing.get_type_hints(Resources)) >= {"cpu", "memory", "gpu", "disk", "shm"}


def test_a_single_byte_is_one_byte():
    with pytest.raises(DeclarationValueError, match="it would be 1 byte;"):
        Resources(memory="1")
