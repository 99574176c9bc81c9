"""How much memory a SageMaker instance type has.

Source: Amazon SageMaker AI pricing, "On-Demand Pricing": within a family memory grows with the vCPUs.
"""

from __future__ import annotations

import re

#: GiB of each vCPU; the families' generations and variants (m5, m5d, m6i, m7g) agree.
_PER_CPU = {"m": 4.0, "c": 2.0, "r": 8.0}
#: Families of the letters above that are older, with other ratios.
_OLD = {"m4": 4.0, "c4": 1.875, "r4": 7.625}
_CPUS = {"medium": 1, "large": 2, "xlarge": 4}
#: GiB of an xlarge of families with a GPU or an accelerator, to 16xlarge in proportion.
_ACCELERATED = {"g4dn": 16.0, "g5": 16.0, "g6": 16.0}
_BURSTABLE = {"medium": 4.0, "large": 8.0, "xlarge": 16.0, "2xlarge": 32.0}

_TYPE = re.compile(r"ml\.(?P<family>[a-z]+\d[a-z]*)\.(?P<size>(?P<times>\d*)(?:medium|large|xlarge))")


def memory_bytes(instance_type: str) -> int | None:
    """Bytes of memory of ``ml.<family>.<size>``; None for a type that is not known here."""
    found = _TYPE.fullmatch(instance_type)
    if found is None:
        return None
    family, size, times = found["family"], found["size"], int(found["times"] or 1)
    if family in ("t2", "t3"):
        gib = _BURSTABLE.get(size)
    elif family in _ACCELERATED and size.endswith("xlarge") and times <= 16:
        gib = _ACCELERATED[family] * times
    else:
        ratio = _OLD.get(family) or (_PER_CPU.get(family[0]) if re.fullmatch(r"[mcr][5-8][a-z]*", family) else None)
        gib = ratio * _CPUS[size.lstrip("0123456789")] * times if ratio else None
    return int(gib * 2**30) if gib else None
