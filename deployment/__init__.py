"""An approved model package becomes a live endpoint.

Runs as the deployer Lambda (:mod:`deployment.handler`) and from the command line (:func:`approve`, :func:`reject`,
:func:`deploy`, :func:`rollback`). boto3 and the contracts only. Nothing here waits:
:func:`deployment.reconcile.reconcile` does what is due now, and events of the registry and the endpoint, and a sweep,
call it again.
"""

from deployment.aws import Session, read_settings
from deployment.outcome import Outcome
from deployment.releases import Decision, approve, deploy, reject
from deployment.rollback import RolledBack, rollback

__all__ = ["Decision", "Outcome", "RolledBack", "Session", "approve", "deploy", "read_settings", "reject", "rollback"]
