"""Failures: what goes wrong between this process and a cluster, each as one error that says what to do.

The causes of an error are looked through for the first that says more than that something failed. What the control
plane answered is told, without what a token, a key or a signed address would give away.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterable, Iterator

from flyte_nb.engine.cluster import sdk
from flyte_nb.errors import (
    CodeBundleError,
    DeploymentError,
    FlyteError,
    ImageBuildError,
    InitializationError,
    UnionRpcError,
)

__all__ = ["code_of", "redacted", "told"]

UNREACHABLE = "Unreachable"
UNAUTHENTICATED = "Unauthenticated"
DENIED = "PermissionDenied"
REJECTED = "Rejected"
NOT_FOUND = "NotFound"
EXISTS = "AlreadyExists"
SLOW = "TooSlow"
CUT_OFF = "UploadCutOff"
SKEW = "VersionSkew"
BROKEN = "ControlPlaneFailed"
HERE = "SdkFailed"

#: what each answer of a control plane means
_MEANINGS = {
    "unavailable": UNREACHABLE,
    "unauthenticated": UNAUTHENTICATED,
    "permission_denied": DENIED,
    "invalid_argument": REJECTED,
    "failed_precondition": REJECTED,
    "out_of_range": REJECTED,
    "resource_exhausted": REJECTED,
    "not_found": NOT_FOUND,
    "already_exists": EXISTS,
    "deadline_exceeded": SLOW,
    "canceled": SLOW,
    "unimplemented": SKEW,
}
_ADVICE = {
    UNREACHABLE: "does not answer. Is its address right, is it up, does a proxy or VPN stand between? `%flyte connect` "
    "says where this process connects to",
    UNAUTHENTICATED: "does not know who asks. Log in again, or give other credentials: flyte.init(…) or the "
    "configuration file",
    DENIED: "does not allow it to whoever asks. Use another project or domain, or ask for the permission",
    REJECTED: "refuses it",
    NOT_FOUND: "does not have it",
    EXISTS: "has one of that name already",
    SLOW: "took too long. Ask again; flyte.init(…) with another endpoint if that goes on",
    CUT_OFF: "was cut off in the upload. Nothing was deployed from it; ask again",
    SKEW: "and the installed Flyte SDK do not understand each other. Install a version that fits the cluster",
    BROKEN: "failed at it. Its own log says more",
    HERE: "was not asked, or its answer not understood: the installed Flyte SDK failed at it",
}
_HTTP = ("httpx", "httpcore")  # uploads to signed addresses
#: what the SDK raises before it asks anybody
_OWN = {kind.__name__: kind for kind in (ImageBuildError, CodeBundleError, DeploymentError)}
_UPLOADS = ("UploadFailed", "UploadRetriesExhausted", "UploadTimeout")
_HIDDEN = (
    (re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+"), r"\1?…"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 …"),
    (re.compile(r"(?i)\b((?:access_|refresh_|id_)?token|api_?key|client_secret|password|signature)(['\"]?\s*[=:]\s*)"
                r"['\"]?[^\s,;&'\"]+"), r"\1\2…"),
)  # fmt: skip


def told(error: BaseException, asked: str, endpoint: str, secrets: Iterable[str] = ()) -> FlyteError:
    """Give the error that a person reads.

    Parameters
    ----------
    error : BaseException
        What the SDK raised.
    asked : str
        What was asked for, as in ``"deploying 'train'"``.
    endpoint : str
        Who was asked.
    secrets : iterable of str
        Texts that are never told.

    Returns
    -------
    FlyteError
        Itself where it is one; else a `UnionRpcError` whose ``code`` says what kind of failure it is.
    """
    if isinstance(error, FlyteError):
        return error
    if (own := _of_user(error, secrets)) is not None:
        return own
    code, message = _found(error)
    answer = redacted(message, secrets)
    what = f"{asked}: {endpoint} {_ADVICE[code]}"
    if code == SKEW:
        what += f" (flyte {sdk.version()} is here; {sdk.TESTED[0]} to {sdk.TESTED[-1]} are tested)"
    made = UnionRpcError(code, f"{what}. What it says: {answer}" if answer else f"{what}.")
    made.__cause__ = None  # the SDK's own text may hold what is not to be told
    made.__suppress_context__ = True
    return made


def _of_user(error: BaseException, secrets: Iterable[str]) -> FlyteError | None:
    """Give an error that the SDK raised before it asked anybody: an image, a bundle; None for any other."""
    if any(_kind(one) is not None for one in _causes(error)):
        return None
    for one in _causes(error):
        kind = _OWN.get(type(one).__name__) if type(one).__module__ == "flyte.errors" else None
        if kind is not None:
            return kind(redacted(str(one), secrets))
    return None


def unknown() -> InitializationError:
    """Give the error for a process that knows no cluster."""
    return InitializationError(
        "NotInitialized", "user",
        "no cluster is known here. Name one with flyte.init(endpoint=…, project=…, …), flyte.init_from_config(…) or "
        "%flyte connect, or write a configuration file: ./config.yaml, .flyte/config.yaml or ~/.flyte/config.yaml",
    )  # fmt: skip


def code_of(error: BaseException) -> str:
    """Give the kind of a failure, which is the code of the error that `told` makes of it."""
    return _found(error)[0]


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Give a text in one line and bounded, without secrets, tokens and what signs an address."""
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "…")
    for pattern, instead in _HIDDEN:
        text = pattern.sub(instead, text)
    text = " ".join(text.split())
    return text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"


def _found(error: BaseException) -> tuple[str, str]:
    for one in _causes(error):
        if (code := _kind(one)) is not None:
            return code, _message(one)
    return HERE, f"{type(error).__name__}: {error}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it came from, each once."""
    seen, one = set[int](), error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        if inner := getattr(one, "exceptions", None):  # the group of a gather
            yield from _causes(inner[0])
        one = one.__cause__ or one.__context__  # type: ignore[assignment]


def _kind(error: BaseException) -> str | None:
    """Tell what kind of failure one error is; None where it only says that something failed."""
    code, package = getattr(error, "code", None), type(error).__module__.partition(".")[0]
    if code in _UPLOADS:
        return CUT_OFF
    if package == "connectrpc" and code is not None:
        return _of_answer(str(getattr(code, "value", code)), _message(error))
    if package in _HTTP:
        return _of_request(type(error).__name__)
    if "AuthError" in type(error).__name__ or type(error).__module__.startswith("flyte.remote._client.auth"):
        return UNAUTHENTICATED
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return SLOW
    if isinstance(error, ConnectionError | socket.gaierror | ssl.SSLError):
        return UNREACHABLE
    if isinstance(error, ImportError | AttributeError | NotImplementedError) or _is_of_protocol(error):
        return SKEW
    return None


def _of_request(name: str) -> str:
    """Tell what kind of failure an error of the library is that uploads are made with."""
    if name.startswith(("Connect", "Pool", "Proxy")):
        return UNREACHABLE
    return SLOW if "Timeout" in name else CUT_OFF


def _of_answer(code: str, message: str) -> str:
    meaning = _MEANINGS.get(code, BROKEN)
    return SKEW if meaning == BROKEN and "404" in message else meaning


def _is_of_protocol(error: BaseException) -> bool:
    """Tell whether a message of the protocol lacks what it was made or asked with."""
    told = str(error)
    if isinstance(error, TypeError):
        return "argument" in told
    return isinstance(error, ValueError) and ("no field" in told or ("has no" in told and "field" in told))


def _message(error: BaseException) -> str:
    return str(getattr(error, "message", "") or error)
