"""What this process may use of the machine, and the environment that makes training fast on CPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: Set by ``training/Dockerfile`` before Python starts. glibc gives freed memory back to the kernel by default, and each
#: step asks for it again: 10,166 page faults an image against 282, and about twice the CPU time (training.recipes).
#: Threads that wait must not spin: other jobs run on the same cores.
ENVIRONMENT: Mapping[str, str] = {
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_MMAP_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "500000000",
    "OMP_WAIT_POLICY": "PASSIVE",
}

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def cpus() -> int:
    """Cores that this process may use: its affinity, cut to the control group's quota; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, min(allowed, int(quota))) if quota else allowed


def untuned() -> list[str]:
    """Names of :data:`ENVIRONMENT` that this process was started without."""
    return [name for name in ENVIRONMENT if name not in os.environ]


def _quota() -> float | None:
    """Cores of the control group's CPU quota (v2, then v1); None: no quota."""
    try:
        if _CGROUP_V2.exists():
            limit, period = _CGROUP_V2.read_text().split()
            return None if limit == "max" else int(limit) / int(period)
        limit_v1, period_v1 = (int(path.read_text()) for path in _CGROUP_V1)
        return limit_v1 / period_v1 if limit_v1 > 0 else None
    except (OSError, ValueError):
        return None
