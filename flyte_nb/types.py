"""The types of tasks' inputs and outputs: how a value is checked, read from text, and how a type is named."""

from flyte_nb.environments.interface import check_value, describe, parse

__all__ = ["check_value", "describe", "parse"]
