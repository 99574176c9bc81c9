"""What the rooms agree on: names, S3 URIs, dataset, bundle, evaluation, invocation, release, settings.

Standard library only, except :mod:`contracts.settings` (pydantic, PyYAML), which neither a container nor the Lambda
imports. Changing a contract means changing its test in ``tests/contract``.
"""
