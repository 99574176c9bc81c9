"""Bytes of an image file -> pixels. Import, preprocessing and serving all decode here, so that pixels never differ.

One rule each:

- *Formats*: JPEG, PNG, WebP, told by the first bytes; a file's name or Content-Type never counts.
- *Limits*: size, pixels and frames are checked on the header, before anything is decoded. Of a JPEG that holds several
  pictures (MPO) the first is the image.
- *Orientation*: EXIF orientation is applied, so that a photograph is seen as a person sees it. EXIF that cannot be read
  counts as none.
- *Transparency* (alpha channel, transparent palette entry): composited on black. What lies hidden under transparent
  pixels is arbitrary, so it must not reach the model.
- *16-bit samples*: the high byte is kept (``v >> 8``), for grey as for colour.
- *1-bit*: 0 and 255. *Palette, CMYK*: to RGB first, then to the colour mode that was asked for.
- *Grey from colour*: ITU-R 601-2 luma of the decoded RGB. *Colour from grey*: the grey value three times.
- *Bytes after the image's end* are ignored.
- *Resizing*: the whole image is stretched to the square; the aspect ratio is not kept. A crop could lose the defect at
  the edge, and padding spends pixels on nothing. The filter is Pillow's bilinear one, which antialiases.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from inference.errors import RequestError

Pixels = NDArray[np.uint8]

GREY, COLOUR = "L", "RGB"

# Hostile files make Pillow warn (broken EXIF, broken APNG). One filter for its modules, set once: the context manager
# ``warnings.catch_warnings`` is not thread-safe, and requests are decoded in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class BadImage(RequestError):
    """An unusable image file: ``bad_image``, ``too_many_pixels``, ``too_many_frames`` or ``body_too_large``."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted: bytes of the file, pixels (width times height), frames."""

    max_bytes: int
    max_pixels: int
    max_frames: int = 1


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header says.

    Attributes:
        format: ``JPEG``, ``PNG`` or ``WEBP``.
        width, height: pixels as stored, before EXIF orientation is applied.
        mode: ``L`` or ``RGB``, the colour mode that keeps everything the file shows; a palette counts as colour.
        frames: 1 unless animated.
    """

    format: str
    width: int
    height: int
    mode: str
    frames: int


#: First bytes -> plugin. The plugins are called by name: ``Image.open`` would try others, and it warns or raises by a
#: global limit of its own.
_PLUGINS: tuple[tuple[str, Callable[[bytes], bool], type[ImageFile]], ...] = (
    ("JPEG", lambda head: head[:3] == b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    ("PNG", lambda head: head[:8] == b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    ("WEBP", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", WebPImagePlugin.WebPImageFile),
)
_ORIENTATION_TAG = 0x0112
#: EXIF orientation -> how to turn the stored pixels (CIPA DC-008, "Exchangeable image file format", tag Orientation).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B"}


def inspect(data: bytes, limits: Limits) -> ImageInfo:
    """What the header of an image file says; no pixel is decoded.

    Raises:
        BadImage: no JPEG, PNG or WebP, a broken header, or over a limit. Damage further on shows in :func:`decode`.
    """
    return _open(data, limits)[0]


def decode(data: bytes, color_mode: str, limits: Limits) -> Pixels:
    """The pixels of an image file, ``(H, W, C) uint8`` with C = 1 for ``L``, 3 for ``RGB``; EXIF orientation applied.

    Raises:
        BadImage: as :func:`inspect`, or the file is truncated or damaged.
    """
    if color_mode not in (GREY, COLOUR):
        raise ValueError(f"color mode {color_mode!r} is neither L nor RGB")
    info, image = _open(data, limits)
    try:
        image.load()
        flat = _flatten(image, color_mode)
        turn = _TURNS.get(_orientation(image))
        if turn is not None:
            flat = flat.transpose(turn)
        pixels = np.asarray(flat)
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed with hostile bytes may raise anything
        raise BadImage("bad_image", f"The {info.format} is truncated or damaged ({_reason(error)}).") from None
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def resize(pixels: Pixels, size: int) -> Pixels:
    """``(H, W, C) uint8`` stretched to ``(size, size, C) uint8``; an image of that size is returned as it is."""
    height, width, channels = pixels.shape
    if (height, width) == (size, size):
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    resized = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    return resized[:, :, np.newaxis] if channels == 1 else resized


def load(data: bytes, color_mode: str, size: int, limits: Limits) -> Pixels:
    """:func:`decode`, then :func:`resize`: what a model is trained on and asked with, ``(size, size, C) uint8``."""
    return resize(decode(data, color_mode, limits), size)


def _open(data: bytes, limits: Limits) -> tuple[ImageInfo, ImageFile]:
    if len(data) > limits.max_bytes:
        raise BadImage("body_too_large", f"The image has {len(data)} bytes; at most {limits.max_bytes} are accepted.")
    head = bytes(data[:30])
    found = next(((name, plugin) for name, matches, plugin in _PLUGINS if matches(head)), None)
    if found is None:
        raise BadImage("bad_image", f"The image ({len(data)} bytes) is no JPEG, PNG or WebP.")
    name, plugin = found
    if name == "WEBP":  # its decoder allocates the canvas when it is opened
        _check_pixels(_webp_size(head), limits)
    try:
        image = plugin(io.BytesIO(data))
        frames = int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception as error:  # a parser fed with hostile bytes may raise anything
        raise BadImage("bad_image", f"The {name} has a broken header ({_reason(error)}).") from None
    _check_pixels(image.size, limits)
    if frames > limits.max_frames:
        raise BadImage("too_many_frames", f"The {name} has {frames} frames; at most {limits.max_frames} are accepted.")
    mode = GREY if image.mode in _GREY_MODES else COLOUR
    return ImageInfo(name, image.width, image.height, mode, frames), image


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise BadImage(
            "too_many_pixels",
            f"The image is {width} x {height}, {width * height} pixels; at most {limits.max_pixels} are accepted.",
        )


def _webp_size(head: bytes) -> tuple[int, int]:
    """Canvas width and height from the first 30 bytes (RFC 9649, sections 2.5 to 2.7); (0, 0) when there is none."""
    chunk = head[12:16]
    if len(head) < 30:
        return 0, 0
    if chunk == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if chunk == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return 0, 0


def _flatten(image: Image.Image, color_mode: str) -> Image.Image:
    """The image in ``color_mode``, without transparency, 8 bits a sample."""
    if image.mode in ("I", "I;16", "I;16B"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == color_mode else image.convert(color_mode)


def _orientation(image: ImageFile) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except MemoryError:
        raise
    except Exception:  # EXIF that cannot be read counts as none
        return 1
    return value if isinstance(value, int) else 1


def _reason(error: Exception) -> str:
    """Pillow's reason in at most 120 printable characters; its texts name no content but chunk names and sizes."""
    text = "".join(character if character.isprintable() else "?" for character in str(error))
    return text[:120] or type(error).__name__
