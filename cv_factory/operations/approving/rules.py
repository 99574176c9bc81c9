"""When an approval is refused: pure functions of what a package was evaluated with and what there is now.

Each rule gives one sentence that says what differs; the person is told all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts import evaluation, release
from contracts.bundle import FLOAT32
from cv_factory.operations.approving import identity
from cv_factory.operations.approving.evidence import Evidence
from cv_factory.operations.approving.identity import Identity
from deployment.packages import COMPLETED, Package


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not.

    Attributes:
        rule: a short name, the same from version to version.
        says: what is wrong, with the values.
        right: what would be right and what to run.
    """

    rule: str
    says: str
    right: str

    def to_json(self) -> dict[str, str]:
        return {"rule": self.rule, "says": self.says, "right": self.right}


_RUN_AGAIN = (
    "Run the pipeline again: the model is evaluated against what holds now. The same model keeps its version and"
    " gets the new report: cv-factory run"
)
_TAMPERED = "What is kept with a package is written once, by the pipeline. Look who wrote it; then run again: "


def about_evidence(package: Package, found: Evidence) -> list[Refusal]:
    """Whether the package's data, champion and report are still those that it was evaluated with."""
    if package.status != COMPLETED:
        return [
            Refusal(
                "status",
                f"{package.label} is {package.status}, so it cannot be approved",
                "Wait until it is Completed. A Failed package is registered again by another run of the pipeline.",
            )
        ]
    value = found.evaluation
    if value is None:
        return [
            Refusal(
                "evaluation",
                f"{package.label} has no {evaluation.EVALUATION} beside its model, so nobody knows how good it is",
                "Only a run of the pipeline makes one: cv-factory run",
            )
        ]
    return [
        *_identity(package, found),
        *_unchanged(package, found),
        *_gate(package, found),
        *_data(found),
        *_champion(found),
    ]


def _identity(package: Package, found: Evidence) -> list[Refusal]:
    """The evaluation speaks of this very bundle, data and precision."""
    value = found.evaluation or {}
    pairs = (
        ("bundle", package.bundle_hash, value.get("bundle_hash")),
        ("dataset", found.metadata.get(release.META_DATASET_HASH, ""), value.get("dataset_hash")),
        ("precision", package.precision or FLOAT32, (value.get("serving") or {}).get("precision")),
    )
    return [
        Refusal(
            "evaluation",
            f"the evaluation is of {name} {_short(there)}, and {package.label} has {name} {_short(wanted)}",
            _RUN_AGAIN,
        )
        for name, wanted, there in pairs
        if wanted != there
    ]


def _unchanged(package: Package, found: Evidence) -> list[Refusal]:
    """The evaluation and the report are, byte for byte, those that were registered."""
    refusals = []
    for rule, key, now, name in (
        ("evaluation", release.META_EVALUATION, found.evaluation_sha256, evaluation.EVALUATION),
        ("report", release.META_REPORT, found.report_sha256, evaluation.REPORT),
    ):
        registered = found.metadata.get(key, "")
        if not registered:
            says = f"{package.label} does not say which {name} it was registered with"
            refusals.append(Refusal(rule, says, _RUN_AGAIN))
        elif not now:
            refusals.append(Refusal(rule, f"{name} of {package.label} is missing", _RUN_AGAIN))
        elif now != registered:
            says = f"{name} is not the one that was registered: SHA-256 {_short(now)}, not {_short(registered)}"
            refusals.append(Refusal(rule, says, _TAMPERED + "cv-factory run"))
    return refusals


def _gate(package: Package, found: Evidence) -> list[Refusal]:
    gate = (found.evaluation or {}).get("gate") or {}
    outcome = gate.get("outcome")
    if outcome == evaluation.REGISTER:
        return []
    says = f"the gate's outcome for {package.label} is {outcome!r}: {gate.get('message', 'it gives no reason')}"
    return [Refusal("gate", says, "Reject it: cv-factory reject --why …")]


def _data(found: Evidence) -> list[Refusal]:
    """The data are those that were evaluated: what is kept beside the model, and the imported dataset itself."""
    wanted = found.metadata.get(release.META_DATASET_HASH, "")
    refusals = []
    if found.dataset_hash != wanted:
        says = f"the dataset that is kept with it is {_short(found.dataset_hash)}, and it names {_short(wanted)}"
        refusals.append(Refusal("data", says, _RUN_AGAIN))
    if found.imported_hash is not None and found.imported_hash != wanted:
        says = (
            f"dataset {_short(wanted)} is not in the data bucket any more, or you may not read its manifest"
            if not found.imported_hash
            else f"the dataset that it names has changed: it is {_short(found.imported_hash)}, not {_short(wanted)}"
        )
        refusals.append(Refusal("data", says, f"Import the images again: cv-factory data import. {_RUN_AGAIN}"))
    return refusals


def _champion(found: Evidence) -> list[Refusal]:
    """The model that it was compared with is the one that it would replace.

    A promoted package was compared with the champion of its own environment; the review says so.
    """
    if release.META_ORIGIN in found.metadata:
        return []
    registered = found.metadata.get(release.META_CHAMPION, "")
    evaluated = compared_with(found)
    now = found.champion.bundle_hash if found.champion else release.NO_CHAMPION
    if registered and registered != evaluated:
        says = f"it says it was compared with {_short(registered)}, and its evaluation with {_short(evaluated)}"
        return [Refusal("champion", says, _RUN_AGAIN)]
    if evaluated == now:
        return []
    is_now = f"{found.champion.label} (bundle {_short(now)}) is approved" if found.champion else "none is approved"
    was = "no champion" if evaluated == release.NO_CHAMPION else f"bundle {_short(evaluated)}"
    return [Refusal("champion", f"it was compared with {was}, and now {is_now}", _RUN_AGAIN)]


def compared_with(found: Evidence) -> str:
    """The bundle that the evaluation compared with, or :data:`~contracts.release.NO_CHAMPION`."""
    champion = (found.evaluation or {}).get("champion")
    return str(champion.get("bundle_hash", "")) if champion else release.NO_CHAMPION


def four_eyes(starters: tuple[Identity, ...], approver: Identity) -> list[Refusal]:
    """Another person approves than the one who started the execution.

    Args:
        starters: everybody who is known to have started or retried it; none: nobody knows.
    """
    sign_in = "Sign in as a user, or in a role with a session of your name (role_session_name in ~/.aws/config)."
    if not approver.known:
        says = f"{approver} names no person, and here another person approves than the one who started the execution"
        return [Refusal("four-eyes", says, sign_in)]
    if not starters:
        says = "nobody knows who started the execution of this model, and here another person approves"
        return [Refusal("four-eyes", says, "Start it again with a version that records it: cv-factory run")]
    for starter in starters:
        if identity.same(starter, approver):
            says = f"{approver} started the execution of this model, and here another person approves"
            return [Refusal("four-eyes", says, "Ask somebody else to approve it.")]
        if not starter.known:
            says = f"the execution was started by {starter}, which names no person, so nobody knows who it was not"
            return [Refusal("four-eyes", says, f"{sign_in} Then start it again: cv-factory run")]
    return []


def _short(value: object) -> str:
    return str(value)[:12] if value else "none"
