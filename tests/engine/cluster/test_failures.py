"""Every failure between this process and a cluster is one error that says what to do, and gives no secret away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")

import flyte.errors
import httpx
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyte_nb.engine.cluster.failures import code_of, redacted, told
from flyte_nb.errors import DeploymentError, ImageBuildError, UnionRpcError


def chained(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectError(Code.UNAVAILABLE, "gone"), "Unreachable"),
        (ConnectError(Code.UNAUTHENTICATED, "who"), "Unauthenticated"),
        (ConnectError(Code.PERMISSION_DENIED, "no"), "PermissionDenied"),
        (ConnectError(Code.INVALID_ARGUMENT, "bad"), "Rejected"),
        (ConnectError(Code.NOT_FOUND, "none"), "NotFound"),
        (ConnectError(Code.DEADLINE_EXCEEDED, "late"), "TooSlow"),
        (ConnectError(Code.UNIMPLEMENTED, "404"), "VersionSkew"),
        (ConnectError(Code.INTERNAL, "oops"), "ControlPlaneFailed"),
        (asyncio.TimeoutError(), "TooSlow"),
        (ConnectionRefusedError("refused"), "Unreachable"),
        (AttributeError("'X' has no attribute 'y'"), "VersionSkew"),
        (TypeError("MethodInfo.__init__() missing 1 required keyword-only argument: 'stream_type'"), "VersionSkew"),
        (ValueError('Protocol message A has no "b" field.'), "VersionSkew"),
        (httpx.ConnectError("refused"), "Unreachable"),
        (httpx.RemoteProtocolError("cut"), "UploadCutOff"),
        (flyte.errors.RuntimeSystemError("UploadFailed", "cut"), "UploadCutOff"),
        (chained(RuntimeError("outer"), ConnectError(Code.UNAVAILABLE, "gone")), "Unreachable"),
        (KeyError("x"), "SdkFailed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__ + str(getattr(value, "code", "")),
)
def test_what_went_wrong_is_found_among_the_causes(error: BaseException, code: str) -> None:
    assert code_of(error) == code
    made = told(error, "asking", "http://there")
    assert isinstance(made, UnionRpcError)
    assert made.code == code
    assert str(made).startswith("asking: http://there ")


def test_an_error_of_this_package_is_told_as_it_is() -> None:
    error = DeploymentError("no")
    assert told(error, "asking", "http://there") is error


def test_an_image_that_cannot_be_built_is_no_failure_of_the_cluster() -> None:
    error = chained(flyte.errors.ImageBuildError("docker is not there"), FileNotFoundError("docker"))
    made = told(error, "asking", "http://there")
    assert isinstance(made, ImageBuildError)
    assert "docker is not there" in str(made)


@pytest.mark.parametrize(
    "text",
    [
        "PUT https://store/bucket/key?X-Amz-Signature=hush&X-Amz-Credential=hush failed",
        "Authorization: Bearer hush.hush-hush",
        "token=hush was refused",
        '{"client_secret": "hush"}',
        "the api_key: hush is old",
        "my-own-secret-hush is wrong",
    ],
)
def test_what_is_secret_is_not_told(text: str) -> None:
    assert "hush" not in redacted(text, ("my-own-secret-hush",))


def test_a_long_answer_keeps_both_ends() -> None:
    told_: Any = redacted("a" * 1000 + "\n" + "b" * 1000)
    assert len(told_) < 650
    assert told_.startswith("aaa")
    assert told_.endswith("bbb")
