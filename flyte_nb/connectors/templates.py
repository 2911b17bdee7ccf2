"""Templates: a task as the protocol describes it to a connector."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from flyteidl2.core import identifier_pb2, interface_pb2, literals_pb2, security_pb2, tasks_pb2

from flyte_nb.connectors.literal_types import struct_of, type_of_kind
from flyte_nb.connectors.literals import told_kind
from flyte_nb.context.records import SerializationContext
from flyte_nb.context.task_context import TaskContext
from flyte_nb.environments.proto_resources import get_proto_resources
from flyte_nb.environments.secrets import secrets_from_request
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import UsageError

__all__ = ["template_of"]


def template_of(task: TaskTemplate, context: TaskContext, values: dict[str, Any]) -> tasks_pb2.TaskTemplate:
    """Give the template of a task, for the run that it is in.

    Parameters
    ----------
    task : TaskTemplate
        The task.
    context : TaskContext
        Where it runs.
    values : dict
        Its inputs: they say the types of those that are declared with none.
    """
    action = context.action
    settings = SerializationContext(context.version, action.project, action.domain, action.org)
    made = tasks_pb2.TaskTemplate(
        id=identifier_pb2.Identifier(
            resource_type=identifier_pb2.TASK,
            project=action.project or "",
            domain=action.domain or "",
            org=action.org or "",
            name=task.name,
            version=context.version,
        ),
        type=task.task_type,
        task_type_version=task.task_type_version,
        interface=_interface(task, values),
        custom=struct_of(task.custom_config(settings)),
        container=_container(task),
    )
    made.metadata.runtime.flavor = "python"
    for secret in secrets_from_request(task.secrets):
        made.security_context.secrets.append(
            security_pb2.Secret(key=secret.key, group=secret.group or "", env_var=secret.as_env_var or "")
        )
    if sql := task.sql(settings):
        made.sql.statement = sql
    return made


def _interface(task: TaskTemplate, values: dict[str, Any]) -> interface_pb2.TypedInterface:
    declared = task.interface.get_input_types()
    inputs = {name: told_kind(kind, values[name]) for name, kind in declared.items() if name in values}
    return interface_pb2.TypedInterface(inputs=_variables(inputs), outputs=_variables(task.interface.outputs))


def _variables(kinds: Mapping[str, Any]) -> interface_pb2.VariableMap:
    """Describe inputs or outputs; one that has no form in the protocol is left out, and fails where it has a value."""
    made = interface_pb2.VariableMap()
    for name, kind in kinds.items():
        with contextlib.suppress(UsageError):
            made.variables.append(
                interface_pb2.VariableEntry(key=name, value=interface_pb2.Variable(type=type_of_kind(kind)))
            )
    return made


def _container(task: TaskTemplate) -> tasks_pb2.Container:
    env = [literals_pb2.KeyValuePair(key=name, value=value) for name, value in (task.env_vars or {}).items()]
    return tasks_pb2.Container(resources=get_proto_resources(task.resources), env=env)
