"""Code bundles: the code that travels with a run, put where this process can import it."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flyte_nb.context.records import CodeBundle
from flyte_nb.errors import CodeBundleError, InitializationError

__all__ = ["download_code_bundle"]


async def download_code_bundle(code_bundle: CodeBundle) -> CodeBundle:
    """Put a bundle's code into its destination, which can be imported from afterwards.

    Parameters
    ----------
    code_bundle : CodeBundle
        An archive is unpacked, a pickle is copied. One that was downloaded before is not downloaded again.

    Returns
    -------
    CodeBundle
        The same with its ``downloaded_path``: the destination of an archive, the file of a pickle.

    Raises
    ------
    CodeBundleError
        When the file is missing or no archive, or holds a path outside of the destination.
    InitializationError
        When it is not a file of this machine: fetching from an object store needs the Flyte SDK.
    """
    from asyncio import to_thread

    destination = Path(code_bundle.destination).absolute()
    if str(destination) not in sys.path:
        sys.path.insert(0, str(destination))
    if code_bundle.downloaded_path is not None:
        return code_bundle
    source = _local(str(code_bundle.tgz or code_bundle.pkl))
    return code_bundle.with_downloaded_path(
        await to_thread(_unpacked if code_bundle.tgz else _copied, source, destination)
    )


def _local(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise InitializationError(
            "NotAvailable",
            "user",
            f"the code bundle {uri!r} is not a file of this machine; flyte_nb does not fetch from object stores, "
            "the flyte package does",
        )
    path = Path(unquote(parts.path) if parts.scheme else uri)
    if not path.is_file():
        raise CodeBundleError(f"there is no code bundle {str(path)!r}")
    return path


def _unpacked(archive: Path, destination: Path) -> Path:
    if not hasattr(tarfile, "data_filter"):
        raise CodeBundleError("this Python cannot unpack an archive safely; 3.10.12, 3.11.4 and later can")
    destination.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(destination, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CodeBundleError(f"the code bundle {str(archive)!r} cannot be unpacked: {error}") from error
    return destination


def _copied(pickle: Path, destination: Path) -> Path:
    destination.mkdir(parents=True, exist_ok=True)
    target = destination / pickle.name
    if not target.exists() or not target.samefile(pickle):
        shutil.copyfile(pickle, target)
    return target
