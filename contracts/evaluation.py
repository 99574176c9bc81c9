"""``evaluation.json``: every number of an evaluation, and the verdict that the pipeline's conditions read.

Shape::

    {"format_version": 1, "protocol": "group", "dataset_hash": …, "source_hash": …, "bundle_hash": …,
     "classes": […], "positive_class": … | null,
     "counts": {"test": 656, "by_class": {…}},
     "metrics": {NAME: {"value": 0.81, "low": 0.78, "high": 0.84}},          # 95 % intervals
     "slices": {"cell_type=mono": {"counts": {…}, "gated": true, "metrics": {NAME: {…}}}},
     "confusion": [[…]],                                                     # rows: truth, columns: prediction
     "champion": null | {"bundle_hash", "metrics", "images", "difference": {NAME: {"value", "lower_95"}}},
     "serving": {"precision": "float32"},
     "gate": {"outcome": "register" | "nothing-new" | "refuse", "message": "≤ 900 characters",
              "reasons": [{"rule", "limit", "value", "passed"}]}}
"""

from __future__ import annotations

FORMAT_VERSION = 1

EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.parquet"
REPORT = "report.html"
MODEL_CARD = "model_card.json"

MAX_EVALUATION_BYTES = 1_000_000
MAX_GATE_MESSAGE = 900
MAX_MODEL_CARD_CHARACTERS = 100_000

REGISTER, NOTHING_NEW, REFUSE = "register", "nothing-new", "refuse"
OUTCOMES = (REGISTER, NOTHING_NEW, REFUSE)

#: Metrics that ``evaluate`` computes; a gate may name any of them.
#: ``latency_ms`` is the median of one-image calls on one thread, ``bundle_mb`` counts 10^6 bytes.
BALANCED_ACCURACY, ACCURACY, F1, AUC = "balanced_accuracy", "accuracy", "f1", "auc"
PRECISION, RECALL, ECE = "precision", "recall", "ece"
LATENCY_MS, BUNDLE_MB = "latency_ms", "bundle_mb"
METRICS = (BALANCED_ACCURACY, ACCURACY, F1, AUC, PRECISION, RECALL, ECE, LATENCY_MS, BUNDLE_MB)
#: Metrics of the bundle as a whole: no slice has them.
OF_THE_BUNDLE = (LATENCY_MS, BUNDLE_MB)
SLICE_METRICS = tuple(name for name in METRICS if name not in OF_THE_BUNDLE)

#: A slice is gated only with at least this many images of each class.
MIN_SLICE_IMAGES = 30
#: Bins of the expected calibration error: equal width, hard labels (Guo et al. 2017, arXiv:1706.04599).
ECE_BINS = 15

#: What ``train`` prints, one ``name=value`` a line, and the definition's MetricDefinitions pick up.
TRAINING_METRICS = {
    "train:loss": r"train_loss=([0-9.eE+-]+)",
    "validation:loss": r"validation_loss=([0-9.eE+-]+)",
    "validation:balanced_accuracy": r"validation_balanced_accuracy=([0-9.eE+-]+)",
    "train:epoch": r"epoch=([0-9]+)",
    "train:images_per_second": r"images_per_second=([0-9.eE+-]+)",
}
