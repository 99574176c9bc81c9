"""``cv-factory predict`` against the container's own server."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest

from tests.cv_factory.cli.conftest import Answer, Call
from tests.cv_factory.cli.use.conftest import Served
from tests.cv_factory.helpers import Cloud
from tests.inference import tiny


@pytest.fixture
def predict(aws: Cloud, served: Served, call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``predict("photos", "--csv", "-")``; environment dev's endpoint is the container."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", served.url)

    def run(*arguments: str) -> Answer:
        return call("--env", "dev", "predict", *arguments)

    return run


@pytest.fixture
def pictures(folder: Path) -> Path:
    """Three images in two folders, one file that only looks like one, and others that do not."""
    root = folder / "pictures"
    (root / "in" / ".hidden").mkdir(parents=True)
    for name, value in (("a.png", 255), ("c.PNG", 0), ("in/b.jpg", 250)):
        (root / name).write_bytes(tiny.picture(value, format_="JPEG" if name.endswith("jpg") else "PNG"))
    (root / "bad, really.png").write_text("no picture")
    for name in ("notes.txt", "in/.hidden/d.png", ".e.png"):
        (root / name).write_text("left out")
    return root


NAMES = ["pictures/a.png", "pictures/bad, really.png", "pictures/c.PNG", "pictures/in/b.jpg"]
LABELS = ["light", "", "dark", "light"]


def test_a_line_for_each_image_and_a_list_of_those_that_failed(predict: Call, pictures: Path) -> None:
    answer = predict("pictures")
    assert answer.code == 1
    assert "Left out, by their names no JPEG, PNG or WebP: 1\n" in answer.out
    lines = answer.out.splitlines()[1:]
    assert [line.split(": ")[0] for line in lines] == NAMES
    assert lines[0] == "pictures/a.png: light (100.0%)"
    assert answer.err == (
        "Error: 1 of 4 images got no answer\n  pictures/bad, really.png: the endpoint answered 400: "
        "The image (10 bytes) is no JPEG, PNG or WebP.\n"
    )


def test_a_table_has_every_image(predict: Call, pictures: Path, folder: Path) -> None:
    answer = predict("pictures", "--csv", "rows.csv")
    assert answer.code == 1 and "1 of 4 images got no answer" in answer.err
    assert "predict: 4 in " in answer.out and "light" not in answer.out
    piped = predict("pictures", "--csv", "-")
    assert piped.code == 1 and piped.out == (folder / "rows.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(piped.out)))
    assert [row["image"] for row in rows] == NAMES and [row["predicted_label"] for row in rows] == LABELS
    assert list(rows[0]) == [
        "image", "predicted_label", "confidence", "probability dark", "probability light", "code", "error",
    ]  # fmt: skip
    assert float(rows[2]["probability dark"]) == float(rows[2]["confidence"]) > 0.99
    assert (rows[1]["code"], rows[1]["confidence"]) == ("bad_image", "") and "no JPEG" in rows[1]["error"]


def test_a_table_without_any_answer_still_has_its_rows(predict: Call, pictures: Path) -> None:
    answer = predict("pictures/bad, really.png", "pictures/notes.txt", "--csv", "-")
    assert answer.code == 1
    assert [row["code"] for row in csv.DictReader(io.StringIO(answer.out))] == ["bad_image", "bad_image"]


def test_json_is_one_document_with_every_image(predict: Call, pictures: Path) -> None:
    answer = predict("pictures", "pictures/a.png", "--json")
    assert answer.code == 1 and "1 of 5 images got no answer" in answer.err
    assert [one["image"] for one in answer.document] == [*NAMES, "pictures/a.png"]
    assert [one.get("predicted_label", "") for one in answer.document] == [*LABELS, "light"]
    assert answer.document[1]["code"] == "bad_image" and set(answer.document[0]["probabilities"]) == {"dark", "light"}
    good = predict("pictures/a.png", "--json", "--csv", "rows.csv")
    assert good.code == 0 and len(good.document) == 1 and len(Path("rows.csv").read_text().splitlines()) == 2


def test_one_image_that_is_refused_is_the_error(predict: Call, pictures: Path) -> None:
    answer = predict("pictures/bad, really.png")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "Error: the endpoint answered 400: The image (10 bytes) is no JPEG, PNG or WebP.\n"


def test_a_name_that_is_no_utf_8_is_shown_by_its_bytes(predict: Call, folder: Path) -> None:
    (folder / "odd").mkdir()
    Path(os.fsdecode(b"odd/\xff.png")).write_bytes(tiny.picture(255))
    Path(os.fsdecode(b"odd/\xfe\n.png")).write_text("no picture")
    for options in ((), ("--json",), ("--csv", "-")):
        answer = predict("odd", *options)
        assert answer.code == 1 and "1 of 2 images got no answer" in answer.err
        assert "odd/\\xff.png" in answer.out.replace("\\\\", "\\") and "light" in answer.out


def test_a_url_is_the_endpoint_s_to_fetch(predict: Call) -> None:
    answer = predict("https://images.example.com/a.png")
    assert answer.code == 1 and "serving.image_url_hosts" in answer.err


def test_an_image_above_the_limit_is_not_sent(predict: Call, pictures: Path) -> None:
    (pictures / "big.png").write_bytes(b"x" * 6_291_457)
    answer = predict("pictures/big.png", "pictures/a.png")
    assert answer.code == 1
    assert "pictures/big.png has 6,291,457 bytes; a request may have at most 6,291,456" in answer.err
    assert "pictures/a.png: light" in answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.png"], "there is no file or folder none.png"),
        (["empty"], "there is no image in the folder empty (0 other files)"),
        (["http://images.example.com/a.png"], "Only https URLs"),
        (["s3://bucket/a.png"], "aws s3 cp s3://bucket/a.png ."),
        (["pictures", "--csv", "pictures/a.png"], "--csv would write to pictures/a.png"),
        (["pictures", "--csv", "nowhere/rows.csv"], "--csv cannot write to nowhere/rows.csv"),
        (["pictures", "--csv", "-", "--json"], "both write to standard output"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_is_said_before_anything_is_sent(
    call: Call, folder: Path, pictures: Path, arguments: list[str], words: str
) -> None:
    (folder / "empty").mkdir()
    before = (pictures / "a.png").read_bytes()
    answer = call("predict", *arguments)
    assert answer.code == 2 and words in answer.err
    assert (pictures / "a.png").read_bytes() == before


def test_an_endpoint_that_is_not_there_leaves_an_earlier_table(
    aws: Cloud, call: Call, pictures: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rows.csv").write_text("of yesterday")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"{aws.url}/nothing")
    answer = call("--env", "dev", "predict", "pictures", "--csv", "rows.csv")
    assert answer.code == 1 and "Traceback" not in answer.err
    assert (folder / "rows.csv").read_text() == "of yesterday"
