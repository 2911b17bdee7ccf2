"""A stand-in for Flyte's control plane: the real protocol, spoken to by the real client, with tasks as local processes.

    with Plane(folder) as plane:
        flyte.init(endpoint=plane.endpoint, insecure=True, project="shop", domain="development", ...)
        ...
        print(plane.told())     # what the client asked, call by call

A test switches its faults on: ``fail``, ``slow``, ``cut``, ``lack``, ``refusing`` and
``needs_token``. It needs ``flyte``.
"""

from plane.calls import Call
from plane.control import Plane

__all__ = ["Call", "Plane"]
