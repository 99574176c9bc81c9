"""The measured medians as text and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.serving.measure import Samples

_COLUMNS = (
    ("rps_1", "req/s, 1"),
    ("rps_8", "req/s, 8"),
    ("p50_ms_8", "p50 ms, 8"),
    ("p99_ms_8", "p99 ms, 8"),
    ("cpu_ms_1", "CPU ms, 1"),
    ("cpu_ms_8", "CPU ms, 8"),
    ("open_p99_ms", "p99 ms, open"),
    ("memory_mb", "MB"),
    ("cold_start_s", "start s"),
)


def table(workload: str, measured: Mapping[str, Samples]) -> str:
    """A Markdown table; columns that no server has are left out."""
    columns = [(key, text) for key, text in _COLUMNS if any(key in one.values for one in measured.values())]
    rows = [[workload, *(text for _, text in columns)], ["---"] * (len(columns) + 1)]
    for name, samples in measured.items():
        rows.append([name, *(_number(samples, key) for key, _ in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _number(samples: Samples, key: str) -> str:
    if key not in samples.values:
        return ""
    return _text(samples.median(key))


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plot(tables: Mapping[str, Mapping[str, Samples]], path: Path) -> None:
    """Bars of requests a second at 8 connections and of CPU a request, one row of panels a workload."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "serving", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(tables), 2, figsize=(10, 1 + 2.4 * len(tables)), squeeze=False)
    for row, (workload, measured) in zip(panels, tables.items(), strict=True):
        for panel, key, title in (
            (row[0], "rps_8", "requests/s, 8 connections"),
            (row[1], "cpu_ms_8", "CPU ms a request"),
        ):
            named = [(name, one.median(key)) for name, one in measured.items() if key in one.values]
            colours = ["#0b7285" if name.startswith("cv-factory") else "#adb5bd" for name, _ in named]
            bars = panel.barh([name for name, _ in named], [value for _, value in named], color=colours)
            panel.bar_label(bars, labels=[_text(value) for _, value in named], padding=3)
            panel.locator_params(axis="x", nbins=5)
            panel.invert_yaxis()
            panel.margins(x=0.15)
            panel.set_title(f"{workload}: {title}", loc="left", fontsize=10)
            panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
