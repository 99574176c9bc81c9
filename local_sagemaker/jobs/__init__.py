"""Training and processing jobs: each one is a child process in a folder of its own that is laid out as ``/opt/ml``.

``api`` answers the operations, ``service`` keeps n jobs running at a time, ``runner`` takes one job from Starting to
its end. What differs between the two kinds is in ``training`` and ``processing``.
"""

from local_sagemaker.jobs.service import Jobs

__all__ = ["Jobs"]
