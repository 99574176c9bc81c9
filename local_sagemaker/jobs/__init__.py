"""Training, processing and transform jobs: child processes in folders of their own, laid out as ``/opt/ml``.

``api`` answers the operations, ``service`` keeps n jobs running at a time, ``runner`` takes one job from Starting to
its end (of a transform job: :mod:`local_sagemaker.transforms`). What differs between the kinds is in ``training``,
``processing`` and ``transform``.
"""

from local_sagemaker.jobs.service import Jobs

__all__ = ["Jobs"]
