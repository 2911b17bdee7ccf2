"""Drafting: changes of an environment, gathered and checked, then applied to the registry or to its source."""

from __future__ import annotations

from flyte_nb.drafting.drafts import Draft, draft
from flyte_nb.drafting.rebasing import Conflict

__all__ = ["Conflict", "Draft", "draft"]
