"""Containers: tasks that are a command in a container, run by the container engine of this machine."""
