"""Checks of the account: its base, its quotas, its images."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

from contracts import source
from cv_factory.operations import infra
from cv_factory.operations.base import images
from cv_factory.operations.building import publish
from cv_factory.operations.doctor import limits
from cv_factory.operations.unproved.bench import Bench
from cv_factory.operations.unproved.check import ByHand, Check, NotHere, Use, expect
from deployment.checks import images as checks
from deployment.checks import registry

_GPU = "ml.g5.xlarge"
#: Exit code of ``plan -detailed-exitcode`` when there is something to change.
_CHANGES = 2
#: Lines of its output that are told.
_LINES = 15


def plan(bench: Bench) -> str:
    if bench.target.is_local:
        raise NotHere("env local has a base that boto3 makes")
    if shutil.which("terraform") is None:
        raise NotHere("terraform is not on PATH: developer.hashicorp.com/terraform/install")
    command = ["--env", bench.names.env, "--file", str(bench.target.file), "infra", "plan", "-detailed-exitcode"]
    done = subprocess.run(
        [sys.executable, "-m", "cv_factory.cli", *command], capture_output=True, text=True, check=False
    )
    last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LINES:])
    expect(done.returncode in (0, _CHANGES), f"infra plan ended with {done.returncode}: {last}")
    expect(done.returncode == 0, f"the plan has changes: {last}")
    return f"no change in {' and '.join(infra.ROOTS)}"


def quotas(bench: Bench) -> str:
    """The names by which ``doctor`` looks for quotas are the account's, and the values are told."""
    pages = bench.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    known = {one["QuotaName"]: one["Value"] for page in pages for one in page["Quotas"]}
    wanted = limits.needed(bench.target)
    absent = sorted(set(wanted) - set(known))
    expect(not absent, f"the account has no quota named {', '.join(absent)}")
    told = "; ".join(f"{name}: {known[name]:g}, needed {count}" for name, count in sorted(wanted.items()))
    short = [name for name, count in wanted.items() if known[name] < count]
    expect(not short, f"too small: {', '.join(sorted(short))}. {told}")
    return told


def pushed_images(bench: Bench) -> str:
    """What ``make images`` left in the registry."""
    told = []
    for image in source.IMAGES:
        bench.image(image)
        answer = bench.client("ecr").batch_get_image(
            repositoryName=bench.names.repository(image),
            imageIds=[{"imageTag": source.source_tag(image)}],
            acceptedMediaTypes=[images.MANIFEST_TYPE],
        )
        expect(answer["images"], f"{image}: no Docker manifest: {answer.get('failures')}")
        text = answer["images"][0]["imageManifest"]
        digest = answer["images"][0]["imageId"]["imageDigest"]
        kind = json.loads(text).get("mediaType")
        expect(kind == images.MANIFEST_TYPE, f"{image}: the manifest is {kind}")
        found = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        expect(found == digest, f"{image}: the manifest's SHA-256 is {found}, the image's digest {digest}")
        expect(publish.is_signed(bench.target, digest), f"{image}: {digest} is not signed")
        told.append(f"{image} {digest[:19]}…")
    return f"Docker manifests, SHA-256 as the digest, signed: {', '.join(told)}"


def checked_images(bench: Bench) -> str:
    """What the deployer asks ECR about an image before a roll-out: its configuration and its scan."""
    told = []
    for image in source.IMAGES:
        bench.image(image)
        found = registry.find(
            bench.client("ecr"), bench.names.account_id, bench.names.repository(image), tag=source.source_tag(image)
        )
        if found is None:
            raise NotHere(f"the registry has no {image} image of these sources")
        kind = registry.platform(bench.client("ecr"), bench.names.account_id, found)
        expect(kind == checks.PLATFORM, f"{image}: the configuration says {kind}")
        scan = registry.scan(bench.client("ecr"), bench.names.account_id, found)
        expect(bool(scan.status), f"{image}: it was never scanned, although the repository scans on push")
        counts = ", ".join(f"{count} {severity}" for severity, count in sorted(scan.counts.items())) or "nothing found"
        told.append(f"{image} {kind}, scan {scan.status}: {counts}")
    return "; ".join(told)


def gpu(bench: Bench) -> str:
    if bench.target.is_local:
        raise NotHere(f"env local has no {_GPU}")
    about = bench.run_training("gpu", "gpu", InstanceType=_GPU)
    expect(
        about["TrainingJobStatus"] == "Completed",
        f"{about['TrainingJobStatus']}: {about.get('FailureReason', 'no reason is given')}",
    )
    return f"PyTorch multiplied on the GPU of {_GPU}"


TITLE = "Account"
ROWS: tuple[Check | ByHand, ...] = (
    ByHand(
        "`infra apply` into an empty account",
        "applied; a role that was just made may not be assumable for some seconds",
        "the checks need the base, so they begin when that is done. Note what `infra apply` says the first time",
    ),
    Check("account.plan", "`infra plan` after it", "no change", plan, needs=("the base", "Terraform")),
    ByHand(
        "`doctor` after it and `make images`",
        "no problem: IAM gives the policies back as they were put, its simulator allows each call of the roles' dry"
        " run, and the quota of serverless endpoints has the name that `doctor` asks for",
        "it reads only: run `cv-factory --env dev doctor` as an administrator, once with `serving.serverless` set",
    ),
    ByHand(
        "the roles `<name>-<env>-github-plan`, `-apply` and `-release`, taken by workflows",
        "every line of `ci.yml` and `release.yml` is allowed; a pull request gets neither of the other two, and no"
        " environment another's",
        "only GitHub can take them: open a pull request, start `release.yml` for dev, and once with a role of prod",
    ),
    Check(
        "account.quotas",
        "quotas of a new account",
        "may be zero for an instance type; the failure names the quota",
        quotas,
        needs=("service-quotas:ListServiceQuotas",),
    ),
    Check(
        "account.images",
        "`make images`",
        "`docker login` takes ECR's password; the push of 5 GB ends; `batch_get_image` gives a Docker manifest whose"
        " SHA-256 is the image's digest. SageMaker has refused OCI manifests",
        pushed_images,
        needs=("both images",),
    ),
    Check(
        "account.image-checks",
        "`get_download_url_for_layer` for an image's *configuration*; `describe_image_scan_findings`",
        "a URL whose content has the digest and names linux/amd64; a scan with a status and counts by severity",
        checked_images,
        needs=("both images",),
    ),
    ByHand(
        "the same from an engine that keeps images in containerd (Docker 29)",
        "`--output type=image,oci-mediatypes=false` makes the pushed manifest Docker's; if not, `make images` refuses"
        " to sign it and says so",
        "it depends on the engine of your machine: run `make images` there",
    ),
    ByHand(
        "the same with `BASE` pinned by its digest",
        "built; no registry of base images was in reach where this was written, so no digest is in the Dockerfiles yet",
        "it needs Docker and a registry of base images, not an AWS account: run `make images BASE=…@sha256:…`",
    ),
    Check(
        "account.gpu",
        f"the training image from the lock, with CUDA, on `{_GPU}`",
        "builds, and PyTorch finds the GPU. Only the CPU build of the same Dockerfile was built and run",
        gpu,
        uses=(Use(_GPU, 1, 10),),
        needs=("the training image", f"a quota for {_GPU}"),
    ),
)
