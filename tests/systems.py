"""Files laid out as a system shows what it is."""

from __future__ import annotations

from pathlib import Path


def system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """Lay out files as a system shows its control groups."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
