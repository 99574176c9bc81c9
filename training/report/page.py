"""The sections of the report, from the verdict down to the hashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from contracts import evaluation as contract
from contracts.dataset import SPLITS
from contracts.evaluation import BALANCED_ACCURACY, BUNDLE_MB, ECE, LATENCY_MS, PRECISION, RECALL
from training.report import charts, pictures
from training.report.parts import LABELS, UNITS, bar, between, card, figure, label, limits, pills, signed, table
from training.report.style import CSS
from training.scoring import intervals, metrics
from training.scoring.answers import Answer
from training.scoring.evaluation import Evaluation

#: Wrong answers that are shown as pictures.
SHOWN = 12
#: With more classes than this the confusion matrix becomes a list of the most frequent mistakes.
_MATRIX_CLASSES = 25
_PAIRS = 20
#: Curves in one chart: those of the classes with most images.
_CURVES = len(charts.CURVE_COLOURS)
#: Fewer groups than this make intervals too narrow (Cameron, Gelbach and Miller 2008, doi:10.1162/rest.90.3.414).
_FEW_GROUPS = 20

_VERDICTS = {
    contract.REGISTER: ("\N{CHECK MARK}", "Passed: the model is registered"),
    contract.NOTHING_NEW: ("=", "Nothing new: this is the champion"),
    contract.REFUSE: ("\N{MULTIPLICATION X}", "Refused: the model is not registered"),
}


def shown(found: Evaluation) -> list[Answer]:
    """The wrong answers that were most confident, at most :data:`SHOWN`."""
    wrong = [answer for answer in found.answers if answer.prediction.label != answer.image.label]
    return sorted(wrong, key=lambda answer: (-answer.prediction.confidence, answer.image.path))[:SHOWN]


def render(found: Evaluation, files: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        files: path -> image file, of what :func:`shown` names.
    """
    sections = (
        _verdict(found),
        _tiles(found),
        _metrics(found),
        _pair(_confusion(found), _data(found)),
        _pair(_precision_recall(found), _reliability(found)),
        _champion(found),
        _slices(found),
        _graphs(found),
        _mistakes(found, files),
        _identity(found),
    )
    headline = (
        f"{escape(found.dataset.source)} · protocol <b>{escape(found.dataset.protocol)}</b> · "
        f"recipe {escape(found.spec.recipe)} · bundle <code>{found.spec.bundle_hash[:12]}</code>"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Evaluation of {found.spec.bundle_hash[:12]}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        f'<header class="top"><h1>Evaluation report</h1><span class="soft">{headline}</span></header>\n'
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def _pair(*cards: str) -> str:
    return f'<div class="grid2">{"".join(cards)}</div>'


def _verdict(found: Evaluation) -> str:
    outcome = found.verdict.outcome
    sign, says = _VERDICTS[outcome]
    return (
        f'<section class="card verdict {outcome}"><span class="sign" aria-hidden="true">{sign}</span>'
        f"<div><strong>{says}</strong>{escape(found.verdict.message)}</div></section>"
    )


def _tiles(found: Evaluation) -> str:
    tiles = []
    for name in (BALANCED_ACCURACY, contract.AUC, contract.F1, ECE, LATENCY_MS, BUNDLE_MB):
        interval = found.metrics[name]
        unit = f"<small>{UNITS[name]}</small>" if name in UNITS else ""
        below = "model.tar.gz" if name == BUNDLE_MB else between(name, interval)
        tiles.append(
            f'<div class="tile"><div class="label">{LABELS[name]}</div>'
            f'<div class="figure">{figure(name, interval.value)}{unit}</div><div class="soft small">{below}</div></div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _metrics(found: Evaluation) -> str:
    rows = []
    for name in contract.METRICS:
        interval = found.metrics[name]
        floor, ceiling = found.rules.min.get(name), found.rules.max.get(name)
        rows.append(
            (
                label(name, found),
                f"<b>{figure(name, interval.value)}</b> {UNITS.get(name, '')}",
                f'<span class="soft">{between(name, interval)}</span>',
                bar(name, interval, floor if floor is not None else ceiling),
                limits(name, floor, ceiling),
                pills(reason for reason in found.verdict.reasons if reason.rule in (f"min.{name}", f"max.{name}")),
            )
        )
    protocol = found.dataset.protocol
    cluster = intervals.clusters([answer.image.group for answer in found.answers], protocol)
    count = int(cluster.max()) + 1
    drawn = f"{count} whole groups" if protocol == "group" else f"{count} single images"
    few = protocol == "group" and count < _FEW_GROUPS
    return card(
        "Metrics",
        f"On {len(found.answers)} test images, protocol <b>{escape(protocol)}</b>. 95 % intervals from "
        f"{intervals.RESAMPLES} bootstrap resamples of {drawn}; the latency's from order statistics."
        + (" With so few groups they are still somewhat too narrow." if few else "")
        + " Red marks are the gate's limits.",
        table(("metric", "#estimate", "#95 % interval", "|", "gate", ""), rows),
    )


def _confusion(found: Evaluation) -> str:
    matrix = metrics.confusion(found.scores)
    classes = found.spec.classes
    if len(classes) > _MATRIX_CLASSES:
        return _pairs(classes, matrix)
    many = len(classes) > 6
    head = "".join(f"<th>{escape(name)}</th>" for name in classes)
    rows = []
    for truth, (name, counts) in enumerate(zip(classes, matrix, strict=True)):
        total = sum(counts)
        cells = []
        for answer, count in enumerate(counts):
            share = count / total if total else 0.0
            kind = "right" if truth == answer else "wrong"
            text = str(count) if many else f"<b>{count}</b>{share:.0%}"
            title = escape(f"{name} answered as {classes[answer]}: {count} of {total}")
            cells.append(f'<td class="{kind}" style="--share:{share:.3f}" title="{title}">{text}</td>')
        rows.append(f'<tr><th class="row">{escape(name)}</th>{"".join(cells)}</tr>')
    return card(
        "Confusion matrix",
        "Rows are the truth, columns the answer" + ("." if many else "; per cent of the row."),
        f'<div class="scroll"><table class="confusion{" many" if many else ""}"><tr><th></th>{head}</tr>'
        f"{''.join(rows)}</table></div>{_in_words(found, matrix)}",
    )


def _in_words(found: Evaluation, matrix: Sequence[Sequence[int]]) -> str:
    """What recall and precision of the positive class mean, in images."""
    positive = found.scores.positive
    if positive is None:
        return ""
    name = escape(found.spec.classes[positive])
    hits, is_positive = matrix[positive][positive], sum(matrix[positive])
    called = sum(row[positive] for row in matrix)
    return (
        f'<p class="soft below">Of {is_positive} images that are {name}, {hits} are found and {is_positive - hits} '
        f"missed. Of {called} that are called {name}, {called - hits} are not.</p>"
    )


def _pairs(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    pairs = Counter(
        {
            (truth, answer): count
            for truth, counts in enumerate(matrix)
            for answer, count in enumerate(counts)
            if truth != answer and count
        }
    )
    rows = [
        (escape(classes[truth]), escape(classes[answer]), str(count))
        for (truth, answer), count in pairs.most_common(_PAIRS)
    ]
    return card("Most frequent mistakes", "True class and answer.", table(("truth", "answer", "#images"), rows))


def _reliability(found: Evaluation) -> str:
    return card(
        "Reliability",
        "Do answers with 90 % confidence hold 90 % of the time? On the dashed line they do. Expected calibration error "
        f"{figure(ECE, found.metrics[ECE].value)} ({contract.ECE_BINS} equal bins); the bundle's temperature is "
        f"{found.spec.temperature:.3g}.",
        charts.reliability_chart(found.scores.confidence, found.scores.correct),
    )


def _precision_recall(found: Evaluation) -> str:
    scores = found.scores
    binary = scores.positive is not None
    by_size = np.argsort(-np.bincount(scores.truth, minlength=len(scores.classes)), kind="stable")
    order = [scores.positive] if scores.positive is not None else [int(index) for index in by_size[:_CURVES]]
    drawn = [
        charts.precision_recall(scores.classes[index], scores.probabilities[:, index], scores.truth == index)
        for index in order
    ]
    curves = [curve for curve in drawn if curve is not None]
    recall, precision = found.metrics[RECALL].value, found.metrics[PRECISION].value
    point = (recall, precision) if binary and recall is not None and precision is not None else None
    legend = "".join(
        f'<span><i style="--c:var({colour})"></i>{escape(curve.name)}: average precision {curve.area:.3f}</span>'
        for colour, curve in zip(charts.CURVE_COLOURS, curves, strict=False)
    )
    what = f"For the class <b>{escape(scores.classes[order[0]])}</b>." if binary else "One class against the rest."
    some = f" The {len(curves)} classes with most images." if not binary and len(curves) < len(scores.classes) else ""
    return card(
        "Precision and recall",
        what + some,
        charts.precision_recall_chart(curves, point) + f'<div class="legend">{legend}</div>',
    )


def _data(found: Evaluation) -> str:
    data = found.dataset
    split_of = data.split_of()
    counts = Counter((split_of[image.shard], image.label) for image in data.images)
    rows = [(escape(name), *(str(counts[split, name]) for split in SPLITS)) for name in data.classes]
    rows.append(("<b>all</b>", *(f"<b>{sum(counts[split, name] for name in data.classes)}</b>" for split in SPLITS)))
    facts = {
        "source": escape(data.source),
        "licence of the images": f"<b>{escape(data.licence)}</b>" if data.licence else "unknown",
        "protocol": escape(data.protocol) + ("; no group lies in two splits" if data.protocol == "group" else ""),
        "split seed": str(data.seed),
        "left out": f"{len(data.dropped)} unusable files",
    }
    return card(
        "Data",
        "Images by class and split.",
        table(("class", *(f"#{split}" for split in SPLITS)), rows) + f'<div class="gap"></div>{_facts(facts)}',
    )


def _champion(found: Evaluation) -> str:
    comparison = found.comparison
    if comparison is None:
        says = (
            "This bundle is the champion itself, so there is nothing to compare."
            if found.verdict.outcome == contract.NOTHING_NEW
            else "There is none yet: no model was approved before this one."
        )
        return card("Against the champion", says, "")
    margin = found.rules.champion_margin
    spans = [abs(value) for item in comparison.differences.values() for value in (item.value, item.lower_95) if value]
    reach = max([0.05, margin * 1.3, *spans])
    rows = []
    for name in metrics.SCORED:
        difference = comparison.differences[name]
        gated = name == BALANCED_ACCURACY
        mark = charts.interval_bar(
            difference.value,
            difference.lower_95,
            difference.value,
            start=-reach,
            end=reach,
            limit=-margin if gated else None,
            zero=True,
        )
        rows.append(
            (
                LABELS[name],
                figure(name, comparison.metrics[name].value),
                figure(name, comparison.challenger[name].value),
                f"<b>{signed(difference.value)}</b>",
                f'<span class="soft">{signed(difference.lower_95)}</span>',
                mark,
                pills(item for item in found.verdict.reasons if gated and item.rule.startswith("champion.")),
            )
        )
    where = (
        f"Both on the {comparison.images} test images that the champion was not trained on."
        if comparison.restricted
        else f"Both on the same {comparison.images} test images."
    )
    return card(
        "Against the champion",
        f"Champion <code>{comparison.bundle_hash[:12]}</code>. {where} Differences are paired. The band reaches down "
        f"to the one-sided 95 % lower bound; for balanced accuracy it must stay above {signed(-margin)} (red mark).",
        table(("metric", "#champion", "#this model", "#difference", "#lower bound", "|", "gate"), rows),
    )


def _slices(found: Evaluation) -> str:
    if not found.slices:
        return ""
    floors = found.rules.min_per_slice
    names = list(dict.fromkeys([BALANCED_ACCURACY, *floors]))
    rows = []
    for title, part in found.slices.items():
        cells: list[str] = []
        for name in names:
            interval = part.metrics[name]
            cells += [
                f"<b>{figure(name, interval.value)}</b>",
                f'<span class="soft">{between(name, interval)}</span>',
                bar(name, interval, floors.get(name) if part.gated else None),
            ]
        counts = ", ".join(f"{count} {escape(name)}" for name, count in part.counts.items())
        gate = pills(reason for reason in found.verdict.reasons if reason.rule.endswith(f" {title}"))
        small = '<span class="pill none">too small to gate</span>' if floors and not part.gated else ""
        column, _, value = title.partition("=")
        rows.append((f"{escape(column)} <b>{escape(value)}</b>", counts, *cells, gate or small))
    left_out = f" {found.slices_left_out} small slices are left out." if found.slices_left_out else ""
    return card(
        "Slices",
        f"The gate looks at slices with at least {contract.MIN_SLICE_IMAGES} images of each class.{left_out}",
        table(
            (
                "slice",
                "images",
                *(title for name in names for title in (f"#{LABELS[name]}", "#95 % interval", "|")),
                "gate" if floors else "",
            ),
            rows,
        ),
    )


def _mistakes(found: Evaluation, files: Mapping[str, bytes]) -> str:
    worst = shown(found)
    wrong = int((~found.scores.correct).sum())
    if not worst:
        return card("Worst mistakes", f"None: all {len(found.answers)} answers are right.", "")
    figures = []
    for answer in worst:
        image, prediction = answer.image, answer.prediction
        unsure = image.target is not None and 0 < image.target < 1
        target = f'<br><span class="soft">labelled {image.target:.2f}</span>' if unsure else ""
        url = pictures.data_url(files[image.path])
        figures.append(
            f'<figure><div class="frame"><img alt="{escape(image.path)}" src="{url}"></div>'
            f"<figcaption>says <b>{escape(prediction.label)}</b> {prediction.confidence:.0%}<br>"
            f"is {escape(image.label)}{target}"
            f'<br><span class="soft small">{escape(image.path)}</span></figcaption></figure>'
        )
    return card(
        "Worst mistakes",
        f"The {len(worst)} wrong answers that were most confident, of {wrong}. Look here first: they are wrong labels, "
        "bad pictures, or what the model has not understood.",
        f'<div class="mistakes">{"".join(figures)}</div>',
    )


def _graphs(found: Evaluation) -> str:
    """The bundle's graphs beside each other, when there are several."""
    graphs = found.choice.graphs or {}
    if len(graphs) < 2:
        return ""
    names = list(next(iter(graphs.values())))
    rows = [
        [f"<b>{name}</b>" if name == found.choice.precision else name, *(figure(one, values[one]) for one in names)]
        for name, values in graphs.items()
    ]
    note = (
        f"The same images, asked of each graph of the bundle; the one in bold is served. {escape(found.choice.reason)}"
    )
    return card("Precision", note, table(["graph", *(f"#{LABELS[one]}" for one in names)], rows))


def _identity(found: Evaluation) -> str:
    spec = found.spec
    thresholds = ", ".join(f"{name} {value:g}" for name, value in spec.thresholds.items())
    facts = {
        "bundle": f"<code>{spec.bundle_hash}</code>",
        "dataset": f"<code>{spec.dataset_hash}</code>",
        "training sources": f"<code>{spec.source_hash}</code>",
        "recipe": escape(spec.recipe),
        "served as": f"{found.choice.precision}. {escape(found.choice.reason)}",
        "input": f"{spec.input_size} x {spec.input_size} pixels, {'grey' if spec.channels == 1 else 'colour'}",
        "temperature": f"{spec.temperature:.4g}",
        "thresholds": escape(thresholds) or "none: the most probable class is answered",
    }
    return card("Identity", "What was evaluated, by content.", _facts(facts))


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in facts.items())}</dl>"
