"""Every error crosses a process whole, and a wrong name meets its nearest neighbour."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
from flyte_nb import errors
from flyte_nb.errors import FlyteError, UnknownNameError, suggestion

MADE: list[FlyteError] = [
    errors.FlyteError("m"),
    errors.DeclarationError("Resources.cpu", "-1", "a positive number", "it is negative"),
    errors.DeclarationValueError("Resources.cpu", "-1", "a positive number"),
    errors.DeclarationTypeError("Resources.cpu", "[]", "a number"),
    errors.DeclarationFileError("UVProject.lock", "'uv.lock'", "a file that is there"),
    errors.NotebookError("m"),
    errors.DuplicateEnvironmentError("m"),
    errors.SliceError("m"),
    errors.ParameterError("m"),
    errors.UsageError("m"),
    errors.UnknownNameError("task", "dobule", ["double"]),
    errors.StoreError("m"),
    errors.BaseRuntimeError("Code", "unknown", "m", "w1"),
    errors.RuntimeUserError("ValueError", "m", "w1"),
    errors.RuntimeSystemError("Lost", "m", "w1"),
    errors.TaskProcessError("m", -11, "w1"),
    errors.RuntimeDataValidationError("input 'x'", "given 1", "e.t"),
    errors.DeploymentError("m"),
    errors.InvalidPackageError("libfoo", "not found"),
    errors.GPUFaultError("GpuXidError", "system", "m", fault_kind="xid", fault_code=79),
    errors.GPUFaultUserError("GpuXidError", "m", "w1", fault_kind="sxid", fault_code=1, gpu_index=0),
    errors.GPUFaultSystemError("GpuFallenOffBus", "m"),
]
TWO = (
    "OOMError TaskInterruptedError PrimaryContainerNotFoundError RetriesExhaustedError UnionRpcError CustomError "
    "InvalidImageNameError ImagePullBackOffError NotInTaskContextError RuntimeUnknownError"
)
MADE += [getattr(errors, name)("Code", "m", "w1") for name in TWO.split()]
MADE.append(errors.InitializationError("Code", "user", "m"))
CLASSES = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]
MADE += [getattr(errors, n)("m") for n in CLASSES if n not in {type(e).__name__ for e in MADE}]


def test_all_of_them_are_here() -> None:
    assert {type(e).__name__ for e in MADE} == set(CLASSES)
    for error in MADE:
        named = [
            base.__name__
            for base in type(error).__mro__
            if f" {base.__name__} " in f"{errors.__doc__}".replace("\n", " \n ")
        ]
        assert named, f"{type(error).__name__} is under no branch of the tree"


@pytest.mark.parametrize("error", MADE, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_with_its_attributes(error: FlyteError, protocol: int) -> None:
    error.more = ["set", "later"]  # type: ignore[attr-defined]
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))
    assert vars(copy.copy(error)) == vars(error)


def test_subclass_with_its_own_constructor_pickles() -> None:
    back = pickle.loads(pickle.dumps(Picky(1, two=2)))
    assert (back.one, back.two, str(back)) == (1, 2, "1 and 2")


class Picky(errors.RuntimeUserError):
    def __init__(self, one: int, *, two: int) -> None:
        super().__init__("Picky", f"{one} and {two}")
        self.one, self.two = one, two


def test_crosses_a_process() -> None:
    code = "import pickle, sys; e = pickle.load(sys.stdin.buffer); print(type(e).__name__, e.exit_code, e.worker, e)"
    data = pickle.dumps(errors.TaskProcessError("ended", -9, "w2"))
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=20, check=True)
    assert done.stdout.split() == [b"TaskProcessError", b"-9", b"w2", b"ended"]


def test_caught_by_the_classes_of_python() -> None:
    assert issubclass(errors.DeclarationTypeError, TypeError)
    assert issubclass(errors.DeclarationValueError, ValueError)
    assert issubclass(errors.UnknownNameError, LookupError)
    assert issubclass(errors.RuntimeDataValidationError, TypeError)
    assert issubclass(errors.BaseRuntimeError, RuntimeError)
    assert all(issubclass(getattr(errors, name), FlyteError) for name in CLASSES)


def test_faults_of_gpus_say_who_reported_them() -> None:
    error = errors.GPUFaultUserError("GpuXidError", "m", fault_kind="xid", fault_code=79, fault_name="off the bus")
    assert (error.code, error.kind, error.xid, error.sxid, error.fault_name) == (
        "GpuXidError", "user", 79, None, "off the bus",
    )  # fmt: skip
    assert errors.GPUFaultSystemError("GpuNvlinkError", "m", fault_kind="sxid", fault_code=4).sxid == 4
    assert errors.GPUFaultSystemError("GpuNvlinkError", "m").kind == "system"
    assert issubclass(errors.GPUFaultUserError, errors.RuntimeUserError)
    assert error.code in errors.GPU_FAULT_CODES
    with pytest.raises(TypeError, match="nonsense"):
        errors.GPUFaultUserError("GpuXidError", "m", nonsense=1)


def test_errors_of_apple_machines_have_their_code_and_say_whether_to_try_again() -> None:
    assert set(errors.APPLE_SILICON_ERRORS_BY_CODE.values()) == set(errors.AppleSiliconError.__subclasses__())
    for code, kind in errors.APPLE_SILICON_ERRORS_BY_CODE.items():
        error = kind("m", "w1")
        assert (error.code, error.kind, error.worker, str(error)) == (code, "user", "w1", "m")
    assert errors.AppleSiliconDaemonOOMError.recoverable
    assert not errors.AppleSiliconNotAvailableError.recoverable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("OOMKilled", errors.OOMError),
        ("OOM", errors.OOMError),
        ("TaskInterrupted", errors.TaskInterruptedError),
        ("RetriesExhausted", errors.RetriesExhaustedError),
        ("ImagePullBackOff", errors.ImagePullBackOffError),
        ("InvalidImageName", errors.InvalidImageNameError),
        ("PrimaryContainerNotFound", errors.PrimaryContainerNotFoundError),
        ("UnknownFailure", errors.RuntimeUnknownError),
        ("ValueError", errors.RuntimeUserError),
    ],
)
def test_a_code_stands_for_a_class(code: str, kind: type[errors.BaseRuntimeError]) -> None:
    error = errors.RuntimeUserError(code, "m", "w1")
    error.__cause__, error.remote_traceback = ValueError("v"), "In [1]"
    told = errors.by_code(error)
    assert type(told) is kind
    assert (told.code, str(told), told.worker, told.remote_traceback) == (code, "m", "w1", "In [1]")
    assert told.__cause__ is error.__cause__


def test_an_error_of_a_class_of_its_own_keeps_it() -> None:
    error = errors.CustomError("OOM", "m")
    assert errors.by_code(error) is error


def test_arithmetic_raises_the_error_itself() -> None:
    error = errors.OOMError("OOM", "m")
    names = ("add", "sub", "mul", "truediv", "floordiv")
    for name in [*names, *(f"r{name}" for name in names)]:
        with pytest.raises(errors.OOMError) as caught:
            getattr(error, f"__{name}__")(1)
        assert caught.value is error


def test_rows_of_a_declaration_error() -> None:
    error = errors.DeclarationError("Resources.cpu", "-1", "a positive number", "it is negative")
    assert str(error) == "Resources.cpu: given -1 (it is negative); accepted: a positive number"
    assert error.rows() == [
        ("field", "Resources.cpu"), ("given", "-1"), ("accepted", "a positive number"), ("because", "it is negative")
    ]  # fmt: skip
    assert len(errors.DeclarationError("f", "g", "a").rows()) == 3


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("dobule", ["double", "triple"], "did you mean 'double'?"),
        ("x", ["alpha", "beta"], "there is 'alpha', 'beta'"),
        ("x", [], "there is none yet"),
        ("", ["alpha"], "there is 'alpha'"),
        ("zzz", [f"name-{n}" for n in range(20)], "and 12 more"),
    ],
)
def test_suggestion(name: str, known: list[str], told: str) -> None:
    assert told in suggestion(name, known)


def test_unknown_name_takes_any_iterable() -> None:
    error = UnknownNameError("task", "a", (name for name in ["ab"]))
    assert error.known == ("ab",)
    assert str(error) == "no task named 'a'; did you mean 'ab'?"


def test_short_rendering_has_no_frames_of_the_library() -> None:
    try:
        raise errors.UsageError("used wrongly")
    except errors.UsageError as error:
        lines = "\n".join(error._render_traceback_())
    assert lines.endswith("UsageError: used wrongly")
    assert "Traceback" not in lines


def test_a_missing_file_is_a_wrong_value_too() -> None:
    error = errors.DeclarationFileError("UVProject.lock", "'uv.lock'", "a file that is there")
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, ValueError)
    assert str(error) == "UVProject.lock: given 'uv.lock'; accepted: a file that is there"
    assert error.rows()[0] == ("field", "UVProject.lock")
