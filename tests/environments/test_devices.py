"""Devices: the tables of the specification, the constructors, the accelerator strings."""

import copy
import dataclasses
import logging
import pickle
import typing

import pytest
from flyte_nb.environments import devices
from flyte_nb.environments.accelerators import COUNTS, DEVICES, PARTITIONS, QUANTITIES, SELECTORS
from flyte_nb.environments.devices import (
    AMD_GPU,
    APPLE_SILICON,
    GPU,
    HABANA_GAUDI,
    TPU,
    Accelerators,
    Device,
    Neuron,
    check_accelerator,
    parse_accelerator,
)
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st

ONE, EIGHT = (1,), range(1, 9)
TABLE = {
    "GPU": {
        **dict.fromkeys(["A10", "A10G", "A100", "A100_80G", "B200", "H100", "H200", "L4", "L40s", "T4", "V100"], EIGHT),
        **dict.fromkeys(["A2", "RTX_PRO_4500", "GB10"], ONE),
        "RTX_PRO_6000": (1, 2),
        **dict.fromkeys(["T4 shared", "L4 shared", "A10G shared", "A10 shared", "L40S shared"], ONE),
    },
    "NEURON": {
        **dict.fromkeys(["Trn1", "Trn1n", "Trn2", "Trn2u"], (1, 4, 8, 16)),
        "Inf1": range(1, 17),
        "Inf2": range(1, 13),
    },
    "AMD_GPU": dict.fromkeys(
        ["MI100", "MI210", "MI250", "MI250X", "MI300A", "MI300X", "MI325X", "MI350X", "MI355X"], ONE
    ),
    "HABANA_GAUDI": {"Gaudi1": ONE},
    "APPLE_SILICON": {"AppleSilicon": ONE},
}
STRINGS = {f"{name}:{n}": (kind, name, n) for kind, row in TABLE.items() for name in row for n in row[name]}


def test_every_string_of_the_table_and_no_other():
    assert set(typing.get_args(Accelerators)) == {*STRINGS, "AppleSilicon"}
    assert {text: parse_accelerator(text) for text in STRINGS} == {
        text: Device(n, kind, name) for text, (kind, name, n) in STRINGS.items()
    }
    assert parse_accelerator("AppleSilicon") == APPLE_SILICON()


def test_the_type_aliases_agree_with_the_strings():
    aliases = [devices.GPUType, devices.NeuronType, devices.AMD_GPUType, devices.HABANA_GAUDIType]
    names = {name for alias in aliases for name in typing.get_args(alias)}
    assert {text.partition(":")[0] for text in typing.get_args(Accelerators)} == names | {"AppleSilicon"}
    assert typing.get_args(devices.TPUType) == ("V5E", "V5P", "V6E")
    assert typing.get_args(devices.DeviceClass) == tuple(DEVICES)


@given(st.sampled_from(sorted(COUNTS)), st.text("0123456789:+ ", max_size=2))
def test_the_grammar_of_the_strings(name, count):
    text = f"{name}:{count}"
    if text in STRINGS:
        assert check_accelerator(text) == text
        assert parse_accelerator(text) == Device(int(count), STRINGS[text][0], name)
    else:
        with pytest.raises(ValueError, match=r"."):
            check_accelerator(text)


@given(st.text(max_size=15))
def test_any_other_text_is_refused_with_a_reason(text):
    if text not in typing.get_args(Accelerators):
        with pytest.raises(ValueError, match=r"."):
            check_accelerator(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A100", "the count is missing; write 'A100:1'"),
        ("A100:", "the count is missing"),
        ("A100:9", "1 to 8"),
        ("Trn1:2", "1, 4, 8 or 16"),
        ("RTX_PRO_6000:3", "1 or 2"),
        ("A2:2", "the count of A2 is 1$"),
        ("A100:1:1g.5gb", "a partition is not given in a string"),
        ("A100:1g.5gb", "a partition is not given"),
        ("V5E:1", "a TPU is not given as a string"),
        ("a100:1", "did you mean 'A100'"),
        ("L40S:1", "did you mean 'L40s'"),
        ("MI300:1", "'MI300X'"),
        ("AppleSilicon:2", "is 1$"),
        ("A100:9", "is 1 to 8$"),
        ("MI300X:2", r"is 1; for more use AMD_GPU\('MI300X', quantity\)$"),
        ("Gaudi1:2", r"is 1; for more use HABANA_GAUDI\('Gaudi1', quantity\)$"),
        ("A100: 1", "1 to 8"),
        ("A100:01", "1 to 8"),
    ],
)
def test_a_refused_string_is_told_what_is_near(text, reason):
    with pytest.raises(ValueError, match=reason):
        check_accelerator(text)


@pytest.mark.parametrize(("old", "new"), [("A100 80G", "A100_80G"), ("RTX PRO 6000", "RTX_PRO_6000")])
def test_a_former_spelling_is_rewritten_with_one_warning(old, new, caplog):
    with caplog.at_level(logging.WARNING, logger="flyte"):
        assert check_accelerator(f"{old}:1") == f"{new}:1"
        assert parse_accelerator(f"{old}:1") == GPU(old, 1) == Device(1, "GPU", new)
    assert [(r.name, r.levelname) for r in caplog.records] == [("flyte", "WARNING")] * 3
    assert all(old in r.getMessage() and new in r.getMessage() for r in caplog.records)


def test_the_constructors():
    assert GPU("A100", 2, "1g.5gb") == Device(2, "GPU", "A100", "1g.5gb")
    assert GPU("T4 shared", 1) == Device(1, "GPU", "T4 shared", None)
    assert TPU("V5P", "2x2x1") == Device(1, "TPU", "V5P", "2x2x1")
    assert TPU("V6E").partition is None
    assert Neuron("Trn1") == Device(1, "NEURON", "Trn1")
    assert Neuron("Trn1", quantity=16).quantity == 16
    assert AMD_GPU("MI300X") == Device(1, "AMD_GPU", "MI300X")
    assert HABANA_GAUDI("Gaudi1", quantity=1) == Device(1, "HABANA_GAUDI", "Gaudi1")
    assert (AMD_GPU("MI300X", 8).quantity, HABANA_GAUDI("Gaudi1", 8).quantity) == (8, 8)
    assert APPLE_SILICON() == Device(1, "APPLE_SILICON", "AppleSilicon")


@pytest.mark.parametrize(
    ("make", "args", "message"),
    [
        (GPU, ("A101", 1), "did you mean 'A10'"),
        (GPU, ("a100", 1), "did you mean 'A100'"),
        (GPU, ("Trn1", 1), "of class NEURON"),
        (GPU, ("AppleSilicon", 1), "of class APPLE_SILICON"),
        (GPU, (None, 1), "class GPU"),
        (GPU, ("A100", 0), "1 to 8"),
        (GPU, ("A100", 9), "1 to 8"),
        (GPU, ("A100", -1), "1 to 8"),
        (GPU, ("A2", 2), "accepted: 1, for A2"),
        (GPU, ("A100", 1, "1g.10gb"), "of A100"),
        (GPU, ("T4", 1, "1g.5gb"), "T4 cannot be cut"),
        (GPU, ("T4 shared", 1, "1g.5gb"), "cannot be cut"),
        (TPU, ("V4",), "class TPU"),
        (TPU, ("V5E", "2x2x1"), "of V5E"),
        (TPU, (None,), "class TPU"),
        (Neuron, ("Trn3",), "class NEURON"),
        (Neuron, ("Trn1", 3), "1, 4, 8 or 16"),
        (AMD_GPU, ("MI300",), "class AMD_GPU"),
        (HABANA_GAUDI, ("Gaudi2",), "class HABANA_GAUDI"),
        (AMD_GPU, ("MI300X", 9), "accepted: 1 to 8, for MI300X"),
        (HABANA_GAUDI, ("Gaudi1", 0), "accepted: 1 to 8, for Gaudi1"),
        (Device, (0, "GPU"), "1 to 64"),
        (Device, (65, "GPU"), "1 to 64"),
        (Device, (1, "gpu"), "did you mean 'GPU'"),
        (Device, (1, "CPU"), "did you mean"),
        (Device, (1, "APPLE_SILICON"), "AppleSilicon"),
        (Device, (2, "APPLE_SILICON", "AppleSilicon"), "accepted: 1"),
        (Device, (1, "GPU", "AppleSilicon"), "of class APPLE_SILICON"),
        (Device, (1, "APPLE_SILICON", "A100"), "of class GPU"),
        (Device, (1, "GPU", None, "1g.5gb"), "cannot be cut"),
        (Device, (1, "GPU", ""), "a device of class GPU"),
    ],
)
def test_a_wrong_value_is_refused(make, args, message):
    with pytest.raises(DeclarationValueError, match=message) as caught:
        make(*args)
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("make", "args"),
    [
        (GPU, ("A100", "1")),
        (GPU, ("A100", 1.0)),
        (GPU, ("A100", True)),
        (GPU, ("A100", None)),
        (GPU, (5, 1)),
        (GPU, ("A100", 1, 5)),
        (Device, (1, None)),
        (Device, (1, 5)),
        (Neuron, ("Trn1", "4")),
        (TPU, ("V5E", ("2", "2"))),
    ],
)
def test_a_wrong_type_is_refused(make, args):
    with pytest.raises(DeclarationTypeError):
        make(*args)


def test_missing_arguments_are_type_errors():
    for make in (GPU, TPU, Neuron, AMD_GPU, HABANA_GAUDI, Device):
        with pytest.raises(TypeError):
            make()
    with pytest.raises(TypeError):
        GPU("A100")


PARTITION_TABLE = {
    "A100": "1g.5gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
    "A100_80G": "1g.10gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "H100": "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "H200": "1g.18gb 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb",
    "RTX_PRO_6000": "1g.24gb 2g.48gb 4g.96gb",
    "V5E": "1x1 2x2 2x4 4x4 4x8 8x8 8x16 16x16",
    "V6E": "1x1 2x2 2x4 4x4 4x8 8x8 8x16 16x16",
    "V5P": "2x2x1 2x2x2 2x4x4 4x4x4 4x4x8 4x8x8 8x8x8 8x8x16 8x16x16 16x16x16 16x16x24",
}


def test_the_partitions():
    assert {name: " ".join(partitions) for name, partitions in PARTITIONS.items()} == PARTITION_TABLE
    for name, partitions in PARTITIONS.items():
        for partition in partitions:
            device = TPU(name, partition) if name in DEVICES["TPU"] else GPU(name, 1, partition)
            assert (device.device, device.partition) == (name, partition)


def test_the_selector_names():
    own = {
        "A100": "nvidia-tesla-a100",
        "A100_80G": "nvidia-a100-80gb",
        "H100": "nvidia-tesla-h100",
        "A10": "nvidia-a10",
        "A10G": "nvidia-a10g",
        "L4": "nvidia-l4",
        "L40s": "nvidia-l40s",
        "T4": "nvidia-tesla-t4",
        "V100": "nvidia-tesla-v100",
        "RTX_PRO_4500": "nvidia-rtx-pro-4500",
        "RTX_PRO_6000": "nvidia-rtx-pro-6000",
        "V5E": "tpu-v5-lite-podslice",
        "V5P": "tpu-v5p-slice",
        "V6E": "tpu-v6e-slice",
    }
    assert set(SELECTORS) == set(QUANTITIES)
    assert {name: selector for name, selector in SELECTORS.items() if selector != name} == own


def test_a_device_is_frozen_hashable_and_travels():
    device = GPU("A100", 1, "1g.5gb")
    with pytest.raises(AttributeError):
        device.quantity = 2
    assert len({device, GPU("A100", 1, "1g.5gb"), GPU("A100", 2)}) == 2
    assert copy.deepcopy(device) == pickle.loads(pickle.dumps(device)) == device
    assert dataclasses.replace(device, quantity=3) == GPU("A100", 3, "1g.5gb")
    assert [f.name for f in dataclasses.fields(Device)] == ["quantity", "device_class", "device", "partition"]
    assert repr(device) == "Device(quantity=1, device_class='GPU', device='A100', partition='1g.5gb')"
    with pytest.raises(DeclarationValueError):
        dataclasses.replace(device, device="T4")
