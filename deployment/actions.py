"""The kinds of action that a plan is made of. An action is one call, or one record, and may be done twice."""

from __future__ import annotations

from dataclasses import dataclass

OPEN, CLOSE, FORGET = "open-release", "close-release", "forget-failure"
CHECK, REFUSE, ASK, REJECT = "check-package", "refuse-release", "ask-golden-requests", "reject-package"
TIDY_TRIAL = "remove-trial"
FORGET_WISH = "forget-at-once"
CREATE_MODEL, DELETE_MODEL = "create-model", "delete-model"
CREATE_CONFIG, DELETE_CONFIG = "create-endpoint-config", "delete-endpoint-config"
CREATE_ENDPOINT, UPDATE_ENDPOINT, DELETE_ENDPOINT = "create-endpoint", "update-endpoint", "delete-endpoint"
CREATE_LOG_GROUP, KEEP_LOGS = "create-log-group", "put-log-retention"
PUT_FILTER, DELETE_FILTER = "put-metric-filter", "delete-metric-filter"
PUT_ALARM, PUT_LABEL_ALARM, DELETE_ALARM = "put-alarm", "put-label-alarm", "delete-alarm"
REGISTER_SCALING, PUT_SCALING_POLICY = "register-scalable-target", "put-scaling-policy"
DEREGISTER_SCALING = "deregister-scalable-target"


@dataclass(frozen=True, slots=True)
class Action:
    """One call, or one record. ``value`` is what the kind needs beyond ``name``."""

    kind: str
    name: str
    reason: str
    value: str = ""

    def to_json(self) -> dict[str, str]:
        return {"action": self.kind, "name": self.name, "reason": self.reason}
