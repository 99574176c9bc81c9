"""Tests. A package, because the SageMaker SDK's wheel also installs a top-level ``tests``."""
