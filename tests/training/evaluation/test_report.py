"""The report is one file for people, the model card one line for the registry."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sklearn_metrics

from tests.inference import tiny
from tests.training.evaluation.card_schema import CARD
from tests.training.evaluation.steps import GATE, Item, Step, both_splits, vars_of
from training.report import charts, page, pictures

VOID = {"meta", "img", "br", "path", "rect", "circle", "polyline"}


class Page(HTMLParser):
    """Checks that tags are balanced; collects text, titles, and what the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")
        ]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(step: Step) -> Page:
    return Page(step.text("report.html"))


def test_the_report_is_one_file_that_loads_nothing(evaluated: Step) -> None:
    text = evaluated.text("report.html")
    shown = Page(text)
    assert "script" not in shown.tags and "link" not in shown.tags and "iframe" not in shown.tags
    assert all(source.startswith("data:image/webp;base64,") for source in shown.loads)
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert len(text.encode()) < 200_000
    assert "prefers-color-scheme: dark" in text


def test_the_report_says_what_people_ask_for(evaluated: Step) -> None:
    shown = report(evaluated)
    found = evaluated.found
    for words in (
        "Refused: the model is not registered",
        found["gate"]["message"],
        "protocol group",
        "3 whole groups",
        "With so few groups",
        "CC BY-NC-SA 4.0",
        "Of 60 images that are light",
        "Against the champion",
        "camera old",
        "labelled 0.25",
        found["bundle_hash"],
        found["dataset_hash"],
        "at most 0.001",
        "as served",
    ):
        assert words in shown.text, words
    value = found["metrics"]["balanced_accuracy"]["value"]
    assert f"{value:.3f}" in shown.text
    assert shown.tags.count("figure") == 7  # six wrong labels and the soft one
    assert shown.text.count("missed") >= 1 and shown.text.count("passed") >= 3


def test_the_worst_mistakes_come_first(step: Step) -> None:
    step.prepare([*both_splits(), *[Item(value, "dark", number=value) for value in (131, 150, 138)]])
    step.train()
    step.no_champion()
    assert step.run() == 0
    text = report(step).text
    assert text.index("dark/00150.png") < text.index("dark/00138.png") < text.index("dark/00131.png")
    assert "says light 96%" in text  # 1 / (1 + exp(-40 * (138 - 127.5) / 127.5))


def test_a_report_without_mistakes_slices_and_champion(ready: Step) -> None:
    assert ready.run() == 0
    shown = report(ready)
    assert "None: all 60 answers are right." in shown.text
    assert "There is none yet" in shown.text
    assert "Slices" not in shown.text and "figure" not in shown.tags
    assert "Passed: the model is registered" in shown.text


def test_names_from_the_data_are_text_and_never_markup(step: Step) -> None:
    evil = "<img src=x onerror=alert(1)>&"
    chosen = [
        Item(200 if index % 2 else 50, (evil, "b")[index % 2], number=index, slices={"a<b>": evil})
        for index in range(60)
    ]
    chosen[0] = Item(250, evil, number=300, slices={"a<b>": evil})  # a mistake, so that its path is shown
    # A folder cannot hold "/", and the test's paths take the label as the folder: write them under a plain name.
    step.prepare(
        [
            *both_splits(count=0),
            *[Item(**{**vars_of(item), "label": "light" if item.label == "b" else "dark"}) for item in chosen],
        ],
        source=evil,
        licence=evil,
    )
    step.train()
    step.no_champion()
    assert step.run(*GATE, "--gate-min-per-slice", "balanced_accuracy=0.6") == 0
    shown = report(step)
    assert shown.tags.count("img") == 1
    assert evil in shown.text


@pytest.mark.parametrize("count", [3, 8, 30])
def test_reports_of_many_classes(step: Step, count: int) -> None:
    """Class k is answered for grey values round 255 k / (count - 1): logit k is 2 c k m - c k²-like."""
    classes = tuple(f"c{index:02}" for index in range(count))
    centres = np.linspace(-1, 1, count)
    chosen = []
    for index, centre in enumerate(centres):
        value = round(127.5 + 127.5 * float(centre))
        label = classes[index] if index else classes[1]  # the first class's images carry the second one's label
        chosen += [Item(value, label, number=10 * index + number) for number in range(4)]
        chosen += [Item(value, classes[index], "train", number=5000 + index)]
    chosen += [Item(0, classes[0], number=4000)]
    step.prepare(chosen, classes=classes, positive_class=None)
    step.train(weights=(800 * centres).tolist(), bias=(-400 * centres**2).tolist())
    step.no_champion()
    assert step.run("--champion-margin", "0") == 0
    found = step.found
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(1 - 4 / (4 * count + 1))
    shown = report(step)
    assert "mean over classes" in shown.text
    assert ("Most frequent mistakes" in shown.text) == (count == 30)
    assert shown.text.count("average precision") == min(count, 5)
    jsonschema.validate(json.loads(step.text("model_card.json")), CARD)


# --- charts -----------------------------------------------------------------------------------------------------------


def test_precision_and_recall_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(200) < 0.3
    score = np.round(rng.random(200) + 0.3 * positive, 2)  # with ties
    curve = charts.precision_recall("x", score, positive)
    assert curve is not None
    precision, recall, _ = sklearn_metrics.precision_recall_curve(positive, score)
    theirs = dict(zip(recall[:-1].tolist(), precision[:-1].tolist(), strict=True))
    for at, value in zip(curve.recall[1:].tolist(), curve.precision[1:].tolist(), strict=True):
        if at < 1:  # at full recall scikit-learn drops the rest
            assert any(math.isclose(at, other) for other in theirs), at
        assert 0 <= value <= 1
    assert curve.area == pytest.approx(sklearn_metrics.average_precision_score(positive, score), abs=1e-12)
    assert curve.share == pytest.approx(positive.mean())
    assert charts.precision_recall("x", score, np.zeros(200, bool)) is None


def test_wilsons_interval() -> None:
    low, high = charts.wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert charts.wilson(0, 5)[0] == 0.0 and charts.wilson(5, 5)[1] == 1.0


def test_an_interval_bar_stays_on_its_track() -> None:
    for value, low, high in ((0.5, -3.0, 9.0), (7.0, 6.0, 8.0), (0.0, 0.0, 0.0)):
        drawn = charts.interval_bar(value, low, high, start=0.0, end=1.0, limit=0.2)
        assert "nan" not in drawn
        numbers = [float(part.split('"')[0]) for part in drawn.split('cx="')[1:]]
        assert all(6 <= number <= 194 for number in numbers)
    assert charts.interval_bar(None, None, None, start=0, end=1) == ""


def test_a_thumbnail_is_small_and_keeps_its_shape() -> None:
    url = pictures.data_url(tiny.picture(77, size=(1000, 500)))
    assert url.startswith("data:image/webp;base64,") and len(url) < 3000


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_the_report_in_a_real_browser_in_light_and_dark(evaluated: Step, tmp_path: Path) -> None:
    browser = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    shades = []
    for scheme in (1, 0):  # light, dark
        picture = tmp_path / f"{scheme}.png"
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,2400",
                f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}",
                f"--screenshot={picture}", (evaluated.output / "report.html").as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )  # fmt: skip
        pixels = np.asarray(Image.open(picture).convert("L"))
        assert pixels.shape == (2400, 1200)
        assert pixels.std() > 15  # it is not blank
        shades.append(int(pixels[2, 2]))
    assert shades[0] > 200 and shades[1] < 60


def test_page_shows_at_most_twelve_mistakes(step: Step) -> None:
    step.prepare(both_splits(count=60, wrong=30))
    step.train()
    step.no_champion()
    assert step.run() == 0
    shown = report(step)
    assert shown.tags.count("figure") == page.SHOWN == 12
    assert "The 12 wrong answers that were most confident, of 30." in shown.text
