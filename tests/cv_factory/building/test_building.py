"""make images without an engine: what Docker is asked, what is skipped, what is signed, what is refused.

``docker`` and ``syft`` are scripts that write down how they were called; ECR, S3 and KMS are moto. Docker itself, and
what it builds, is tested in tests/docker.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from contracts import release, source
from contracts.errors import FactoryError, RefusedError, UsageError
from contracts.settings import Settings
from cv_factory import session as sessions
from cv_factory.operations import images as command
from cv_factory.operations import local_base
from cv_factory.operations.base import images
from cv_factory.operations.building import context, publish, recipe, sbom
from cv_factory.operations.building.engine import Engine
from cv_factory.session import Target
from tests.cv_factory.helpers import FACTORY_YAML, make_settings

SETTINGS = FACTORY_YAML + "environments: {dev: {}, prod: {}}\n"
IMAGE_ID = "sha256:" + "c" * 64
DOCKER = """\
#!{python}
import json, os, sys
words = sys.argv[1:]
with open(os.environ["FAKE_LOG"], "a") as log:
    given = sys.stdin.read() if "--password-stdin" in words else ""
    names = ("DOCKER_BUILDKIT", "BUILDX_NO_DEFAULT_ATTESTATIONS", "DOCKER_CONFIG")
    env = {{name: os.environ.get(name) for name in names}}
    tree = os.walk(words[-1]) if words[0] == "build" else []
    files = sorted(os.path.relpath(f"{{folder}}/{{name}}", words[-1]) for folder, _, names in tree for name in names)
    log.write(json.dumps({{"words": words, "given": given, "env": env, "files": files}}) + "\\n")
if words[0] == os.environ.get("FAKE_FAILS"):
    sys.exit("it broke")
if words[0] == "version":
    print(json.dumps({{"Client": {{"Version": os.environ.get("FAKE_VERSION", "20.10.24+dfsg1")}}}}))
elif words[0] == "buildx":
    sys.exit("docker: 'buildx' is not a docker command.")
elif words[0] == "info":
    print(os.environ.get("FAKE_STORE", '[["Backing Filesystem","extfs"]]'))
elif words[:2] == ["image", "inspect"]:
    print(json.dumps([{{"Id": {image!r}, "Size": 5, "RootFS": {{"Layers": []}}, "Config": {{"Labels": {{}}}}}}]))
"""
SYFT = """\
#!/bin/sh
echo '{"bomFormat": "CycloneDX", "components": [{"name": "numpy"}]}'
"""


class Docker:
    """The stand-in, and how it was called."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = folder / "docker.log"
        self.patch = monkeypatch
        for name, text in {"docker": DOCKER.format(python=sys.executable, image=IMAGE_ID), "syft": SYFT}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_LOG", str(self.log))
        for name in ("DOCKER", "DOCKER_HOST"):
            monkeypatch.delenv(name, raising=False)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def called(self, verb: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["words"][0] == verb]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(command, "FOLDER", tmp_path / "build")
    monkeypatch.setattr(sbom, "program", lambda: folder / "syft")
    return Docker(folder, monkeypatch)


MakeTarget = Callable[[str], Target]


@pytest.fixture
def target(tmp_path: Path, session: Any, monkeypatch: pytest.MonkeyPatch) -> MakeTarget:
    """The target of an environment whose base is there, without any image."""

    def make(env: str) -> Target:
        settings = make_settings(tmp_path, SETTINGS, env)
        monkeypatch.setattr(local_base, "_IMAGES", ())
        local_base.ensure(settings, session)
        made = Target(settings, tmp_path / "factory.yaml", "http://127.0.0.1:1", session)
        monkeypatch.setattr(sessions, "open", lambda *_: made)
        return made

    return make


def build(settings: Settings, folder: Path, wanted: list[str] | None = None, **options: Any) -> list[str]:
    said: list[str] = []
    command.build(
        settings, folder / "factory.yaml", wanted or list(source.IMAGES), recipe.Options(**options), said.append
    )
    return said


def pushed(target: Target, image: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    """From the next push on the registry has a manifest of ``image``; its digest."""
    names = target.settings.names
    value = {
        "schemaVersion": 2, "mediaType": images.MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": IMAGE_ID},
        "layers": [{"size": len(image)}], **changes,
    }  # fmt: skip
    manifest = images.Manifest(names.repository(image), source.source_tag(image), json.dumps(value))
    push = Engine.push

    def arrive(self: Engine, reference: str, login: tuple[str, str] | None = None) -> None:
        push(self, reference, login)
        if f"/{manifest.repository}:" in reference:
            images.put(target.client("ecr"), manifest)

    monkeypatch.setattr(Engine, "push", arrive)
    return manifest.digest


def test_local_builds_both_and_pushes_nothing(docker: Docker, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, SETTINGS)
    said = build(settings, tmp_path)
    assert [line.split()[0] for line in said] == ["training", "inference"]
    assert not docker.called("push") and not docker.called("login")
    for call, image in zip(docker.called("build"), source.IMAGES, strict=True):
        words = call["words"]
        assert words[words.index("--platform") + 1] == "linux/amd64"
        assert words[words.index("--tag") + 1] == f"shapes-local/{image}:{source.source_tag(image)}"
        assert f"--label=cv-factory.source-hash={source.source_hash(image)}" in words
        assert any(word.startswith("--label=org.opencontainers.image.revision=") for word in words)
        assert f"--build-arg=BASE={recipe.default_base(image)}" in words
        assert call["env"] == {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "DOCKER_CONFIG": None}
        assert call["files"] == sorted(source.files(image)), "the build sees what names the image"
        assert json.loads((tmp_path / "build" / f"{image}.cdx.json").read_text())["bomFormat"] == "CycloneDX"
        assert json.loads((tmp_path / "build" / f"{image}.json").read_text())["id"] == IMAGE_ID


def test_an_engine_with_containerd_s_store_is_told_to_write_docker_manifests(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STORE", '[["driver-type","io.containerd.snapshotter.v1"]]')
    build(make_settings(tmp_path, SETTINGS), tmp_path, ["inference"])
    (call,) = docker.called("build")
    assert any(word.startswith("type=image,") and word.endswith(",oci-mediatypes=false") for word in call["words"])


def test_with_wheels_the_build_has_no_network_and_no_index(docker: Docker, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    build(make_settings(tmp_path, SETTINGS), tmp_path, ["inference"], wheels=wheels, base="mirror/python:3.11")
    (call,) = docker.called("build")
    assert call["words"][call["words"].index("--network") + 1] == "none"
    assert "--build-arg=BASE=mirror/python:3.11" in call["words"]
    name = f"cv-factory-wheels:{source.source_tag('inference')}"
    assert f"--build-arg=WHEELS={name}" in call["words"]
    assert any(word.startswith("--secret=id=pipconf,src=") for word in call["words"])
    assert [call["words"][-1] for call in docker.called("import")] == [name]
    assert ["image", "rm", "--force", name] in [call["words"] for call in docker.calls], "the wheels do not stay"


def test_a_file_in_place_of_another_is_another_image(docker: Docker, tmp_path: Path) -> None:
    lock = tmp_path / "cpu.txt"
    lock.write_text("torch==1\n")
    settings = make_settings(tmp_path, SETTINGS)
    build(settings, tmp_path, ["training"], replaced={"requirements/training.txt": lock})
    (call,) = docker.called("build")
    tag = call["words"][call["words"].index("--tag") + 1]
    assert source.source_tag("training") not in tag
    with pytest.raises(UsageError, match="is not one of the training image's files"):
        build(settings, tmp_path, ["training"], replaced={"requirements/other.txt": lock})
    with pytest.raises(UsageError, match="is not there"):
        build(settings, tmp_path, ["training"], replaced={"requirements/training.txt": tmp_path / "no.txt"})


def test_the_context_does_not_depend_on_the_checkout_s_permissions(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        context.lay_out("inference", tmp_path / "c")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "c").rglob("*") if path.is_dir()} == {0o755}
    assert source.source_hash("inference", tmp_path / "c") == source.source_hash("inference")


def test_an_environment_gets_them_signed_once(
    docker: Docker, tmp_path: Path, target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = target("dev")
    names, s3 = dev.settings.names, dev.client("s3")
    digests = {image: pushed(dev, image, monkeypatch) for image in source.IMAGES}
    said = build(dev.settings, tmp_path)
    assert str(dev) in said[0] and "pushed and signed" in said[-1]
    references = [names.image(names.repository(image), tag=source.source_tag(image)) for image in source.IMAGES]
    assert [call["words"][-1] for call in docker.called("push")] == references
    for call in docker.called("login"):
        assert call["words"] == ["login", "--username", "AWS", "--password-stdin", names.registry]
        assert call["given"] == f"{names.account_id}-auth-token"
        assert call["env"]["DOCKER_CONFIG"] and not Path(call["env"]["DOCKER_CONFIG"]).exists(), "the password stays"
    public = load_der_public_key(dev.client("kms").get_public_key(KeyId=names.signing_key_alias)["PublicKey"])
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for image, digest in digests.items():
        stored = json.loads(
            s3.get_object(Bucket=names.artifact_bucket, Key=release.signature_key(digest))["Body"].read()
        )
        signature = release.ImageSignature.from_json(stored)
        assert signature.digest == digest
        assert signature.payload == release.signed_payload(f"{names.registry}/{names.repository(image)}", digest)
        public.verify(base64.b64decode(signature.signature), signature.payload.encode(), ec.ECDSA(SHA256()))
        bill = json.loads(s3.get_object(Bucket=names.artifact_bucket, Key=release.sbom_key(digest))["Body"].read())
        assert bill["components"] == [{"name": "numpy"}]

    before = len(docker.calls)
    said = build(dev.settings, tmp_path)
    assert [line.rpartition(" ")[2] for line in said[1:]] == list(digests.values())
    assert len(docker.calls) == before, "both are there: Docker is not asked"


def test_an_image_that_nobody_signed_is_refused(docker: Docker, tmp_path: Path, target: MakeTarget) -> None:
    dev = target("dev")
    images.put(dev.client("ecr"), images.manifest(dev.settings.names, "training", source.source_hash("training")))
    with pytest.raises(RefusedError, match="without a signature") as refused:
        build(dev.settings, tmp_path)
    assert "batch-delete-image --repository-name shapes-dev/training" in refused.value.hint
    assert not docker.calls


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mediaType": "application/vnd.oci.image.manifest.v1+json"}, "arrived in the registry as application/vnd.oci"),
        ({"config": {"digest": "sha256:" + "d" * 64}}, "was built here"),
    ],
)
def test_what_arrives_and_is_not_what_was_built_is_not_signed(
    docker: Docker, tmp_path: Path, target: MakeTarget, monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any], said: str,
) -> None:  # fmt: skip
    dev = target("dev")
    digest = pushed(dev, "inference", monkeypatch, **changes)
    with pytest.raises(FactoryError, match=said):
        build(dev.settings, tmp_path, ["inference"])
    assert not publish.is_signed(dev, digest)


def test_an_engine_whose_id_is_the_manifest_s_digest_is_understood(tmp_path: Path) -> None:
    text = json.dumps({"mediaType": images.MANIFEST_TYPE, "config": {"digest": "sha256:other"}})
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert publish.arrived(text, recipe.Built("training", "r", "t"), digest).digest == digest


def test_prod_takes_a_base_by_its_digest_only(docker: Docker, tmp_path: Path, target: MakeTarget) -> None:
    prod = target("prod")
    with pytest.raises(RefusedError, match=r"python:3\.11-slim-bookworm is a tag"):
        build(prod.settings, tmp_path, base="python:3.11-slim-bookworm")
    assert not docker.calls
    pinned = f"python:3.11-slim-bookworm@sha256:{'a' * 64}"
    assert recipe.is_pinned(pinned)
    with pytest.raises(FactoryError, match="no Docker manifest"):  # it is built and pushed; this registry stays empty
        build(prod.settings, tmp_path, ["inference"], base=pinned)
    assert f"--build-arg=BASE={pinned}" in docker.called("build")[0]["words"]


def test_what_is_pushed_is_built_from_the_lock(docker: Docker, tmp_path: Path, target: MakeTarget) -> None:
    with pytest.raises(RefusedError, match="built from this repository's files"):
        build(target("dev").settings, tmp_path, replaced={"requirements/training.txt": tmp_path})


def test_without_a_base_it_says_what_comes_first(
    docker: Docker, tmp_path: Path, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path, SETTINGS, "dev")
    made = Target(settings, tmp_path / "factory.yaml", "http://127.0.0.1:1", session)
    monkeypatch.setattr(sessions, "open", lambda *_: made)
    with pytest.raises(FactoryError, match="no repository shapes-dev/training") as refused:
        build(settings, tmp_path)
    assert "cv-factory --env dev infra apply" in refused.value.hint


@pytest.mark.parametrize(
    ("variables", "said", "hint"),
    [
        ({"DOCKER": "no-such-docker"}, "no-such-docker is not on PATH", "apt install docker.io"),
        ({"FAKE_FAILS": "version"}, "no Docker engine answers", "systemctl start docker"),
        ({"FAKE_VERSION": "28.2.2"}, "its plugin buildx is missing", "docs.docker.com/go/buildx"),
        ({"FAKE_FAILS": "build"}, "building shapes-local/training", "lines above"),
    ],
)
def test_a_machine_that_cannot_build_says_why_and_what_to_do(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variables: dict[str, str], said: str, hint: str,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    make_settings(tmp_path, SETTINGS)
    assert command.main(["build", "--file", str(tmp_path / "factory.yaml")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and hint in error and "Traceback" not in error


def test_wrong_use_is_exit_code_2(docker: Docker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_settings(tmp_path, SETTINGS)
    file = ["--file", str(tmp_path / "factory.yaml")]
    assert command.main(["build", *file, "--replace", "only-a-path"]) == 2
    assert "PATH=FILE" in capsys.readouterr().err
    assert command.main(["build", *file, "--wheels", str(tmp_path / "none")]) == 2
    assert "is not there" in capsys.readouterr().err
