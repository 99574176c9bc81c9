"""A day in the life of the server: 100,000 requests, every tenth of them hostile, and workers that are killed.

First one process: images as JPEG, as JSON, in batches, as JSON Lines and gzipped, and in between damaged files, bombs,
broken JSON, wrong types and bytes that are no HTTP. Expected: the status of each is the right one, nothing is a 5xx,
memory (proportional set size) grows by at most 5 % from the first tenth on, and no descriptor is left open.

Then two workers, of which one is killed (SIGKILL) every five seconds: nothing but the requests that it had accepted is
lost, and every other one is answered.

`--quick` asks 10,000 requests and kills for 20 s instead of 60. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import gzip
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.serving import bundles, measure
from benchmarks.serving.load import RAW
from benchmarks.serving.rivals import RIVALS, Running
from contracts import invocation

CONNECTIONS = 8
KILL_SECONDS = 5.0
GROWTH = 1.05

#: (content type, body, the status that is right)
Request = tuple[str, bytes, int]


def good() -> list[Request]:
    """Requests that are answered with 200."""
    images = bundles.jpegs(6)
    encoded = [base64.b64encode(image).decode() for image in images]
    batch = json.dumps({"instances": [{"image": one} for one in encoded[:3]]}).encode()
    lines = "\n".join(json.dumps({"image": one}) for one in encoded[:2]).encode()
    found: list[Request] = [("image/jpeg", image, 200) for image in images]
    found += [("application/json", json.dumps({"image": one}).encode(), 200) for one in encoded]
    found += [("application/json", batch, 200), ("application/jsonlines", lines, 200)]
    zipped = gzip.compress(images[0])
    head = "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Encoding: gzip\r\n"
    head += f"Content-Length: {len(zipped)}\r\n\r\n"
    return [*found, (RAW, head.encode() + zipped, 200)]


def hostile() -> list[Request]:
    """Requests that are refused, each with its status."""
    image = bundles.jpegs(1)[0]
    status = invocation.ERRORS
    deep = b"[" * 100_000 + b"]" * 100_000
    return [
        ("image/jpeg", image[: len(image) // 2], status["bad_image"]),
        ("image/png", b"this is no image", status["bad_image"]),
        ("image/png", _bomb(50_000), status["too_many_pixels"]),
        ("application/json", b'{"image": ', status["bad_json"]),
        ("application/json", deep, status["bad_json"]),
        ("application/json", b'{"image": "%%%"}', status["bad_request"]),
        ("text/csv", b"1,2,3", status["unsupported_media_type"]),
        ("application/x-npy", b"\x93NUMPY\x01\x00", status["unsupported_media_type"]),
        (RAW, b"GARBAGE\r\n\r\n", status["bad_request"]),
        (RAW, b"DELETE /invocations HTTP/1.1\r\nHost: a\r\n\r\n", status["method_not_allowed"]),
        (RAW, b"GET /models HTTP/1.1\r\nHost: a\r\n\r\n", status["not_found"]),
        (RAW, b"POST /invocations HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000, status["headers_too_large"]),
        (
            RAW,
            b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n",
            status["body_too_large"],
        ),
    ]


def _bomb(side: int) -> bytes:
    """A PNG that says it has ``side`` x ``side`` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


def mixed() -> list[Request]:
    """A round of requests in a fixed order, every tenth hostile; each hostile one is in it."""
    numbers, bad, fine = random.Random(0), hostile(), good()  # noqa: S311
    found = [
        request
        for index, one in enumerate(bad)
        for request in (*(fine[(9 * index + n) % len(fine)] for n in range(9)), one)
    ]
    numbers.shuffle(found)
    return found


def soak(folder: Path, count: int) -> dict[str, Any]:
    """One process and ``count`` requests."""
    requests = mixed()
    wanted = Counter(str(status) for _, _, status in requests)
    rounds = -(-count // len(requests))
    with Running(RIVALS[0], Path(sys.executable), folder, None, good()[0][1]) as server:
        statuses: Counter[str] = Counter()
        memory: list[int] = []
        files: list[int] = []
        for part in range(10):
            of_part = rounds // 10 + (part < rounds % 10)
            result = _ask(server, requests, requests_count=of_part * len(requests))
            statuses.update(result.statuses)
            time.sleep(0.5)  # the connections of the client are closed
            memory.append(processes.pss_bytes(processes.session(server.pid)))
            files.append(len(list(Path(f"/proc/{server.pid}/fd").iterdir())))
            print(
                f"{sum(statuses.values()):>7} requests, {memory[-1] / 1e6:.1f} MB, {files[-1]} files", file=sys.stderr
            )
    expected = {status: number * rounds for status, number in wanted.items()}
    return {
        "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "as_expected": dict(statuses) == expected,
        "memory_mb": [round(value / 1e6, 1) for value in memory],
        "growth": round(memory[-1] / memory[0], 3),
        "files": [files[0], files[-1]],
    }


def _ask(server: Running, requests: list[Request], *, requests_count: int = 0, seconds: float = 0.0) -> Any:
    return measure.ask(
        server,
        [body for _, body, _ in requests],
        content_type=tuple(content_type for content_type, _, _ in requests),
        connections=CONNECTIONS,
        requests=requests_count,
        seconds=seconds,
        only_200=False,
    )


def kill(folder: Path, seconds: float) -> dict[str, Any]:
    """Two workers, one of them killed every few seconds while requests come."""
    with (
        Running(RIVALS[1], Path(sys.executable), folder, None, good()[0][1]) as server,
        concurrent.futures.ThreadPoolExecutor(1) as thread,
    ):
        asked = thread.submit(_ask, server, good(), seconds=seconds)
        kills = 0
        until = time.monotonic() + seconds - KILL_SECONDS / 2
        while (left := until - time.monotonic()) > KILL_SECONDS:
            time.sleep(min(KILL_SECONDS, left))
            workers = [pid for pid in processes.session(server.pid) if pid != server.pid]
            os.kill(random.choice(workers), signal.SIGKILL)  # noqa: S311
            kills += 1
        result = asked.result()
    return {
        "seconds": seconds,
        "kills": kills,
        "statuses": result.statuses,
        "lost": result.lost,
        "lost_at_most": kills * CONNECTIONS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 requests, and 20 s of kills instead of 60")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as work:
        bundles.small(Path(work))
        soaked = soak(Path(work), 10_000 if options.quick else 100_000)
        killed = kill(Path(work), 20.0 if options.quick else 60.0)
    holds = (
        soaked["as_expected"]
        and soaked["growth"] <= GROWTH
        and soaked["files"][0] == soaked["files"][1]
        and set(killed["statuses"]) == {"200"}
        and killed["lost"] <= killed["lost_at_most"]
    )
    result = {"benchmark": "soak", "holds": holds, "soak": soaked, "kill": killed, "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
