"""Small pictures for the report, embedded as data URLs."""

from __future__ import annotations

import base64
import io

from PIL import Image

from inference import images
from inference.images import Limits

#: Pixels of the longer side.
SIDE = 176
_UNLIMITED = Limits(max_bytes=2**50, max_pixels=2**50)  # Preprocess has refused what is too large


def data_url(data: bytes) -> str:
    """An image file as a small WebP, with its own aspect ratio."""
    pixels = images.decode(data, images.COLOUR, _UNLIMITED)
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=72)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
