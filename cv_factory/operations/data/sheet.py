"""The sheet: a picture with some images of every class, so that a person sees what was imported."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from contracts import jsonio
from cv_factory.operations.data.checks import Usable
from inference.images import Limits, decode

COLUMNS, THUMBNAIL, GAP, HEADER = 12, 96, 4, 26
MAX_CLASSES = 40


def draw(file: Path, usable: Sequence[Usable], classes: Sequence[str], limits: Limits) -> None:
    """Write a PNG to ``file``: for each class (at most 40) its name, count and 12 images spread over its paths."""
    font = ImageFont.load_default(size=14)
    shown = classes[:MAX_CLASSES]
    width = COLUMNS * (THUMBNAIL + GAP) + GAP
    sheet = Image.new("RGB", (width, len(shown) * (HEADER + THUMBNAIL + GAP) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, label in enumerate(shown):
        members = [item for item in usable if item.image.label == label]
        top = row * (HEADER + THUMBNAIL + GAP) + GAP
        pen.text((GAP, top + 3), f"{label}: {len(members)} images", fill="black", font=font)
        for column, item in enumerate(_spread(members, COLUMNS)):
            pixels = decode(item.image.read().data, item.facts.mode, limits)
            picture = Image.fromarray(np.squeeze(pixels, axis=2) if pixels.shape[2] == 1 else pixels)
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            sheet.paste(picture, (GAP + column * (THUMBNAIL + GAP), top + HEADER))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    jsonio.write_bytes(file, data.getvalue())


def _spread(members: Sequence[Usable], count: int) -> list[Usable]:
    """``count`` members at even distances, so that neighbours in the source do not fill the row."""
    if len(members) <= count:
        return list(members)
    return [members[index * len(members) // count] for index in range(count)]
