"""Reference: what File, Dir and DataFrame share — fields that are JSON data, also where they are fields of a model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from flyte_nb.environments.declaration import Declaration, refuse_type

__all__ = ["Reference"]

R = TypeVar("R", bound="Reference")


class Reference(Declaration):
    """The base of values that say where data is; the ``model_…`` methods are those of pydantic's models."""

    def model_dump(self) -> dict[str, Any]:
        """Give every field by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def model_dump_json(self) -> str:
        """Give every field as compact JSON."""
        return json.dumps(self.model_dump(), separators=(",", ":"))

    @classmethod
    def model_validate(cls: type[R], obj: Any) -> R:
        """Make it from a mapping of its fields; one of this class is given back itself.

        Raises
        ------
        DeclarationTypeError
            For anything else, and for a field of the wrong type.
        TypeError
            For a field that it does not have.
        """
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, Mapping):
            raise refuse_type(cls, "model_validate", obj, f"a {cls.__name__}, or a mapping of its fields")
        return cls(**obj)

    @classmethod
    def model_validate_json(cls: type[R], json_data: str | bytes) -> R:
        """Make it from JSON; the inverse of `model_dump_json`."""
        return cls.model_validate(json.loads(json_data))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def made(value: Any) -> Any:
            known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
            return cls(**value) if isinstance(value, dict) and value and set(value) <= known else value

        return core_schema.no_info_before_validator_function(
            made,
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(cls.model_dump),
        )
