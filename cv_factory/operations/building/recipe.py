"""One image from the sources of this checkout: its context, its arguments, its labels."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts import source
from contracts.errors import UsageError
from contracts.names import Names
from cv_factory.operations import pipeline
from cv_factory.operations.building import context
from cv_factory.operations.building.engine import Build, Engine

#: Labels of ours beside those of the OCI image specification (annotations.md, "Pre-Defined Annotation Keys").
SOURCE_LABEL = "cv-factory.source-hash"
REVISION_LABEL = "org.opencontainers.image.revision"
VERSION_LABEL = "org.opencontainers.image.version"
BASE_LABEL = "org.opencontainers.image.base.name"

_NO_INDEX = "[global]\nno-index = true\n"


@dataclass(frozen=True, slots=True)
class Options:
    """What may differ from machine to machine.

    Attributes:
        base: the base image; "" for the Dockerfile's own.
        wheels: a folder with every wheel that the locks name; the build then has no network. None: pip fetches them.
        pip_conf: pip's configuration while it installs, for an index of one's own; no layer keeps it.
        network: ``--network`` of the build's commands; "" for the engine's default.
        replaced: path in the repository -> the file that is taken instead.
    """

    base: str = ""
    wheels: Path | None = None
    pip_conf: Path | None = None
    network: str = ""
    replaced: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the engine.

    Attributes:
        image: training or inference.
        repository: its repository's name, without a registry.
        tag: ``src-…`` of what it was built from.
        reference: ``repository:tag``, its name in the engine.
    """

    image: str
    repository: str
    tag: str

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


def build(engine: Engine, names: Names, image: str, options: Options) -> Built:
    """Build ``image`` (training or inference).

    Raises:
        UsageError: an option names a file or folder that is not there.
        FactoryError: the build failed.
    """
    for given in (options.wheels, options.pip_conf):
        if given is not None and not given.exists():
            raise UsageError(f"{given} is not there")
    with tempfile.TemporaryDirectory(prefix="cv-factory-build-") as folder:
        root = Path(folder) / "context"
        context.lay_out(image, root, {name: file for name, file in options.replaced.items() if _is_for(image, name)})
        digest = source.source_hash(image, root)
        tag = source.tag(digest)
        built = Built(image, names.repository(image), tag)
        base = options.base or default_base(image)
        arguments, secrets, network = {"BASE": base}, {}, options.network
        if options.pip_conf is not None:
            secrets["pipconf"] = options.pip_conf
        wheels = f"cv-factory-wheels:{tag}"
        if options.wheels is not None:
            engine.import_folder(options.wheels, wheels)
            no_index = Path(folder) / "pip.conf"
            no_index.write_text(_NO_INDEX, encoding="utf-8")
            arguments, secrets, network = {**arguments, "WHEELS": wheels}, {"pipconf": no_index}, "none"
        labels = {
            SOURCE_LABEL: digest, REVISION_LABEL: pipeline.git_sha(), VERSION_LABEL: tag, BASE_LABEL: base,
        }  # fmt: skip
        try:
            engine.build(Build(root, f"{image}/Dockerfile", built.reference, arguments, labels, network, secrets))
        finally:
            if options.wheels is not None:
                engine.remove(wheels)
    return built


def default_base(image: str) -> str:
    """The base that the Dockerfile names."""
    text = (source.root() / image / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    if found is None:
        raise UsageError(f"{image}/Dockerfile has no line ARG BASE=…")
    return found[1]


def is_pinned(base: str) -> bool:
    """Is the base named by its digest?"""
    return re.search(r"@sha256:[0-9a-f]{64}$", base) is not None


def _is_for(image: str, name: str) -> bool:
    """A file that only the other image has is none of this one's business; an unknown one is, and is refused."""
    return name in source.files(image) or not any(name in source.files(other) for other in source.IMAGES)
