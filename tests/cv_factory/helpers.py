"""Settings, pictures and clients that the tests of this folder share."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from botocore.config import Config
from PIL import Image

from contracts import settings as contract_settings
from contracts.settings import Settings
from cv_factory.operations.reporter import Reporter

ROOT = Path(__file__).parents[2]
FACTORY_YAML = """\
name: shapes
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: ./photos, protocol: group, test_share: 0.25, seed: 0}
gate: {min: {balanced_accuracy: 0.5}}
"""


_PLAIN_MOTO = """\
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def plain_moto() -> Iterator[str]:
    """moto as it is published, in a process of its own: the local SageMaker's tests extend the one in this process."""
    with subprocess.Popen(
        [sys.executable, "-c", _PLAIN_MOTO],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@dataclass
class Cloud:
    """An AWS that answers: its endpoint, and clients for it."""

    url: str
    region: str = "eu-west-1"
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=self.region,
                aws_access_key_id="a",
                aws_secret_access_key="b",
                config=Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=32),
            )
        return self._clients[service]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def make_settings(folder: Path, text: str = FACTORY_YAML, env: str = "local", **data: Any) -> Settings:
    """The settings of a ``factory.yaml`` written into ``folder``; ``data`` replaces values of its section data."""
    file = folder / "factory.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = contract_settings.load(file, env)
    return loaded.model_copy(update={"data": loaded.data.model_copy(update=data)}) if data else loaded


def picture(seed: int, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> Image.Image:
    """A picture of noise; another seed is another picture."""
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode)


def encoded(
    seed: int, kind: str = "PNG", *, size: tuple[int, int] = (8, 6), mode: str = "RGB", **options: Any
) -> bytes:
    """The bytes of a picture's file; ``options`` go to the encoder."""
    data = io.BytesIO()
    picture(seed, size, mode).save(data, kind, **options)
    return data.getvalue()


class Heard(Reporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def __str__(self) -> str:
        return "\n".join(self.lines)
