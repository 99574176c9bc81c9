"""A process of its own that kills the server's children when the server dies, however it dies.

It reads lines from its standard input, ``+ <group> <start time> <mark>`` and ``- <group>``. End of input means that the
server is gone: what is still listed is killed. Started by :mod:`local_sagemaker.children` with ``python -I -S``.
"""

import signal
import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from local_sagemaker.processes import kill_leftovers

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[str, tuple[int, str | None, str]] = {}
    for line in sys.stdin:
        sign, pgid, *rest = line.split()
        if sign == "+":
            groups[pgid] = (int(pgid), rest[0], rest[1])
        else:
            groups.pop(pgid, None)
    kill_leftovers(groups.values())


if __name__ == "__main__":
    main()
