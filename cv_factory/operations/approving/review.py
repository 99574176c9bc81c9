"""What a person sees before approving: how good the model is, against what, and what would be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import release
from contracts.release import CHECKS_KEY
from cv_factory.operations.approving import identity, rules
from cv_factory.operations.approving.evidence import Evidence, gather
from cv_factory.operations.approving.identity import Identity
from cv_factory.operations.approving.rules import Refusal
from deployment import aws, checked, packages
from deployment.packages import Package

if TYPE_CHECKING:
    from cv_factory.session import Target


@dataclass(frozen=True, slots=True)
class Deploys:
    """What an approval would put on the endpoint."""

    image: str
    bundle_hash: str
    precision: str
    instance_type: str
    instance_count: int
    max_instances: int
    strategy: str
    percent: int
    bake_minutes: int

    @property
    def image_digest(self) -> str:
        return self.image.rpartition("@")[2]

    def to_json(self) -> dict[str, Any]:
        return {
            "image": self.image, "image_digest": self.image_digest, "bundle_hash": self.bundle_hash,
            "precision": self.precision, "instance_type": self.instance_type, "instance_count": self.instance_count,
            "max_instances": self.max_instances, "strategy": self.strategy, "percent": self.percent,
            "bake_minutes": self.bake_minutes,
        }  # fmt: skip


@dataclass(frozen=True)
class Review:
    """A package, as it stands at one moment.

    Attributes:
        starters: who is known to have started or retried its execution.
        approver: who asks now.
        four_eyes: whether they must be different people.
        refusals: why it must not be approved; none: it may.
        notes: what a person should know, and that stops nothing.
    """

    package: Package
    evidence: Evidence
    deploys: Deploys
    starters: tuple[Identity, ...]
    approver: Identity
    four_eyes: bool
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()

    @property
    def gate(self) -> Mapping[str, Any]:
        return dict((self.evidence.evaluation or {}).get("gate") or {})

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Name -> value with its 95 % interval, on the test split."""
        return dict((self.evidence.evaluation or {}).get("metrics") or {})

    @property
    def images(self) -> int:
        """Of the test split."""
        return int(((self.evidence.evaluation or {}).get("counts") or {}).get("test") or 0)

    @property
    def protocol(self) -> str:
        return str((self.evidence.evaluation or {}).get("protocol", ""))

    @property
    def champion(self) -> Mapping[str, Any] | None:
        """What the evaluation compared with: its bundle, the number of images, and the difference in each metric."""
        return (self.evidence.evaluation or {}).get("champion")

    def to_json(self) -> dict[str, Any]:
        now = self.evidence.champion
        champion = self.champion
        return {
            "model_package_arn": self.package.arn, "version": self.package.version, "approval": self.package.approval,
            "gate": {"outcome": self.gate.get("outcome", ""), "message": self.gate.get("message", "")},
            "protocol": self.protocol, "test_images": self.images, "metrics": self.metrics,
            "champion": {
                "model_package_arn": now.arn if now else "",
                "bundle_hash": (champion or {}).get("bundle_hash", ""),
                "images": (champion or {}).get("images", 0),
                "difference": (champion or {}).get("difference", {}),
            },
            "deploys": self.deploys.to_json(),
            "report": str(self.evidence.report),
            "origin": self.evidence.metadata.get(release.META_ORIGIN, ""),
            "started_by": [each.arn for each in self.starters], "approver": self.approver.arn,
            "four_eyes": self.four_eyes,
            "refusals": [each.to_json() for each in self.refusals], "notes": list(self.notes),
        }  # fmt: skip


def look(target: Target, package: Package) -> Review:
    """Read what there is to know of a package. Nothing is changed.

    Raises:
        ContractError: the base is not there, or the package names no model.
    """
    sagemaker, s3, settings = target.client("sagemaker"), target.client("s3"), target.settings
    found = gather(sagemaker, s3, settings.names, package)
    approver = identity.parse(str(target.client("sts").get_caller_identity()["Arn"]))
    starters = who_started(target, found.metadata)
    refusals = rules.about_evidence(package, found)
    if settings.four_eyes:
        refusals += rules.four_eyes(starters, approver)
    return Review(
        package, found, deploys(target, package), starters, approver, settings.four_eyes, tuple(refusals),
        tuple(_notes(target, package, found)),
    )  # fmt: skip


def deploys(target: Target, package: Package) -> Deploys:
    """What the environment would make of a package: its settings decide about the machines and the strategy."""
    serving, how = target.settings.serving, target.settings.release
    return Deploys(
        package.image, package.bundle_hash, package.precision or "float32", serving.instance_type,
        serving.instance_count, serving.max_instances, how.strategy, how.percent, how.bake_minutes,
    )  # fmt: skip


def who_started(target: Target, metadata: Mapping[str, str]) -> tuple[Identity, ...]:
    """Who is known to have started or retried the execution of a package, each once.

    Two sources: what the package was registered with (the start parameter ``StartedBy``), and the execution itself,
    where it says so. On AWS an execution names users of Studio only (API reference, UserContext, IamIdentity).
    """
    found = {release.recorded_identity(metadata.get(release.META_STARTED_BY, ""))}
    execution = metadata.get(release.META_EXECUTION, "")
    if execution and release.META_ORIGIN not in metadata:
        names = target.settings.names
        arn = f"arn:aws:sagemaker:{names.region}:{names.account_id}:pipeline/{names.pipeline.lower()}/execution"
        try:
            about = target.client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=f"{arn}/{execution}")
        except ClientError as error:
            if not aws.is_missing(error):
                raise
            about = {}
        for context in (about.get("CreatedBy"), about.get("LastModifiedBy")):
            identity_ = (context or {}).get("IamIdentity") or {}
            found.add(release.recorded_identity(str(identity_.get("Arn") or "")))
    return tuple(identity.parse(arn) for arn in sorted(found - {release.UNKNOWN}))


def _notes(target: Target, package: Package, found: Evidence) -> list[str]:
    notes = []
    now = found.champion
    if now is not None and now.version > package.version and package.approval != packages.APPROVED:
        notes.append(f"{now.label} is approved and newer: it is served until it is rejected, or {package.label} pinned")
    if release.META_ORIGIN in found.metadata:
        notes.append(f"promoted from {found.metadata[release.META_ORIGIN]}")
        bundle = now.bundle_hash if now else release.NO_CHAMPION
        if bundle != rules.compared_with(found):
            notes.append(
                f"it was compared with bundle {rules.compared_with(found)[:12]} there; what is served here is"
                f" {f'bundle {bundle[:12]}' if now else 'nothing yet'}: the two were not compared"
            )
    if package.approval == packages.REJECTED:
        notes.append(f"it was rejected{f': {package.reason}' if package.reason else ''}")
    known = checked.Before.from_json(aws.read_json(target.client("s3"), target.settings.names.artifacts(CHECKS_KEY)))
    if known is not None and known.package_arn == package.arn and known.report.warnings:
        notes.append(f"when it was checked last, {known.report.message}")
    if target.settings.release.four_eyes == "never":
        notes.append("release.four_eyes is never: whoever started the execution may approve its model")
    return notes
