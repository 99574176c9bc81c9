"""The images as SageMaker runs them: ``serve`` and ``train`` on a read-only root, without network, under limits."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts import settings, source
from cv_factory.operations.base import images
from cv_factory.operations.building import publish, recipe
from cv_factory.operations.building.engine import Engine
from inference.predictor import Predictor
from tests.docker import engines
from tests.docker.conftest import Image
from tests.docker.engines import TestEngine
from tests.inference import tiny
from tests.training import shapes, shapes_recipe
from tests.training.conftest import run_preprocess

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

NETWORK = "cv-factory-test"
#: What SageMaker does not forbid, and nothing here needs.
STRICT = (
    "--read-only", "--tmpfs", "/tmp:size=64m", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--pids-limit", "128", "--cpus", "1",
)  # fmt: skip
#: Of the serving image, unpacked, above its base.
MAX_MB = 300


@pytest.fixture(scope="module")
def network(engine: TestEngine) -> Iterator[str]:
    """A network in which containers and this machine reach each other and nothing else."""
    engine.docker("network", "create", "--internal", NETWORK)
    yield NETWORK
    engine.docker("network", "rm", NETWORK)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An unpacked model for which nobody but its reader has a right."""
    folder = tmp_path / "model"
    tiny.write_bundle(folder)
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o444)
    tmp_path.chmod(0o755)
    return folder


class Container:
    """A started container and its address."""

    def __init__(self, engine: TestEngine, name: str) -> None:
        self.engine, self.name = engine, name

    def about(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.engine.docker("inspect", self.name))[0]
        return value

    def logs(self) -> str:
        done = subprocess.run(
            [Engine.open().client, "logs", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ.copy(), check=True,
        )  # fmt: skip
        return done.stdout

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "image/png") -> tuple[int, bytes]:
        address = self.about()["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        with closing(http.client.HTTPConnection(address, 8080, timeout=20)) as connection:
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def wait_until_healthy(self) -> None:
        """SageMaker asks /ping until it is 200, for 8 minutes at most."""
        end = time.monotonic() + 120
        while True:
            try:
                if self.ask("GET", "/ping")[0] == 200:
                    return
            except OSError:
                pass
            assert self.about()["State"]["Running"] and time.monotonic() < end, self.logs()
            time.sleep(0.1)


@contextmanager
def serving(engine: TestEngine, image: Image, network: str, model: Path, *options: str) -> Iterator[Container]:
    """A container that serves ``model``, started as SageMaker starts it."""
    words = ["--network", network, "--volume", f"{model}:/opt/ml/model:ro", *STRICT, *options]
    container = Container(engine, engine.docker("run", "--detach", *words, image.reference, "serve"))
    try:
        yield container
    finally:
        engine.docker("rm", "--force", "--volumes", container.name)


@pytest.mark.parametrize("user", [(), ("--user", "0:0")], ids=["its own user", "root"])
def test_the_serving_image_predicts_and_stops(
    engine: TestEngine, inference_image: Image, network: str, model: Path, user: tuple[str, ...]
) -> None:
    limit = ("--memory", "512m", "--memory-swap", "512m")
    with serving(engine, inference_image, network, model, *limit, *user) as container:
        container.wait_until_healthy()
        status, body = container.ask("POST", "/invocations", tiny.picture(200))
        answer = json.loads(body)
        assert status == 200 and answer["predicted_label"] == "light"
        assert answer["probabilities"]["light"] == pytest.approx(tiny.light_probability(200), abs=1e-4)
        status, body = container.ask("POST", "/invocations", b"not an image")
        assert status == 400 and json.loads(body)["error"]["code"]
        assert "telemetry" not in container.logs().lower()
        engine.docker("stop", "--time", "30", container.name)
        state = container.about()["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), container.logs()


def test_a_model_that_cannot_be_loaded_ends_the_container_with_a_reason(
    engine: TestEngine, inference_image: Image, network: str, tmp_path: Path
) -> None:
    empty = tmp_path / "model"
    empty.mkdir()
    with serving(engine, inference_image, network, empty) as container:
        assert engine.docker("wait", container.name) == "1"
        assert "the model cannot be loaded" in container.logs()


def test_the_serving_image_is_small_and_holds_no_tool(engine: TestEngine, inference_image: Image, base: str) -> None:
    above = inference_image.facts["bytes"] - json.loads(engine.docker("image", "inspect", base))[0]["Size"]
    assert 0 < above <= MAX_MB * 1e6, f"{above / 1e6:.0f} MB above its base"
    code = (
        "import importlib.util as u, pathlib, shutil;"
        "print(*[n for n in ('gcc','cc','g++','ld','make','git') if shutil.which(n)]);"
        "print(*[n for n in ('torch','timm','onnx','mlflow','pydantic','scipy','boto3','pip') if u.find_spec(n)]);"
        "v = pathlib.Path('/venv');"
        "print(*[p for p in v.rglob('*') if p.suffix == '.pyc' or p.name in ('pip', 'pip-cache')]);"
        "print(*[p for p in ('/root/.cache', '/tmp/pip', '/wheels', '/build', '/image') if pathlib.Path(p).exists()])"
    )
    said = engine.docker(
        "run", "--rm", "--network", "none", "--user", "0:0", "--entrypoint", "/venv/bin/python",
        inference_image.reference, "-c", code,
    )  # fmt: skip
    assert said.split() == []


@pytest.mark.parametrize("name", ["inference", "training"])
def test_an_image_says_what_it_is(name: str, request: pytest.FixtureRequest, base: str) -> None:
    image: Image = request.getfixturevalue(f"{name}_image")
    about = Engine.open().inspect(image.reference)
    labels = about["Config"]["Labels"]
    assert labels == image.facts["labels"]
    assert image.reference.rpartition(":")[2] == source.tag(labels[recipe.SOURCE_LABEL]) == labels[recipe.VERSION_LABEL]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels[recipe.REVISION_LABEL])
    assert labels[recipe.BASE_LABEL] == base and labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    if name == "inference":
        assert labels[recipe.SOURCE_LABEL] == source.source_hash("inference")
    assert (about["Os"], about["Architecture"]) == ("linux", "amd64")
    assert re.fullmatch(r"\d+(:\d+)?", about["Config"]["User"])


@pytest.mark.parametrize("name", ["inference", "training"])
def test_its_bill_of_materials_lists_the_lock_and_debian(name: str, request: pytest.FixtureRequest) -> None:
    image: Image = request.getfixturevalue(f"{name}_image")
    assert image.bill["bomFormat"] == "CycloneDX"
    listed = {item.get("purl", "").partition("?")[0] for item in image.bill["components"]}
    locked = re.findall(r"^numpy==(\S+)", (source.root() / f"requirements/{name}.txt").read_text(), re.MULTILINE)
    assert f"pkg:pypi/numpy@{locked[0]}" in listed
    assert any(item.startswith("pkg:deb/debian/libc6@") for item in listed)


def test_the_same_sources_give_the_same_layers(
    engine: TestEngine, inference_image: Image, base: str, settings_file: Path, inference_wheels: Path
) -> None:
    engine.docker("builder", "prune", "--all", "--force")
    options = recipe.Options(base=base, wheels=inference_wheels)
    again = recipe.build(Engine.open(), settings.load(settings_file).names, "inference", options)
    about = Engine.open().inspect(again.reference)
    # Both have the same name: the first gets it back, for the other tests, and the second goes.
    Engine.open().tag(inference_image.facts["id"], inference_image.reference)
    Engine.open().remove(about["Id"])
    assert about["Id"] != inference_image.facts["id"], "it was built again: the time of its creation is another"
    assert about["RootFS"]["Layers"] == inference_image.facts["layers"]


@contextmanager
def registry(engine: TestEngine, folder: Path) -> Iterator[str]:
    """A registry on a free port of loopback, which Docker takes without TLS: Debian's, else the one in an image."""
    if not engine.own and shutil.which("docker-registry") is None:
        name = engine.docker("run", "--detach", "--publish", "127.0.0.1::5000", "registry:2")
        try:
            port = engine.docker("port", name, "5000/tcp").rpartition(":")[2]
            _await_registry(f"127.0.0.1:{port}", lambda: engine.docker("logs", name))
            yield f"localhost:{port}"
        finally:
            engine.docker("rm", "--force", "--volumes", name)
        return
    program = engines.find("docker-registry")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    (folder / "registry.yml").write_text(
        json.dumps({
            "version": "0.1", "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
            "http": {"addr": f"127.0.0.1:{port}"},
        })
    )  # fmt: skip
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
    try:
        _await_registry(f"127.0.0.1:{port}", (folder / "registry.log").read_text)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _await_registry(host: str, log: Callable[[], str]) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with closing(http.client.HTTPConnection(host, timeout=5)) as connection:
                connection.request("GET", "/v2/")
                assert connection.getresponse().status == 200
            return
        except (ConnectionError, http.client.HTTPException):
            assert time.monotonic() < end, log()
            time.sleep(0.1)


def test_a_registry_gets_one_docker_manifest_and_gives_it_back_by_digest(
    engine: TestEngine, inference_image: Image, tmp_path: Path
) -> None:
    repository, _, tag = inference_image.reference.rpartition(":")
    with registry(engine, tmp_path) as host:
        reference = f"{host}/{repository}:{tag}"
        client = Engine.open()
        client.tag(inference_image.reference, reference)
        client.push(reference)
        client.remove(reference)
        with closing(http.client.HTTPConnection(host, timeout=20)) as connection:
            accepts = ", ".join([images.MANIFEST_TYPE, "application/vnd.oci.image.index.v1+json"])
            connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": accepts})
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.getheader("Content-Type") == images.MANIFEST_TYPE, "neither OCI nor a list with attestations"
        built = recipe.Built("inference", repository, tag)
        manifest = publish.arrived(text, built, inference_image.facts["id"])
        assert manifest.digest == answer.getheader("Docker-Content-Digest")
        by_digest = f"{host}/{repository}@{manifest.digest}"
        engine.docker("pull", by_digest)
        assert client.inspect(by_digest)["Id"] == inference_image.facts["id"]
        client.remove(by_digest)


def test_the_training_image_trains_without_network(engine: TestEngine, training_image: Image, tmp_path: Path) -> None:
    """``train`` in the container; the bundle that it leaves answers in this process."""
    shapes.write_imported(tmp_path / "prepared")
    assert run_preprocess(tmp_path / "prepared") == 0
    data = tmp_path / "prepared/processing/output/dataset"
    tiny_recipe = {**shapes_recipe.Tiny.hyperparameters(), "recipe": "quick", "epochs": "2"}
    base = tmp_path / "ml"
    shapes.write_job(base, data, shapes.hyperparameters(**tiny_recipe))
    (base / "input/data/dataset").unlink()  # a link of this machine; in the container it is a mount
    (base / "input/data/dataset").mkdir()
    done = engine.docker(
        "run", "--rm", "--network", "none", "--memory", "2g", "--read-only", "--tmpfs", "/tmp:size=256m",
        "--volume", f"{base}:/opt/ml", "--volume", f"{data}:/opt/ml/input/data/dataset:ro",
        training_image.reference, "train", check=False, timeout=300,
    )  # fmt: skip
    failure = base / "output/failure"
    assert not failure.exists(), f"{failure.read_text()}\n{done}"
    predictor = Predictor(base / "model")
    assert predictor.spec.classes == ("disk", "frame"), done
    picture = next((tmp_path / "prepared/processing/input/images").rglob("*.png")).read_bytes()
    assert predictor.predict([picture])[0].label in predictor.spec.classes
