"""The page of ``cv-factory serve`` in a real browser."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import Page, browser
from tests.cv_factory.cli.use.conftest import Served
from tests.inference import tiny

pytestmark = pytest.mark.browser
SHOWN = "!document.getElementById('{}').hidden"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(chromium: Page, served: Served) -> Page:
    chromium.complaints.clear()
    chromium.open(served.url)
    chromium.wait("document.getElementById('about').textContent.includes('dark, light')")
    return chromium


def text(page: Page, name: str) -> str:
    found: str = page.value(f"document.getElementById('{name}').innerText")
    return found


def write(path: Path, value: int, size: tuple[int, int] = (64, 48)) -> Path:
    path.write_bytes(tiny.picture(value, size=size))
    return path


def test_a_dropped_image_gets_its_label_and_probabilities(page: Page, tmp_path: Path) -> None:
    page.drop("#drop", write(tmp_path / "lamp.png", 191))
    page.wait(SHOWN.format("answer"))
    share = tiny.light_probability(191)
    assert text(page, "label") == "light"
    assert text(page, "bars").split("\n") == [
        "light",
        f"{share:.1%}".replace("%", " %"),
        "dark",
        f"{1 - share:.1%}".replace("%", " %"),
    ]
    widths = page.value(
        "[...document.querySelectorAll('.bar')].map((bar) => bar.offsetWidth / bar.parentNode.offsetWidth)"
    )
    assert widths == pytest.approx([share, 1 - share], abs=0.02)
    assert text(page, "name") == "lamp.png"
    page.wait("document.getElementById('picture').naturalWidth === 64")
    assert page.complaints == []


def test_a_bad_file_shows_what_is_wrong_and_the_next_image_is_answered(page: Page, tmp_path: Path) -> None:
    bad = tmp_path / "note.png"
    bad.write_text("this is no picture")
    page.drop("#drop", bad)
    page.wait(SHOWN.format("error"))
    assert text(page, "error") == "bad_image The image (18 bytes) is no JPEG, PNG or WebP."
    assert not page.value(SHOWN.format("answer"))
    page.drop("#drop", write(tmp_path / "night.png", 20))
    page.wait(SHOWN.format("answer"))
    assert text(page, "label") == "dark" and not page.value(SHOWN.format("error"))


def test_a_file_that_is_chosen_is_asked_about_too(page: Page, tmp_path: Path) -> None:
    page.choose("#file", write(tmp_path / "one.png", 250))
    page.wait(SHOWN.format("answer"))
    assert text(page, "label") == "light"


def test_the_calls_to_copy_do_what_they_say(page: Page, served: Served, tmp_path: Path) -> None:
    name = 'it\'s a "photo".png'
    page.drop("#drop", write(tmp_path / name, 230))
    page.wait(SHOWN.format("answer"))
    done = subprocess.run(
        ["bash", "-c", text(page, "curl")], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert json.loads(done.stdout)["predicted_label"] == "light"
    environment = {
        **os.environ, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": served.url, "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", text(page, "boto3")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "light\n", done.stderr


def test_names_are_text_and_never_markup(page: Page, tmp_path: Path) -> None:
    page.drop("#drop", write(tmp_path / "<img src=x onerror=alert(1)>.png", 230))
    page.wait(SHOWN.format("answer"))
    assert text(page, "name") == "<img src=x onerror=alert(1)>.png"
    assert page.value("document.images.length") == 1 and page.complaints == []


def test_it_says_so_when_the_server_is_gone(chromium: Page, tiny_bundle: Path, tmp_path: Path) -> None:
    served = Served(tmp_path, str(tiny_bundle))
    chromium.open(served.url)
    served.stop()
    chromium.drop("#drop", write(tmp_path / "lamp.png", 191))
    chromium.wait(SHOWN.format("error"))
    assert "does not answer" in text(chromium, "error")


def contrast(page: Page, selector: str) -> float:
    """The contrast of an element's text with what is behind it (WCAG 2.2, contrast ratio)."""
    channels = page.value(
        "((element) => { const paint = (name) => { for (let at = element; at; at = at.parentElement) {"
        " const found = getComputedStyle(at)[name].match(/[\\d.]+/g).map(Number);"
        " if (found.length === 3 || found[3] > 0) return found.slice(0, 3); } };"
        f" return [paint('color'), paint('backgroundColor')]; }})(document.querySelector({json.dumps(selector)}))"
    )
    shades = []
    for colour in channels:
        linear = [value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour]
        shades.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return float((max(shades) + 0.05) / (min(shades) + 0.05))


def test_it_is_legible_in_light_and_dark_and_on_a_small_screen(page: Page, tmp_path: Path) -> None:
    page.drop("#drop", write(tmp_path / "lamp.png", 191))
    page.wait(SHOWN.format("answer"))
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        ground = np.asarray(Image.open(io.BytesIO(page.picture())).convert("L"))[2, 2]
        assert (ground > 200) == (scheme == "light")
        for selector in ("h1", "#about", "#label", "#drop strong", "#kinds", "li span", "figcaption", "pre", "button"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)
    page.size(360, 800)
    assert page.value("document.documentElement.scrollWidth") == 360
    page.size(1000, 900)


def test_every_control_has_a_name_and_the_keyboard_reaches_it(page: Page) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if node["role"]["value"] in ("button", "textbox", "link")
    ]
    assert len(controls) >= 3 and all(name for _, name in controls), controls
    reached = []
    for _ in range(5):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(page.value("document.activeElement.id || document.activeElement.dataset.copies"))
    assert reached == ["file", "curl", "curl", "boto3", "boto3"]
