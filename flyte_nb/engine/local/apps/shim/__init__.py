"""A folder for ``PYTHONPATH``: its ``sitecustomize`` maps the ports of the Pythons that an app's command starts."""
