"""Pipelines: their definitions, and executions that interpret them.

``definition`` reads and checks the JSON, ``expressions`` and ``conditions`` give values to what it says, ``graph``
tells the order; ``run`` makes an execution's transitions, ``interpreter`` drives them, ``steps`` does the work of each
type.
"""

from local_sagemaker.pipelines.interpreter import Executions

__all__ = ["Executions"]
