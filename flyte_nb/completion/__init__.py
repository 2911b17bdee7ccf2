"""Completion of ``%flyte`` and ``%%flyte`` lines, made of the parsers that read them."""
