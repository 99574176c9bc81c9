"""Draws ``docs/architecture.svg``: ``python docs/architecture.py``.

Above: what Terraform makes, root by root and module by module, read from the ``.tf`` files. Below: what each role
reaches, read from ``terraform/policies``. A test fails when the picture is not what the code has. It has a ground of
its own, so that it reads on light and on dark pages.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
TERRAFORM = ROOT / "terraform"

WIDTH = 1180
#: Roles in the order in which a model meets them -> their documents.
ROLES = {
    "pipeline": ("pipeline",),
    "job": ("job",),
    "endpoint": ("endpoint",),
    "deployer": ("deployer",),
    "owner": ("owner",),
    "github-plan": ("github-plan",),
    "github-apply": ("github-apply", "github-plan"),
    "github-release": ("github-release",),
}
#: Column -> what a resource must contain to belong to it, the first that does.
COLUMNS = {
    "Terraform's state": "${state_bucket}",
    "images of the data set": "${data_bucket}/",
    "runs, checkpoints": "${artifact_bucket}/(runs|checkpoints|capture)",
    "packages": "${artifact_bucket}/packages",
    "release": "${artifact_bucket}/release",
    "signatures": "${artifact_bucket}/signatures",
    "image registry": ":repository/",
    "model registry": ":model-package",
    "pipeline": ":pipeline/",
    "jobs": "(processing|training)-job/",
    "endpoint": ":endpoint/",
    "deployer": ":function:",
    "roles": ":iam::.*:role/|_role_arn",
    "signing key": "signing_key_arn",
}
_READS = re.compile(
    r"(Get|List|Describe|BatchGet|BatchCheck|View|Verify|Filter|Head|InvokeEndpoint|InvokeFunction|Decrypt)"
)
COLOURS = {"reads": "#93c5fd", "writes": "#fdba74", "calls": "#86efac"}


def modules() -> dict[str, dict[str, Counter[str]]]:
    """Root -> module (or "itself") -> kinds of resources and how many blocks of each."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for root in ("data", "factory"):
        parts = found.setdefault(root, {})
        text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((TERRAFORM / root).glob("*.tf")))
        own = Counter(re.findall(r'^resource "(\w+)"', text, re.M))
        if own:
            parts["itself"] = own
        for name in sorted(set(re.findall(r'source += "\.\./modules/(\w+)"', text)) - {"settings"}):
            inside = "\n".join(path.read_text(encoding="utf-8") for path in (TERRAFORM / "modules" / name).glob("*.tf"))
            parts[name] = Counter(re.findall(r'^resource "(\w+)"', inside, re.M))
    return found


def reach() -> dict[str, dict[str, set[str]]]:
    """Role -> column -> what it does there: reads, writes, calls."""
    found: dict[str, dict[str, set[str]]] = {}
    for role, documents in ROLES.items():
        cells = found.setdefault(role, {})
        for name in documents:
            for statement in json.loads((TERRAFORM / "policies" / f"{name}.json").read_text(encoding="utf-8"))[
                "Statement"
            ]:
                for column in _columns(statement["Resource"]):
                    cells.setdefault(column, set()).update(_verbs(statement["Action"]))
    return found


def _columns(resources: str | list[str]) -> set[str]:
    listed = [resources] if isinstance(resources, str) else resources
    patterns = {name: pattern.replace("${", r"\$\{").replace("}/", r"\}/") for name, pattern in COLUMNS.items()}
    found = set()
    for resource in listed:
        if resource.endswith("${artifact_bucket}/*"):
            found |= {"runs, checkpoints", "packages", "release", "signatures"}
        for name, pattern in patterns.items():
            if re.search(pattern, resource):
                found.add(name)
                break
    return found


def _verbs(actions: str | list[str]) -> set[str]:
    found = set()
    for action in [actions] if isinstance(actions, str) else actions:
        name = action.partition(":")[2]
        if name in ("InvokeFunction", "InvokeEndpoint"):
            found.add("calls")
        else:
            found.add("reads" if _READS.match(name) else "writes")
    return found


def draw() -> str:
    parts: list[str] = []
    y = _modules(parts, 56)
    height = _matrix(parts, y + 40) + 30
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" '
        f'font-size="12"><title>What Terraform makes, and what each role reaches</title>'
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#f8fafc"/>'
    )
    return head + "\n" + "\n".join(parts) + "\n</svg>\n"


def _text(x: float, y: float, text: str, **style: str) -> str:
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:g}" y="{y:g}" fill="#0f172a"{more}>{escape(text)}</text>'


def _modules(parts: list[str], y: float) -> float:
    parts.append(_text(24, 32, "What Terraform makes", font_size="16", font_weight="600"))
    for root, found in modules().items():
        parts.append(_text(24, y + 4, f"terraform/{root}", font_weight="600"))
        x, lowest = 24.0, 0.0
        top = y + 16
        for name, kinds in found.items():
            lines = [
                f"{kind.removeprefix('aws_')}{f' × {count}' if count > 1 else ''}"
                for kind, count in sorted(kinds.items())
            ]
            if x + 226 > WIDTH - 12:
                x, top = 24.0, lowest + 10
            height = 26 + 14 * len(lines)
            parts.append(
                f'<rect x="{x:g}" y="{top:g}" width="218" height="{height}" rx="6" fill="#fff" stroke="#94a3b8"/>'
            )
            parts.append(_text(x + 10, top + 17, name, font_weight="600"))
            parts += [_text(x + 10, top + 33 + 14 * i, line, font_size="10") for i, line in enumerate(lines)]
            lowest = max(lowest, top + height)
            x += 228
        y = lowest + 28
    return y - 28


def _matrix(parts: list[str], y: float) -> float:
    parts.append(_text(24, y, "What each role reaches", font_size="16", font_weight="600"))
    left, cell, row = 150.0, 72.0, 26.0
    top = y + 96
    for index, column in enumerate(COLUMNS):
        x = left + index * cell + cell / 2
        parts.append(_text(x, top - 8, column, font_size="11", transform=f"rotate(-35 {x:g} {top - 8:g})"))
    for number, (role, cells) in enumerate(reach().items()):
        line = top + number * row
        parts.append(_text(24, line + 17, role, font_weight="600"))
        for index, column in enumerate(COLUMNS):
            x = left + index * cell
            parts.append(
                f'<rect x="{x:g}" y="{line:g}" width="{cell - 3:g}" height="{row - 3:g}" rx="3" fill="#e2e8f0"/>'
            )
            verbs = [verb for verb in COLOURS if verb in cells.get(column, set())]
            for place, verb in enumerate(verbs):
                width = (cell - 3) / len(verbs)
                parts.append(
                    f'<rect x="{x + place * width:g}" y="{line:g}" width="{width:g}" height="{row - 3:g}" rx="3" '
                    f'fill="{COLOURS[verb]}"/>'
                )
                parts.append(_text(x + (place + 0.5) * width, line + 16, verb, font_size="10", text_anchor="middle"))
    end = top + len(ROLES) * row + 18
    parts.append(
        _text(24, end, "reads: content or settings; what exactly stands in terraform/policies", font_size="11")
    )
    return end


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(f"written: {PICTURE.relative_to(ROOT)}")
