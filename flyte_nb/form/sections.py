"""Sections: the form of a class of environments, made of its JSON Schema; what a class adds gets fields of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.forms import json_schema
from flyte_nb.form.fields import FormField, Section
from flyte_nb.form.generic import added_fields, generic_fields
from flyte_nb.form.images import base_of, packages_of, with_base, with_packages
from flyte_nb.form.parts import (
    METRICS,
    cache_behavior,
    cache_part,
    is_reused,
    metric,
    metric_target,
    port_part,
    with_cache_behavior,
    with_cache_part,
    with_metric,
    with_metric_target,
    with_port_part,
    with_reuse,
)
from flyte_nb.form.shapes import (
    ACCELERATOR,
    BYTES,
    CORES,
    COUNT,
    DURATION,
    FLAG,
    LINES,
    PAIR_OF_COUNTS,
    TEXT,
    WORDS,
    Shape,
    choice,
)

__all__ = ["form_of"]

_AMOUNT = "512Mi or 4Gi"
_DURATION = "90s, 5m or 1h"
_REPLICAS = "a number, or MIN:MAX"
_ITEMS = Shape("items", lambda value: "", str, of=(object,))


def _cache(part: str, label: str, shape: Shape, hint: str) -> FormField:
    return FormField(f"cache.{part}", label, shape, hint, get=cache_part(part), put=with_cache_part(part))


def _own() -> Iterator[FormField]:
    """Give the fields that are not simply what the schema says, in the order in which they are shown."""
    yield FormField("resources.cpu", "cpu", CORES, "2 or 500m")
    yield FormField("resources.memory", "memory", BYTES, _AMOUNT)
    yield FormField("resources.gpu", "accelerator", ACCELERATOR, "A100:1, A100:1/1g.5gb, or a count")
    yield FormField("resources.disk", "disk", TEXT, _AMOUNT)
    yield FormField("resources.shm", "shared memory", TEXT, f"{_AMOUNT}, or auto")
    yield FormField("image", "image", TEXT, "auto, debian 3.12 or a URI", "auto", base_of, with_base)
    yield FormField(
        "image.packages", "packages", LINES, "one a line, such as pandas>=2", "", packages_of, with_packages
    )
    yield FormField("env_vars", "variables", _ITEMS)
    yield FormField("secrets", "secrets", _ITEMS)
    yield FormField("cache", "cache", choice(("disable", "auto", "override")),
                    "whether outputs are used again", "", cache_behavior, with_cache_behavior)  # fmt: skip
    yield _cache("version_override", "version", TEXT, "by default of the code")
    yield _cache("salt", "salt", TEXT, "goes into the version")
    yield _cache("ignored_inputs", "ignored inputs", LINES, "names, one a line")
    yield _cache("max_age", "max age", DURATION, _DURATION)
    yield _cache("serialize", "one at a time", FLAG, "equal calls wait for the first one")
    yield FormField("reusable", "warm processes", FLAG, "kept between calls", "", is_reused, with_reuse)
    yield FormField("reusable.replicas", "replicas", PAIR_OF_COUNTS, _REPLICAS, "2")
    yield FormField("reusable.concurrency", "concurrency", COUNT, "calls that one takes at a time", "1")
    yield FormField("reusable.idle_ttl", "all end after", DURATION, "without a call", "30s")
    yield FormField("reusable.scaledown_ttl", "one ends after", DURATION, "without a call", "30s")
    yield FormField("scaling.replicas", "replicas", PAIR_OF_COUNTS, _REPLICAS, "0:1")
    yield FormField("scaling.metric", "measured", choice(("", *METRICS)), "what makes it more or fewer", "",
                    metric, with_metric)  # fmt: skip
    yield FormField("scaling.target", "target", COUNT, "for each replica", "", metric_target, with_metric_target)
    yield FormField("scaling.scaledown_after", "fewer after", DURATION, "90s or 5m without any")
    yield FormField("port", "port", COUNT, "1 to 65535", "8080", port_part("port"), with_port_part("port"))
    yield FormField("port.name", "protocol", TEXT, "http1 or h2c", "", port_part("name"), with_port_part("name"))
    yield FormField("requires_auth", "asks for a token", FLAG, "callers have to show one")
    yield FormField("timeouts.request", "request timeout", DURATION, "90s or 5m, at most 1h")
    yield FormField("type", "type", TEXT, "a word")
    yield FormField("command", "command", WORDS, "Flyte's server")
    yield FormField("args", "arguments", WORDS, "after the command")
    yield FormField("domain.subdomain", "subdomain", TEXT)
    yield FormField("domain.custom_domain", "domain", TEXT, "a whole host name")
    yield FormField("include", "files", LINES, "files, folders or patterns, one a line")
    yield FormField("depends_on", "depends on", _ITEMS)
    yield FormField("description", "description", TEXT, "cut at 255 characters")
    yield FormField("interruptible", "interruptible", FLAG, "its machine may be taken away")
    yield FormField("pod_template", "pod template", TEXT, "the name of one")
    yield FormField("service_account", "account", TEXT, "a Kubernetes account")


#: what is shown where: fields by name, each with its parts
_SECTIONS = {
    "Resources": ("resources",),
    "Image": ("image",),
    "Variables": ("env_vars",),
    "Secrets": ("secrets",),
    "Cache": ("cache",),
    "Warm processes": ("reusable",),
    "Scaling": ("scaling",),
    "Serving": ("port", "requires_auth", "timeouts", "type", "command", "args", "domain", "links", "parameters"),
    "Files": ("include",),
    "Dependencies": ("depends_on",),
    "Cluster": ("description", "interruptible", "queue", "service_account", "pod_template", "plugin_config",
                "cluster_pool", "cluster"),
}  # fmt: skip
_OTHER = "Its own settings"


@functools.lru_cache(maxsize=64)
def form_of(kind: type[Environment]) -> tuple[Section, ...]:
    """Give the form of a class of environments.

    Parameters
    ----------
    kind : type
        The class; fields that a user's class adds are in a section of their own, as their schema says.
    """
    schema: Mapping[str, Any] = json_schema(kind)["properties"]
    own: dict[str, list[FormField]] = {}
    for field in _own():
        own.setdefault(field.root, []).append(field)
    found = {
        name: own.get(name) or list(generic_fields(name, accepted))
        for name, accepted in schema.items()
        if name != "name"
    }
    for field in added_fields(kind, schema):
        found.setdefault(field.root, []).append(field)
    sections = {title: [f for name in names for f in found.pop(name, ())] for title, names in _SECTIONS.items()}
    sections[_OTHER] = [field for fields in found.values() for field in fields]
    return tuple(Section(title, tuple(fields)) for title, fields in sections.items() if fields)
