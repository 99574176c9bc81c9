"""Checkpoints: one file each, written so that a reader sees all of it or nothing, and named after what it belongs to.

A file is safetensors: the tensors, and in its header the fingerprint (:func:`training.recipes.fingerprint`), the step
and what else is needed, as JSON. Nothing is pickled. SageMaker copies the folder to S3 while the job runs and brings it
back when the job is started again (Developer Guide, "Checkpoints in Amazon SageMaker AI").
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

#: How many checkpoints of a training are kept. Two, because the newest copy in S3 may be of a moment that was cut off.
KEEP = 2

_NAME = re.compile(r"^(?P<fingerprint>[0-9a-f]+)-(?P<step>\d{8})\.safetensors$")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: tensors by name, the steps that were done, and ``extra``, any JSON value."""

    step: int
    tensors: Mapping[str, Tensor]
    extra: Any


def save(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, flushed to disk before it gets its name, and remove all but the last :data:`KEEP`.

    Raises:
        OSError: it could not be written; the earlier ones are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{fingerprint}-{checkpoint.step:08d}.safetensors"
    temporary = folder / f".{path.name}.tmp"
    header = {"fingerprint": fingerprint, "step": str(checkpoint.step), "extra": json.dumps(checkpoint.extra)}
    try:
        save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, temporary, header)
        _flush(temporary)
        temporary.replace(path)
        _flush(folder)
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    for _, older in _own(folder, fingerprint)[KEEP:]:
        older.unlink(missing_ok=True)
    return path


def latest(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest readable checkpoint with this fingerprint. Says aloud which files it passes over."""
    if not folder.is_dir():
        return None
    own = _own(folder, fingerprint)
    passed = sorted(set(folder.glob("*.safetensors")) - {path for _, path in own})
    for path in passed:
        print(
            f"WARNING: checkpoint {path.name} belongs to another training (this one is {fingerprint}); ignored",
            flush=True,
        )
    for leftover in folder.glob(f".{fingerprint}-*.tmp"):
        leftover.unlink(missing_ok=True)
    for _, path in own:
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("fingerprint") != fingerprint:
                    print(f"WARNING: checkpoint {path.name} says it belongs to another training; ignored", flush=True)
                    continue
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return Checkpoint(int(header["step"]), tensors, json.loads(header["extra"]))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            print(f"WARNING: checkpoint {path.name} is damaged ({error}); ignored", flush=True)
    return None


def _own(folder: Path, fingerprint: str) -> list[tuple[int, Path]]:
    """(step, file) of the checkpoints whose name has this fingerprint, newest first."""
    found = []
    for path in folder.glob("*.safetensors"):
        match = _NAME.match(path.name)
        if match and match["fingerprint"] == fingerprint:
            found.append((int(match["step"]), path))
    return sorted(found, reverse=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
