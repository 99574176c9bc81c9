"""Draws ``docs/pipeline.svg``: ``python docs/draw.py``.

The steps inside the frame are those of the golden definition; a test fails when the picture has others, or is not what
this script draws. The picture has a ground of its own, so it reads on light and on dark pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pipeline.svg"
GOLDEN = ROOT / "tests" / "pipeline_definition" / "golden" / "local.json"

WIDTH, HEIGHT = 1180, 534
BOX = (104, 54)  # width and height of a step
ROW, ABOVE = 196, 104  # centre lines of the main row of steps and of the row above it
BELOW = 426  # centre line of what follows the pipeline

#: Who does it -> fill, line. Each folder of the repository that does something has a colour.
COLOURS = {
    "training/": ("#dbeafe", "#2563eb"),
    "deployment/": ("#ffedd5", "#c2410c"),
    "inference/": ("#dcfce7", "#15803d"),
    "SageMaker": ("#f1f5f9", "#475569"),
    "you": ("#fae8ff", "#a21caf"),
}
#: Step -> who, x, y. Conditions are no boxes: the gate is a diamond, the others are the forks of an arrow.
STEPS = {
    "Preprocess": ("training/", 268, ROW),
    "Train": ("training/", 404, ROW),
    "Champion": ("deployment/", 404, ABOVE),
    "Evaluate": ("training/", 540, ROW),
    "Gate": ("SageMaker", 654, ROW),
    "Keep": ("deployment/", 772, ROW),
    "Register": ("SageMaker", 894, ROW),
    "Publish": ("deployment/", 1016, ROW),
    "Deploy": ("deployment/", 1016, ABOVE),
    "Refuse": ("SageMaker", 654, 286),
}
#: Conditions of the definition that the picture shows as the fork of an arrow.
FORKS = {"Known", "Approval", "NothingNew"}


def steps(definition: dict[str, Any]) -> Iterator[str]:
    """The name of every step, those inside conditions too."""
    waiting = list(definition["Steps"])
    while waiting:
        step = waiting.pop(0)
        yield step["Name"]
        waiting += step["Arguments"].get("IfSteps", []) + step["Arguments"].get("ElseSteps", [])


def box(name: str, who: str, x: int, y: int, note: str = "", width: int = BOX[0]) -> str:
    """A rounded box with a name, and below it who does it or another note."""
    fill, line = COLOURS[who]
    left, top = x - width // 2, y - BOX[1] // 2
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{BOX[1]}" rx="9" fill="{fill}" stroke="{line}"/>'
        f'<text class="name" x="{x}" y="{y - 3}">{escape(name)}</text>'
        f'<text class="note" x="{x}" y="{y + 16}" style="fill:{line}">{escape(note or who)}</text>'
    )


def diamond(x: int, y: int) -> str:
    fill, line = COLOURS["SageMaker"]
    points = f"{x - 40},{y} {x},{y - 34} {x + 40},{y} {x},{y + 34}"
    return (
        f'<polygon points="{points}" fill="{fill}" stroke="{line}"/><text class="name" x="{x}" y="{y + 5}">gate</text>'
    )


def arrow(*points: tuple[int, int], label: str = "", at: tuple[int, int] = (0, 0), dashed: bool = False) -> str:
    """An arrow along points; its label stands at a point of its own."""
    path = " ".join(f"{x},{y}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    line = f'<polyline class="arrow" points="{path}"{dash}/>'
    return line + (f'<text class="label" x="{at[0]}" y="{at[1]}">{escape(label)}</text>' if label else "")


def photos(x: int, y: int) -> str:
    """A folder's images, as a stack of three."""
    cards = ""
    for shift in (10, 5, 0):
        cards += (
            f'<rect x="{x - 34 + shift}" y="{y - 26 - shift}" width="64" height="48" rx="4" fill="#ffffff"'
            ' stroke="#64748b"/>'
        )
    return (
        cards + f'<circle cx="{x - 18}" cy="{y - 12}" r="5" fill="#f59e0b"/>'
        f'<polygon points="{x - 30},{y + 18} {x - 10},{y - 2} {x},{y + 8} {x + 12},{y - 6} {x + 26},{y + 18}"'
        ' fill="#86efac" stroke="#15803d"/>'
    )


def within() -> list[str]:
    """The frame of the pipeline and what is in it."""
    half = BOX[0] // 2
    at = {name: (x, y) for name, (_, x, y) in STEPS.items()}
    parts = [
        '<rect x="196" y="18" width="966" height="312" rx="16" fill="#ffffff" stroke="#94a3b8"/>',
        '<text class="title" x="214" y="48">One SageMaker Pipeline definition'
        '<tspan class="plain" dx="10">for SageMaker; a laptop without an AWS account runs the very same</tspan></text>',
    ]
    for left, right in (("Preprocess", "Train"), ("Train", "Evaluate"), ("Keep", "Register"), ("Register", "Publish")):
        parts.append(arrow((at[left][0] + half, ROW), (at[right][0] - half, ROW)))
    evaluate, gate, keep = at["Evaluate"][0], at["Gate"][0], at["Keep"][0]
    champion, deploy = at["Champion"], at["Deploy"]
    parts += [
        arrow((evaluate + half, ROW), (gate - 40, ROW)),
        arrow((gate + 40, ROW), (keep - half, ROW)),
        arrow((champion[0] + half, ABOVE), (evaluate, ABOVE), (evaluate, ROW - 27)),
        arrow((gate, ROW + 34), (gate, at["Refuse"][1] - 27), label="refuse", at=(gate + 26, ROW + 50)),
        arrow((gate, ROW - 34), (gate, ABOVE + 12), label="nothing new", at=(gate + 42, ABOVE + 44)),
        f'<rect x="{gate - 32}" y="{ABOVE - 14}" width="64" height="26" rx="13" fill="#e2e8f0" stroke="#64748b"/>',
        f'<text class="small mid" x="{gate}" y="{ABOVE + 4}">end</text>',
        arrow((keep, ROW - 27), (keep, ABOVE), (gate + 32, ABOVE), label="known already", at=(keep - 4, ABOVE - 8)),
        arrow((deploy[0], ROW - 27), (deploy[0], ABOVE + 27), label="automatic", at=(deploy[0] + 36, ROW - 42)),
    ]
    for name, (who, x, y) in STEPS.items():
        parts.append(diamond(x, y) if name == "Gate" else box(name, who, x, y))
    return parts


def around() -> list[str]:
    """What comes before and after the pipeline."""
    half = BOX[0] // 2
    register = STEPS["Register"][1]
    return [
        photos(88, ROW - 8),
        f'<text class="name" x="88" y="{ROW + 40}">your folder</text>',
        f'<text class="note" x="88" y="{ROW + 57}" style="fill:#475569">class/image</text>',
        arrow((130, ROW), (STEPS["Preprocess"][1] - half, ROW), label="data import", at=(172, ROW - 10)),
        arrow((register, ROW + 27), (register, BELOW - 27)),
        box("Model registry", "SageMaker", register, BELOW, "package waits", 140),
        arrow((register - 70, BELOW), (748, BELOW)),
        box("approve", "you", 690, BELOW, "a person decides", 116),
        arrow((632, BELOW), (574, BELOW), label="event", at=(602, BELOW - 8)),
        box("Reconcile", "deployment/", 508, BELOW, "", 132),
        arrow((442, BELOW), (366, BELOW), label="blue/green", at=(405, BELOW - 8)),
        box("Endpoint", "inference/", 306, BELOW, "", 120),
        arrow((148, BELOW - 10), (246, BELOW - 10), label="image", at=(196, BELOW - 18)),
        arrow((246, BELOW + 12), (148, BELOW + 12), label="predicted_label", at=(197, BELOW + 30)),
        box("Application", "you", 90, BELOW, "invoke_endpoint", 116),
        arrow((1068, ABOVE), (1122, ABOVE), (1122, BELOW), (register + 70, BELOW), dashed=True,
              label="approval: automatic", at=(1044, BELOW - 8)),
    ]  # fmt: skip


def legend() -> list[str]:
    parts, x = [], 214
    for who, (fill, line) in COLOURS.items():
        if who == "you":
            continue
        parts.append(f'<rect x="{x}" y="494" width="18" height="14" rx="4" fill="{fill}" stroke="{line}"/>')
        parts.append(f'<text class="small" x="{x + 26}" y="506">{escape(who)}</text>')
        x += 60 + 8 * len(who)
    return parts


def draw() -> str:
    """The picture, as SVG."""
    style = (
        "text{font-family:-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#0f172a}"
        ".name{font-size:15px;font-weight:600;text-anchor:middle}"
        ".note{font-size:11.5px;text-anchor:middle}"
        ".title{font-size:15px;font-weight:600;fill:#334155}.plain{font-size:13px;font-weight:400;fill:#475569}"
        ".small{font-size:12.5px;fill:#475569}.mid{text-anchor:middle}"
        ".label{font-size:11.5px;fill:#475569;text-anchor:middle}"
        ".arrow{fill:none;stroke:#475569;stroke-width:1.6;marker-end:url(#tip)}"
    )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
        ' orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z" fill="#475569"/></marker></defs>'
    )
    title = "A folder of labelled images becomes an endpoint: the pipeline's steps, the approval, the deployment"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{style}</style>",
        tip,
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="18" fill="#f8fafc" stroke="#cbd5e1"/>',
        *within(),
        *around(),
        *legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def check() -> None:
    """Raises SystemExit when the picture's steps are not those of the golden definition."""
    drawn, there = set(STEPS) | FORKS, set(steps(json.loads(GOLDEN.read_text(encoding="utf-8"))))
    if drawn != there:
        raise SystemExit(f"the picture and {GOLDEN.name} differ in: {', '.join(sorted(drawn ^ there))}")


if __name__ == "__main__":
    check()
    PICTURE.write_text(draw(), encoding="utf-8")
    print(f"written: {PICTURE}")
