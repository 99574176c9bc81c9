"""Application Auto Scaling for endpoints: ``scaler`` moves instance counts, ``policies`` says by how much.

Targets, policies and scheduled actions are moto's; the alarms of a policy are real CloudWatch alarms, as on AWS.
"""

from local_sagemaker.scaling.scaler import Scaler

__all__ = ["Scaler"]
