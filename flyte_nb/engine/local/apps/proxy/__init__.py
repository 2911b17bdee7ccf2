"""Proxy: the process that an app's requests come through. Nothing of the kernel is imported here."""
