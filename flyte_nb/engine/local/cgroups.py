"""Control groups of Linux, versions 1 and 2: those that this process is in, and our own for what it starts."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Group", "Place", "ancestry", "make_group"]

_ROOT = Path("/")
_numbers = itertools.count(1)
#: where the empty groups of killed processes were looked for
_tidied: set[Path] = set()
OLD = 60.0  # seconds after which an empty group is not just being filled


@dataclass(frozen=True)
class Place:
    """A folder of a control group and the version of its interface."""

    folder: Path
    version: int

    def read(self, name: str) -> str:
        """Give the text of a file of the group; empty where there is none."""
        try:
            return (self.folder / name).read_text().strip()
        except OSError:
            return ""

    def number(self, name: str) -> int | None:
        """Give the number in a file of the group; None where there is none, or where it says ``max``."""
        text = self.read(name)
        return int(text) if text.isdigit() else None

    def field(self, name: str, key: str) -> int:
        """Give a number of a file that has one key and number a line; 0 where there is none."""
        for line in self.read(name).splitlines():
            found, _, value = line.partition(" ")
            if found == key and value.strip().isdigit():
                return int(value)
        return 0


@dataclass(frozen=True)
class Group(Place):
    """A group of our own; ``home`` is where processes come from and go back to."""

    home: Path | None = None

    def write(self, name: str, value: int | str) -> bool:
        """Write a setting; tell whether the system took it."""
        try:
            (self.folder / name).write_text(str(value))
        except OSError:
            return False
        return True

    def add(self, pid: int) -> bool:
        """Put a process, and all that it will start, into the group; 0 is the caller."""
        return self.write("cgroup.procs", pid)

    def members(self) -> list[int]:
        """Give the processes in it."""
        return [int(pid) for pid in self.read("cgroup.procs").split()]

    def kill(self) -> None:
        """Kill every process in it, those that are born meanwhile too."""
        if self.version == 2 and self.write("cgroup.kill", 1):
            return
        for _ in range(100):
            members = self.members()
            if not members:
                return
            for pid in members:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)

    def release(self) -> None:
        """Put the processes in it back where they come from."""
        home = Group(self.home or self.folder.parent, self.version)
        for pid in self.members():
            home.add(pid)

    def remove(self) -> bool:
        """Remove the group; tell whether it is gone. One that still has processes stays."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
        return not self.folder.exists()


def ancestry(controller: str, root: Path = _ROOT) -> list[Place]:
    """Give the groups of this process that a controller acts on, from the innermost outwards.

    Parameters
    ----------
    controller : str
        ``"memory"``, ``"cpu"``, ``"pids"``.
    root : Path
        Where ``proc`` and the mounted groups are found.
    """
    own = _own(controller, root)
    for version, path in own.items():
        for mount, top in _mounts(controller if version == 1 else "", root):
            if path == top or path.is_relative_to(top):
                inner = mount / path.relative_to(top)
                outer = (inner, *inner.parents)
                return [Place(folder, version) for folder in outer[: outer.index(mount) + 1]]
    return []


def make_group(controller: str, name: str, root: Path = _ROOT) -> Group | None:
    """Make a group under this process's own, or under the nearest one around it where that is allowed.

    Parameters
    ----------
    controller : str
        ``"memory"`` or ``"pids"``.
    name : str
        What its name begins with.
    root : Path
        As for `ancestry`.
    """
    places = ancestry(controller, root)
    for place in places[:3]:
        # version 2 hands a controller down only where no process is in the group itself
        if place.version == 2 and controller not in place.read("cgroup.subtree_control").split():
            continue
        if place.folder not in _tidied:
            _tidied.add(place.folder)
            _remove_left(place.folder, name)
        folder = place.folder / f"{name}-{os.getpid()}-{next(_numbers)}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            return Group(folder, place.version, places[0].folder)
    return None


def _remove_left(folder: Path, name: str) -> None:
    """Remove the empty groups that processes which were killed have left in a folder."""
    for left in folder.glob(f"{name}-*-*"):
        pid = left.name.split("-")[-2]
        with contextlib.suppress(OSError):  # it is in use, or another's
            if pid.isdigit() and not Path("/proc", pid).exists() and time.time() - left.stat().st_mtime > OLD:
                left.rmdir()


def _own(controller: str, root: Path) -> dict[int, Path]:
    """Give the paths of this process's groups, by version; the first is the one that the controller acts on."""
    found = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            found[1] = Path(path)
        elif number == "0":
            found[2] = Path(path)
    return dict(sorted(found.items()))


def _mounts(controller: str, root: Path) -> Iterator[tuple[Path, Path]]:
    """Give where groups are mounted, and which path of theirs is mounted there."""
    for line in _lines(root / "proc/self/mountinfo"):
        fields, _, filesystem = line.partition(" - ")
        top, mount = fields.split()[3:5]
        kind, *_, options = filesystem.split()
        if (kind == "cgroup2" and not controller) or (kind == "cgroup" and controller in options.split(",")):
            yield root / mount.lstrip("/"), Path(top)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
