"""Batch transform: a model's serving container, started for the objects of one job and ended after them.

``payloads`` cuts an input into requests, ``sending`` sends one of them, ``instance`` is a container, ``runner`` takes
a job from its start to its end. The request and its answer are in :mod:`local_sagemaker.jobs.transform`; the queue is
that of all jobs.
"""
