"""Pages that follow from the code are current, links lead somewhere, tables list what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from contracts import hashing, settings
from contracts.invocation import ERRORS
from cv_factory.operations.serving.front import PAGE
from docs import architecture, draw, generate, meanings, screenshot
from tests.docs.pages import ROOT, blocks

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def tracked() -> list[str]:
    """Every file of the repository, as git knows it, and what is new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


MARKDOWN = [name for name in tracked() if name.endswith(".md")]
OURS = [name for name in MARKDOWN if name == "README.md" or name.startswith("docs/") or "/" not in name]


@pytest.mark.parametrize("page", sorted(generate.PAGES))
def test_a_generated_page_is_current(page: str) -> None:
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generate.PAGES[page](), "run: python docs/generate.py"


def test_every_setting_has_a_meaning() -> None:
    assert set(meanings.MEANINGS) == {name for name, _, _ in generate.leaves()}
    assert set(meanings.SECTIONS) == set(yaml.safe_load(settings.DEFAULTS.read_text(encoding="utf-8")))


def test_every_verb_is_in_the_commands_page() -> None:
    listed = re.findall(r"^## (.+)$", generate.commands_page(), re.MULTILINE)
    assert listed == [" ".join(verb) for verb in generate.verbs()]
    assert {"run", "local up", "data import", "pipeline build", "infra"} <= set(listed)


def test_the_architecture_is_what_terraform_and_its_policies_have() -> None:
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.draw(), "run: python docs/architecture.py"
    reached = architecture.reach()
    assert reached["job"]["packages"] == {"reads"} and reached["owner"]["model registry"] == {"reads", "writes"}
    assert "images of the data set" not in reached["github-plan"]
    assert all(found for found in architecture.modules().values())


def test_the_picture_is_drawn_and_has_the_definition_s_steps() -> None:
    draw.check()
    assert draw.PICTURE.read_text(encoding="utf-8") == draw.draw(), "run: python docs/draw.py"


def test_the_screenshot_is_of_the_page_as_it_is() -> None:
    with Image.open(screenshot.PICTURE) as picture:
        assert picture.info[screenshot.NOTE] == hashing.of_file(PAGE), "run: python docs/screenshot.py"
        assert picture.size == (screenshot.WIDTH, screenshot.HEIGHT)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", MARKDOWN)
def test_links_lead_to_a_file_and_a_heading(page: str) -> None:
    here = (ROOT / page).parent
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in _LINK.findall(text):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (here / path).resolve() if path else (ROOT / page).resolve()
        assert target.exists() and target.is_relative_to(ROOT), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), f"{page}: {link}"


def test_every_page_is_linked_from_the_readme_or_a_page_that_is() -> None:
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
            path = link.partition("#")[0]
            if path.endswith(".md") and not link.startswith("http"):
                waiting.append(str(((ROOT / page).parent / path).resolve().relative_to(ROOT)))
    assert reached >= set(OURS)


def test_the_readme_names_everything_at_the_top() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What is where")[2]
    named = set(re.findall(r"`([^`]+)`", table))
    top = {name.split("/")[0] for name in tracked()}
    assert top - named <= {".gitignore", ".dockerignore", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", table, re.MULTILINE)
               for name in re.findall(r"`([^`]+)`", name))  # fmt: skip


def test_the_readme_says_what_make_run_says() -> None:
    announce = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nannounce:\n")[2].partition("\n\n")[0]
    announced = re.findall(r"\d[\d.]* GB|\d+ to \d+ minutes", announce)
    said = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert len(announced) >= 5 and all(figure in said for figure in announced)


def test_the_table_of_error_codes_is_the_contract_s() -> None:
    page = (ROOT / "docs" / "application-developer.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+) \|$", page, re.MULTILINE)
    assert {code: int(status) for code, status, _ in rows} == ERRORS


@pytest.mark.parametrize("page", [name for name in OURS if not name.startswith("docs/decisions")])
def test_a_page_shows_no_place_and_no_verb_that_is_not_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.<])/(?:home|root|tmp|work)/", text), "a path of somebody's machine"
    from typer.main import get_command

    from cv_factory.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    for code in re.findall(r"`([^`\n]+)`", text):
        for verb in re.findall(r"cv-factory(?: --(?:env|file) \S+| --json| --yes| -v)* ([a-z]+)\b", code):
            assert verb in known, f"{page}: `{code}`"


def test_blocks_have_a_language_that_means_something() -> None:
    shown = {"json", "ini", "hcl", "console"}
    for page in OURS:
        if "```" in (ROOT / page).read_text(encoding="utf-8"):
            for block in blocks(page):
                assert block.language in {"bash", "python", "yaml", "csv", "text", *shown}, f"{page}:{block.line}"


def test_pages_that_are_followed_are_all_pages_with_commands() -> None:
    from tests.docs import test_pages

    with_commands = {
        page
        for page in OURS
        if "```" in (ROOT / page).read_text(encoding="utf-8")
        and any(block.language in ("bash", "python") for block in blocks(page))
    }
    assert with_commands == set(test_pages.FOLLOWED)
    assert Path(test_pages.__file__).read_text(encoding="utf-8").count(".follow(") >= 2
