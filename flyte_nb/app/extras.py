"""Apps made with a framework."""

from flyte_nb.environments.fastapi_app import FastAPIAppEnvironment

__all__ = ["FastAPIAppEnvironment"]
