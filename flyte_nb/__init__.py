"""Flyte's execution environments, at home in a Jupyter notebook."""
