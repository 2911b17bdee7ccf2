"""Whom to tell, and how, when a run ends."""

from flyte_nb.environments.notifications import (
    Email,
    NamedDelivery,
    NamedRule,
    Notification,
    Slack,
    Teams,
    Webhook,
)

__all__ = ["Email", "NamedDelivery", "NamedRule", "Notification", "Slack", "Teams", "Webhook"]
