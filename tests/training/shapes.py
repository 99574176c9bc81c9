"""Tiny data sets for tests: drawn shapes on noise, and SageMaker's folders round them."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from contracts import hashing, jsonio
from contracts.dataset import Dropped, ImportedDataset, ImportedImage, blob_key

SIZE = 40
REPOSITORY = Path(__file__).resolve().parents[2]

#: A recipe that trains in a second; named by ``shapes_recipe:Tiny`` when this folder is on the path.
RECIPE = "shapes_recipe:Tiny"


def draw(label: int, generator: np.random.Generator, channels: int = 1) -> np.ndarray:
    """A disk (0), a frame (1) or a cross (2) somewhere, ``(SIZE, SIZE[, 3]) uint8``."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    y, x = generator.integers(14, SIZE - 14, 2)
    distance = np.hypot(rows - y, columns - x)
    box = np.maximum(abs(rows - y), abs(columns - x))
    masks = [distance < 9, (box > 6) & (box < 10), (np.minimum(abs(rows - y), abs(columns - x)) < 3) & (box < 11)]
    image = 60 + 130 * masks[label] + generator.normal(0, 12, (SIZE, SIZE))
    grey = image.clip(0, 255).astype(np.uint8)
    return grey if channels == 1 else np.stack([grey, 255 - grey, grey // 2], axis=2)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_imported(
    base: Path,
    *,
    classes: Sequence[str] = ("disk", "frame"),
    counts: Mapping[str, int] | None = None,
    channels: int = 1,
    soft: bool = False,
    replaced: Mapping[str, bytes] | None = None,
) -> ImportedDataset:
    """An imported dataset and its images, where a processing container finds them below ``base``.

    Args:
        counts: images of each class by split.
        soft: give two-class images a probability between 0 and 1.
        replaced: path -> what its file holds instead; the manifest's hash stays.
    """
    counts = counts or {"train": 24, "validation": 8, "test": 6}
    generator = np.random.default_rng(0)
    source, files = base / "processing/input/dataset", base / "processing/input/images"
    images = []
    for number, label in enumerate(classes):
        for split, count in counts.items():
            for index in range(count):
                data = png(draw(number, generator, channels))
                path = f"{label}/{split}-{index:03d}.png"
                sha256 = hashing.of_bytes(data)
                target = None
                if soft:
                    target = float(generator.choice([0.0, 1 / 3] if number else [2 / 3, 1.0]))
                image = ImportedImage(
                    path, blob_key(sha256, path), label, len(data), sha256, SIZE, SIZE, "L" if channels == 1 else "RGB",
                    split, f"{split}-{index // 4}", target, {"shade": "even" if index % 2 else "odd"},
                )  # fmt: skip
                images.append(image)
                file = files / image.key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes((replaced or {}).get(path, data))
    dataset = ImportedDataset(
        source="shapes",
        image_root="s3://data/blobs/",
        classes=tuple(classes),
        positive_class=classes[0] if len(classes) == 2 else None,
        protocol="group",
        test_share=0.25,
        seed=0,
        split_id="s",
        slice_columns=("shade",),
        images=tuple(sorted(images, key=lambda image: image.path)),
        dropped=(Dropped("disk/broken.png", "truncated"),),
        licence="CC0-1.0",
    )
    jsonio.write(source / "manifest.json", dataset.to_json())
    return dataset


def write_job(
    base: Path, dataset: Path, hyperparameters: Mapping[str, str], hosts: Sequence[str] = ("algo-1",)
) -> None:
    """The folders and files that SageMaker gives a training container, with ``dataset`` as the channel."""
    config = base / "input/config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"dataset": {"TrainingInputMode": "File"}}))
    resources = {"current_host": hosts[0], "hosts": list(hosts), "network_interface_name": "eth0"}
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    (base / "input/data").mkdir(parents=True, exist_ok=True)
    link = base / "input/data/dataset"
    if not link.exists():
        link.symlink_to(dataset, target_is_directory=True)
    for folder in ("model", "output/data", "checkpoints"):
        (base / folder).mkdir(parents=True, exist_ok=True)


def hyperparameters(**changes: str) -> dict[str, str]:
    return {"recipe": RECIPE, "seed": "0", "source_hash": "s" * 64, **changes}


def environment(base: Path) -> dict[str, str]:
    """The environment of a job's container with ``base`` for ``/opt/ml``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "MLFLOW_"))}
    path = os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)])
    return {**kept, "SAGEMAKER_BASE_DIR": str(base), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


@dataclass
class SilentServer:
    """A server that takes connections and never answers."""

    url: str
    taken: list[socket.socket] = field(default_factory=list)


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        ending = threading.Event()
        server = SilentServer(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def take() -> None:
            while not ending.is_set():
                try:
                    server.taken.append(listening.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield server
        finally:
            ending.set()
            thread.join()
            for connection in server.taken:
                connection.close()


class TrainJob:
    """``python -m training.train`` as a child process; ended when the block ends."""

    def __init__(self, base: Path, **variables: str) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "training.train"],
            env={**environment(base), **variables},
            cwd=base,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> TrainJob:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def lines_until(self, text: str) -> None:
        """Read the log until a line has ``text``."""
        assert self._process.stdout
        for line in self._process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"the job ended without {text!r}:\n{self.output}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 240) -> int:
        """The exit code; the rest of the log is in ``output``."""
        rest, _ = self._process.communicate(timeout=timeout)
        self.output += rest
        return self._process.returncode
