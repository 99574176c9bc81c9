"""One decoder for import, preprocessing and serving: its rules, its limits, and files that want to harm it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference import images
from inference.images import BadImage, Limits

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)


def encode(image: Image.Image, format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def ramp(height: int = 6, width: int = 8) -> np.ndarray:
    """Grey values that tell every pixel and every turn apart."""
    return np.linspace(0, 250, height * width).astype(np.uint8).reshape(height, width)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes of PNG whose header claims ``width`` x ``height`` grey pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + png_chunk(b"IEND", b"")
    )


def webp_claiming(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little") + b"VP8L" + struct.pack("<I", 4) + b"\x2f\0\0\0"
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(encode(Image.new("L", (8, 8)), "JPEG"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def code_of(data: bytes, limits: Limits = LIMITS, color_mode: str = "RGB") -> str:
    with pytest.raises(BadImage) as caught:
        images.decode(data, color_mode, limits)
    return caught.value.code


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_header_says_format_size_and_mode(format_: str, mode: str) -> None:
    info = images.inspect(encode(Image.new(mode, (8, 6)), format_), LIMITS)
    expected = "RGB" if format_ == "WEBP" else mode  # WebP has no grey
    assert (info.format, info.width, info.height, info.mode, info.frames) == (format_, 8, 6, expected, 1)


def test_grey_png_keeps_every_value_and_colour_from_grey_repeats_it() -> None:
    pixels = ramp()
    data = encode(Image.fromarray(pixels), "PNG")
    assert np.array_equal(images.decode(data, "L", LIMITS)[:, :, 0], pixels)
    assert np.array_equal(images.decode(data, "RGB", LIMITS), np.repeat(pixels[:, :, None], 3, axis=2))


def test_grey_from_colour_is_luma_and_grey_stored_as_colour_comes_back_exactly() -> None:
    colour = np.zeros((2, 3, 3), np.uint8)
    colour[0, 0], colour[0, 1], colour[0, 2] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert images.decode(encode(Image.fromarray(colour), "PNG"), "L", LIMITS)[0, :, 0].tolist() == [76, 150, 29]
    grey = ramp()
    data = encode(Image.fromarray(grey).convert("RGB"), "PNG")
    assert np.array_equal(images.decode(data, "L", LIMITS)[:, :, 0], grey)


def test_transparent_pixels_are_black_whatever_lies_hidden_under_them() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [(200, 100, 50, 0), (200, 100, 50, 255), (200, 100, 50, 128)]
    pixels = images.decode(encode(Image.fromarray(rgba), "PNG"), "RGB", LIMITS)
    assert pixels[0].tolist() == [[0, 0, 0], [200, 100, 50], [100, 50, 25]]
    la = Image.merge("LA", [Image.new("L", (1, 1), 90), Image.new("L", (1, 1), 0)])
    assert images.decode(encode(la, "PNG"), "L", LIMITS).tolist() == [[[0]]]
    webp = encode(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)
    assert images.decode(webp, "RGB", LIMITS)[0, 0].tolist() == [0, 0, 0]


def test_palette_images_show_their_colours_and_transparent_entries_are_black() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert images.decode(encode(image, "PNG"), "RGB", LIMITS)[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    assert images.decode(encode(image, "PNG", transparency=1), "RGB", LIMITS)[0].tolist() == [[10, 20, 30], [0, 0, 0]]
    both = encode(image, "PNG", transparency=bytes([255, 0]))
    assert images.decode(both, "RGB", LIMITS)[0].tolist() == [[10, 20, 30], [0, 0, 0]]


def test_sixteen_bits_keep_the_high_byte_and_one_bit_is_black_and_white() -> None:
    deep = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)
    assert images.decode(encode(Image.fromarray(deep), "PNG"), "L", LIMITS)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    data = encode(bits, "PNG")
    assert images.inspect(data, LIMITS).mode == "L"
    assert images.decode(data, "L", LIMITS)[0, :, 0].tolist() == [0, 255]


def test_cmyk_jpeg_becomes_rgb() -> None:
    data = encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = images.decode(data, "RGB", LIMITS)[4, 4].tolist()
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, format_: str) -> None:
    """A bright corner at the top left of the stored image; EXIF's table says where it is seen."""
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(stored).convert("RGB"), format_, exif=exif.tobytes())
    pixels = images.decode(data, "L", LIMITS)[:, :, 0]
    assert pixels.shape == ((16, 32) if orientation < 5 else (32, 16))
    top, left = pixels[:4].max() > 200, pixels[:, :4].max() > 200
    assert (top, left) == {
        1: (True, True), 2: (True, False), 3: (False, False), 4: (False, True),
        5: (True, True), 6: (True, False), 7: (False, False), 8: (False, True),
    }[orientation]  # fmt: skip


BROKEN_EXIF = [
    b"Exif\0\0",
    b"Exif\0\0II*\0\xff\xff\xff\x7f",
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02a\0\0\0",
    b"x" * 40,
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # pytest takes the module's own filter away; see the next test
@pytest.mark.parametrize("exif", BROKEN_EXIF)
def test_broken_exif_counts_as_none(exif: bytes) -> None:
    data = encode(Image.fromarray(ramp(8, 8)), "JPEG", quality=100, exif=exif)
    assert images.decode(data, "L", LIMITS).shape == (8, 8, 1)


def test_pixels_are_refused_from_the_header() -> None:
    for data in (png_claiming(40_000, 40_000), jpeg_claiming(40_000, 40_000), webp_claiming(16_384, 16_384)):
        assert len(data) < 1000
        with pytest.raises(BadImage, match=r"\d+ x \d+, \d+ pixels; at most 1000000") as caught:
            images.inspect(data, LIMITS)
        assert caught.value.code == "too_many_pixels"
        assert caught.value.status == 400


def test_hostile_headers_cost_no_memory_and_leave_no_warning() -> None:
    """In a process of its own, where every warning is an error and memory is watched."""
    script = (
        "import resource, sys, warnings\n"
        "from inference import images\n"
        "warnings.filterwarnings('error', category=UserWarning, append=True)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for line in sys.stdin:\n"
        "    try: print(images.decode(bytes.fromhex(line), 'L', images.Limits(10**6, 25 * 10**6)).shape)\n"
        "    except images.BadImage as error: print(error.code)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000)\n"
    )
    bombs = [png_claiming(40_000, 40_000), jpeg_claiming(50_000, 50_000), webp_claiming(16_384, 16_384)]
    odd = [encode(Image.new("L", (4, 4)), "JPEG", exif=exif) for exif in BROKEN_EXIF]
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(data.hex() for data in bombs + odd),
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["too_many_pixels"] * 3 + ["(4, 4, 1)"] * 4 + ["True"]


def test_pillows_own_limit_neither_warns_nor_raises() -> None:
    """9,500 x 9,500 is over the size at which ``Image.open`` warns; here only our limit counts."""
    data = png_claiming(9_500, 9_500)
    assert images.inspect(data, Limits(1000, 100_000_000)).width == 9_500


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
def test_animations_are_refused(format_: str) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 100, 200)]
    data = encode(frames[0], format_, save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match="3 frames; at most 1") as caught:
        images.inspect(data, LIMITS)
    assert caught.value.code == "too_many_frames"
    assert images.inspect(data, Limits(1_000_000, 1_000_000, max_frames=3)).frames == 3


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_truncated_files_are_refused(format_: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noise), format_)
    for share in (0.1, 0.5, 0.9):
        assert code_of(data[: int(len(data) * share)]) == "bad_image"
    assert images.decode(data + b"bytes after the end", "RGB", LIMITS).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        b"GIF89a" + b"\0" * 50,
        b"BM" + b"\0" * 60,
        b"II*\0" + b"\0" * 50,
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBP",
        png_claiming(0, 5),
    ],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert code_of(data) == "bad_image"


def test_size_in_bytes_is_refused_first() -> None:
    with pytest.raises(BadImage, match="The image has 11 bytes; at most 10") as caught:
        images.inspect(b"x" * 11, Limits(10, 100))
    assert (caught.value.code, caught.value.status) == ("body_too_large", 413)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), format_=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_a_damaged_file_gives_pixels_or_bad_image_and_nothing_else(data: st.DataObject, format_: str) -> None:
    original = bytearray(encode(Image.fromarray(ramp(16, 16)).convert("RGB"), format_))
    for _ in range(data.draw(st.integers(1, 6))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = images.decode(bytes(original), "RGB", LIMITS)
    except BadImage as error:
        assert error.code in {"bad_image", "too_many_pixels", "too_many_frames"}
    else:
        assert pixels.dtype == np.uint8 and pixels.shape[2] == 3


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40), value=st.integers(0, 255))
def test_resize_gives_a_square_and_keeps_a_flat_image_flat(height: int, width: int, size: int, value: int) -> None:
    for channels in (1, 3):
        resized = images.resize(np.full((height, width, channels), value, np.uint8), size)
        assert resized.shape == (size, size, channels) and (resized == value).all()


def test_resize_shows_the_whole_image_and_antialiases() -> None:
    stripes = np.zeros((100, 400, 1), np.uint8)
    stripes[:, ::2] = 255  # a nearest-neighbour resize gives only 0 or 255
    resized = images.resize(stripes, 50)
    assert np.abs(resized[5:-5, 5:-5].astype(int) - 127).max() <= 3
    left = np.zeros((50, 200, 3), np.uint8)
    left[:, :4] = 255  # the outermost 2 % would be lost by a centre crop
    assert images.resize(left, 50)[:, 0].min() > 200
    assert images.resize(left, 50)[:, 2:].max() == 0


def test_an_unknown_color_mode_is_the_callers_mistake() -> None:
    data = encode(Image.new("L", (4, 4)), "PNG")
    with pytest.raises(ValueError, match="HSV"):
        images.decode(data, "HSV", LIMITS)
