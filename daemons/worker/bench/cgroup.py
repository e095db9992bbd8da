"""What the control groups of this process say (cgroups(7)), in both versions. Reads files alone.

A limit of a parent binds as well, so everything is told from the process's own group up to the root. Inside a
container the path may be the host's: what doesn't exist is skipped, and the root is the container's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def cpu_quota(root: Path = ROOT) -> float | None:
    """The processors' worth of time that the tightest group grants; None where none limits it."""
    quotas, periods = (_texts(root, f"cpu.cfs_{name}_us", "cpu") for name in ("quota", "period"))
    old = [f"{quota} {period}" for quota, period in zip(quotas, periods, strict=False)]
    limits = (cores_of(text) for text in (*_texts(root, "cpu.max"), *old))
    return min((cores for cores in limits if cores is not None), default=None)


def cores_of(quota_and_period: str) -> float | None:
    """``150000 100000`` is 1.5; None for ``max`` and for the old version's -1."""
    quota, _, period = quota_and_period.partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def oom_kills(root: Path = ROOT) -> int | None:
    """How many processes of this group the kernel has killed because memory ran out; the machine's where it has none.

    The count is the kernel's own since boot: one that has grown tells that it happened.
    """
    for text in (*_texts(root, "memory.events"), *_texts(root, "memory.oom_control", "memory")):
        if (count := counter(text, "oom_kill")) is not None:
            return count
    return counter(_read(root / "proc/vmstat") or "", "oom_kill")


def counter(text: str, name: str) -> int | None:
    """The number after `name` in lines of name and number."""
    lines = (line.split() for line in text.splitlines())
    return next((int(words[1]) for words in lines if len(words) == 2 and words[0] == name), None)


def _texts(root: Path, file: str, controller: str = "") -> Iterator[str]:
    """The contents of `file` in this process's group and its parents; version 1 has a tree for each controller."""
    path = group_of(_read(root / "proc/self/cgroup") or "", controller)
    if path is None:
        return
    tree = root / "sys/fs/cgroup" / controller
    for group in (path, *path.parents):
        text = _read(tree / group.relative_to("/") / file)
        if text is not None:
            yield text


def group_of(membership: str, controller: str) -> PurePosixPath | None:
    """The group in /proc/self/cgroup, of lines like ``4:cpu,cpuacct:/a/b``; version 2 names no controller."""
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return PurePosixPath(path)
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return None
