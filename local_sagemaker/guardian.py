"""A process of its own that kills the server's children when the server dies, however it dies.

It reads lines from its standard input, ``+ <group> <start time> <mark>`` and ``- <group>``. ``! <JSON>`` names a Docker
engine and the label of the server's containers there, ``!`` alone says that there are none. End of input means that the
server is gone: what is still listed is killed. Started by :mod:`local_sagemaker.children` with ``python -I -S``.
"""

import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from local_sagemaker.processes import kill_leftovers

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[str, tuple[int, str | None, str]] = {}
    containers = ""
    for line in sys.stdin:
        if line.startswith("!"):
            containers = line[1:].strip()
            continue
        sign, pgid, *rest = line.split()
        if sign == "+":
            groups[pgid] = (int(pgid), rest[0], rest[1])
        else:
            groups.pop(pgid, None)
    kill_leftovers(groups.values())
    if containers:
        _remove(json.loads(containers))


def _remove(where: dict[str, Any]) -> None:
    """Remove the server's containers, those too that it was about to make when it died."""
    from local_sagemaker.runtimes.engine import Engine, EngineError

    with contextlib.suppress(EngineError):  # the next start, or ``control.stop``, tries again
        Engine.from_json(where["engine"]).sweep(where["label"], looks=4)


if __name__ == "__main__":
    main()
