"""Random views of training images. Each is a function of a generator, so that a resumed training draws the same."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Pixels = NDArray[np.uint8]


def turn(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """One of the 8 turned and mirrored views of each image, at random. ``(N, S, S, C) uint8`` in and out."""
    views = generator.integers(0, 8, len(pixels))
    turned = np.empty_like(pixels)
    for view in range(8):
        rows = np.flatnonzero(views == view)
        images = np.rot90(pixels[rows], view % 4, axes=(1, 2))
        turned[rows] = images[:, :, ::-1] if view >= 4 else images
    return turned


def light(batch: Tensor, gain: float, offset: float, generator: np.random.Generator) -> Tensor:
    """Each image times 1 ± gain plus ± offset, drawn evenly. ``(N, C, S, S) float32``, normalised, in and out."""
    shape = (len(batch), 1, 1, 1)
    gains = torch.from_numpy(generator.uniform(1 - gain, 1 + gain, shape).astype(np.float32))
    offsets = torch.from_numpy(generator.uniform(-offset, offset, shape).astype(np.float32))
    return batch * gains.to(batch.device) + offsets.to(batch.device)


def shrink(batch: Tensor, size: int) -> Tensor:
    """``(N, C, S, S) float32`` to ``size``, bilinear with antialiasing; a batch of that size is returned as it is."""
    if batch.shape[-1] == size:
        return batch
    resized = functional.interpolate(batch, size=(size, size), mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)
