"""The model registry: package groups, packages, their approval and life cycle, and the events that these send."""

from local_sagemaker.registry import groups, packages

__all__ = ["groups", "packages"]
