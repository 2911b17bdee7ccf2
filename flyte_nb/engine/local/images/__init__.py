"""Images: the Python environments that stand in for images on this machine.

An `Image` with Python packages becomes a virtual environment made by uv: built once, shared between kernels, and kept
under ``FLYTE_NB_CACHE``. What needs a container is never built; `unmet` says it.
Its modules are imported one by one: most kernels never make an image.
"""
