"""What the container may use, and what the process uses."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpus(cgroup: Path = CGROUP) -> int:
    """Processors that this container may use: those of its affinity, less where its cgroup has a quota; at least 1.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "cpu.max" (version 1: cpu.cfs_quota_us).
    """
    count = len(os.sched_getaffinity(0))
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return count
    try:
        share = int(quota) / int(period)  # "max" or -1: no quota
    except (ValueError, ZeroDivisionError):
        return count
    return max(1, min(count, round(share))) if share > 0 else count


def resident_bytes() -> int:
    """Memory of this process that lies in RAM (VmRSS)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names, not paths
    except OSError:
        return 0
