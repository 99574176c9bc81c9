"""Metric data as CloudWatch keeps it: minute by minute, with what percentiles need, in a file of its own.

``database`` keeps it, ``queries`` answers with statistics over periods and with metric math (``expressions``).
"""

from local_sagemaker.metrics.database import Metric, Metrics, metric
from local_sagemaker.metrics.distribution import Distribution

__all__ = ["Distribution", "Metric", "Metrics", "metric"]
