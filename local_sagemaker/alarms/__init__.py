"""CloudWatch alarms that are evaluated: ``evaluator`` looks at every alarm of moto once a minute of the server's clock.

``verdicts`` says which state follows from data points, ``rules`` reads composite alarms, ``messages`` writes what is
sent when a state changes.
"""

from local_sagemaker.alarms.evaluator import Alarms, history
from local_sagemaker.alarms.metric_alarms import BadAlarm

__all__ = ["Alarms", "BadAlarm", "history"]
