"""Maps the ports of any Python that finds this folder in ``PYTHONPATH``, then gives way to its own sitecustomize."""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _run(spec):  # type: ignore[no-untyped-def]
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MAPPING = os.path.join(os.path.dirname(_HERE), "port_mapping.py")
_run(importlib.util.spec_from_file_location("_flyte_nb_port_mapping", _MAPPING)).install()  # type: ignore[no-untyped-call]
_own = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [folder for folder in sys.path if os.path.abspath(folder or ".") != _HERE]
)
if _own is not None and _own.loader is not None:
    _run(_own)  # type: ignore[no-untyped-call]
