"""Bindings that follow the Dockerfiles."""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from contracts import source
from contracts.errors import ContractError
from cv_factory.operations.base import dockerfile
from cv_factory.operations.local_base import image_pattern


def test_the_last_stage_counts() -> None:
    image = dockerfile.parse(
        """
        ARG BASE=scratch
        FROM $BASE AS build
        ENV ONLY=build
        ENTRYPOINT ["never"]
        FROM scratch
        # ENV COMMENTED=out
        ENV A=1 B="two words" \\
            C='3'
        env PATH=/opt/bin:$PATH D=${A}-${B}
        ENTRYPOINT ["python", "-m", "x"]
        """
    )
    assert image.entrypoint == ("python", "-m", "x")
    assert image.environment == {"A": "1", "B": "two words", "C": "3", "PATH": "/opt/bin:", "D": "1-two words"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM x\nENV A 1\nENTRYPOINT ['a']", "is not NAME=value"),
        ("FROM x\nENTRYPOINT python -m x", "not in exec form"),
        ("FROM x\nENTRYPOINT []", "not in exec form"),
        ("FROM x\n", "has no ENTRYPOINT"),
    ],
)
def test_what_cannot_be_bound_is_said(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        dockerfile.parse(text)


@pytest.mark.parametrize("image", ["training", "inference"])
def test_the_images_of_this_repository_run_here(settings: Any, image: str) -> None:
    body = dockerfile.binding(image, image_pattern(settings, image))
    assert body["entrypoint"][:2] == ["python", "-m"]
    assert body["entrypoint"][2].startswith(image)
    assert body["environment"]["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert body["environment"]["PYTHONPATH"] == body["working_dir"] == str(source.root())
    assert body["environment"]["PYTHONUNBUFFERED"] == "1"  # the Dockerfile's own


def test_the_pattern_matches_tags_and_digests_of_one_repository(settings: Any) -> None:
    names = settings.names
    pattern = image_pattern(settings, "training")
    assert fnmatchcase(names.image(names.training_repository, tag="src-1"), pattern)
    assert fnmatchcase(names.image(names.training_repository, digest="sha256:1"), pattern)
    assert not fnmatchcase(names.image(names.inference_repository, tag="src-1"), pattern)
    assert not fnmatchcase(names.image(names.training_repository + "-old", tag="src-1"), pattern)


def test_a_missing_dockerfile_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="training/Dockerfile is missing"):
        dockerfile.binding("training", "*", tmp_path)
