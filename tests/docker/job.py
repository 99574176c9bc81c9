"""A job's container for tests: ``look`` prints what it sees as one JSON object, ``wait`` waits to be stopped."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path


def reach(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), 2).close()
    except OSError as error:
        return str(error)
    return "reached"


def look() -> None:
    host, port = os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:1").removeprefix("http://").split(":")
    seen = {
        "uid": os.getuid(),
        "host": socket.gethostname(),
        "environment": dict(os.environ),
        "files": sorted(str(path) for path in Path("/opt/ml").rglob("*") if path.is_file()),
        "interfaces": os.listdir("/sys/class/net"),  # noqa: PTH208
        "server": reach(host, int(port)),
        "internet": reach("192.0.2.1", 80),
    }
    print(json.dumps(seen))
    if os.getuid() == 0:
        Path("/opt/ml/processing/output/seen/answer").write_text("42")


def wait() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    print("begun", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    {"look": look, "wait": wait}[sys.argv[1]]()
