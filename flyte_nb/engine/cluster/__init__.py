"""The real Flyte SDK as an engine: every declaration as an object of the package ``flyte`` (extra ``cluster``)."""
