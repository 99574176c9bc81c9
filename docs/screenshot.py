"""Takes docs/try-it.png, the page of ``cv-factory serve``: ``python docs/screenshot.py`` (needs Chromium).

The image and the model are made here, so that the picture shows nobody's data: a drawing of a lamp, and a bundle that
looks at the mean brightness only.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from contracts import hashing  # noqa: E402
from cv_factory.operations.serving.front import PAGE  # noqa: E402
from tests.browser import browser  # noqa: E402
from tests.cv_factory.cli.use.conftest import Served  # noqa: E402
from tests.inference import tiny  # noqa: E402

PICTURE = ROOT / "docs" / "try-it.png"
NOTE = "page"
WIDTH, HEIGHT = 900, 1040


def lamp(size: int = 480) -> Image.Image:
    """A round light on a dark ground."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    glow = np.exp(-((x**2 + y**2) / 0.09))
    rings = 0.06 * np.cos(40 * np.hypot(x, y)) * glow
    shade = np.clip(glow + rings, 0, 1)[..., None]
    pixels = np.array([24, 28, 44]) + shade * np.array([228, 196, 120])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def save(picture: bytes) -> None:
    """Write the picture with the hash of the page that it shows: a test compares it."""
    about = PngInfo()
    about.add_text(NOTE, hashing.of_file(PAGE))
    Image.open(io.BytesIO(picture)).convert("RGB").save(PICTURE, optimize=True, pnginfo=about)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        centres = np.array([0.8, -0.1, -0.9])  # of the mean brightness, -1 to 1
        tiny.write_bundle(
            folder / "bundle",
            classes=("bright", "dim", "night"),
            positive_class=None,
            recipe="drawing",
            weights=(6 * centres).tolist(),
            bias=(-3 * centres**2).tolist(),
        )
        lamp().save(folder / "lamp.png")
        served = Served(folder, str(folder / "bundle"))
        try:
            with browser(folder / "profile") as page:
                page.size(WIDTH, HEIGHT)
                page.open(served.url)
                page.drop("#drop", folder / "lamp.png")
                page.wait("document.getElementById('picture').naturalWidth > 0")
                # The port of this server is any; the page's usual one is shown.
                page.value("at('curl').textContent = at('curl').textContent.replace(/:\\d+/, ':8080')")
                save(page.picture())
        finally:
            served.stop()
    print(f"written: {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
