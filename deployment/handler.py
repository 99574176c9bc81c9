"""The deployer Lambda's entry: steps of the pipeline, events of the registry and the endpoint, and the sweep.

An event has ``action`` (:data:`contracts.release.ACTIONS`) or EventBridge's ``detail-type``. What an event says beyond
that is never trusted: the registry and the endpoint are looked at again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from contracts import release
from contracts.errors import ContractError, UsageError
from contracts.release import ReleaseSettings
from contracts.s3uri import S3Uri
from deployment import down, log, notices, releases
from deployment.aws import Session, read_settings
from deployment.reconcile import reconcile

#: Action -> the fields that its event must have, each text.
FIELDS: dict[str, tuple[str, ...]] = {
    release.CHAMPION: (),
    release.KEEP: ("execution_id", "model_uri", "evaluation_uri", "dataset_uri", "started_by"),
    release.PUBLISH: ("package_arn", "model_card_uri"),
    release.DEPLOY: ("package_arn", "reason", "execution_id"),
    release.SWEEP: (),
    release.RETRY: (),
    release.AT_ONCE: (),
}
DETAIL_TYPES = (release.REGISTRY_EVENT, release.ENDPOINT_EVENT, release.DEPLOYMENT_EVENT)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Do what ``event`` asks for; the answer is what the pipeline's LambdaStep reads its outputs from.

    Raises:
        FactoryError: the event, the settings or what they name is not as agreed; the step then fails with its message.
    """
    log.to_stdout(request_id=str(getattr(context, "aws_request_id", "")))
    said = {"action": str(event.get("action", "")), "detail_type": str(event.get("detail-type", ""))}
    try:
        action = _action(event)
        log.event("received", action=action, detail_type=said["detail_type"])
        fields = _fields(action, event)
        session = _session()
        return _ACTIONS[action](session, read_settings(session, _settings_uri()), fields)
    except Exception:
        log.logger.exception("failed", extra={"fields": said})
        raise


def _action(event: Mapping[str, Any]) -> str:
    if "action" in event:
        action = str(event["action"])
        if action not in release.ACTIONS:
            raise UsageError(f"{action!r} is no action of the deployer", f"Known: {', '.join(release.ACTIONS)}.")
        return action
    detail_type = event.get("detail-type")
    if detail_type not in DETAIL_TYPES:
        raise UsageError(
            f"the event has no action, and its detail-type is {detail_type!r}",
            f"Known detail types: {', '.join(DETAIL_TYPES)}.",
        )
    return release.SWEEP


def _fields(action: str, event: Mapping[str, Any]) -> dict[str, str]:
    fields = {}
    for name in FIELDS[action]:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            raise UsageError(f"the action {action} needs the text {name!r}, not {value!r}")
        fields[name] = value
    return fields


def _settings_uri() -> S3Uri:
    text = os.environ.get(release.SETTINGS_VARIABLE, "")
    if not text:
        raise ContractError(f"{release.SETTINGS_VARIABLE} is not set", "Apply the base again: it sets the variable.")
    return S3Uri.parse(text)


@cache
def _session() -> Session:
    """One session a process, and one client a service: making a client takes longer than most calls."""
    import boto3

    return cast(Session, _OneOfEach(boto3.Session()))


class _OneOfEach:
    def __init__(self, session: Session) -> None:
        self.client = cache(session.client)


def _champion(session: Session, settings: ReleaseSettings, _: dict[str, str]) -> dict[str, Any]:
    from deployment import keep  # for steps of a pipeline only; a sweep's cold start does not compile it

    return keep.champion(session, settings)


def _keep(session: Session, settings: ReleaseSettings, fields: dict[str, str]) -> dict[str, Any]:
    from deployment import keep

    return keep.keep(session, settings, **fields)


def _publish(session: Session, _: ReleaseSettings, fields: dict[str, str]) -> dict[str, Any]:
    from deployment import keep

    return keep.publish(session, **fields)


def _deploy(session: Session, settings: ReleaseSettings, fields: dict[str, str]) -> dict[str, Any]:
    decision = releases.approve_for_pipeline(session, settings, fields["package_arn"], fields["reason"])
    return {**reconcile(session, settings).to_json(), "approval": decision.after}


def _sweep(session: Session, settings: ReleaseSettings, _: dict[str, str]) -> dict[str, Any]:
    held = down.held(session, settings)
    found = held or reconcile(session, settings)
    notices.tell(session, settings)
    return found.to_json()


def _retry(session: Session, settings: ReleaseSettings, _: dict[str, str]) -> dict[str, Any]:
    return reconcile(session, settings, retry=True).to_json()


def _at_once(session: Session, settings: ReleaseSettings, _: dict[str, str]) -> dict[str, Any]:
    return reconcile(session, settings, retry=True, at_once=True).to_json()


_ACTIONS: dict[str, Callable[[Session, ReleaseSettings, dict[str, str]], dict[str, Any]]] = {
    release.CHAMPION: _champion,
    release.KEEP: _keep,
    release.PUBLISH: _publish,
    release.DEPLOY: _deploy,
    release.SWEEP: _sweep,
    release.RETRY: _retry,
    release.AT_ONCE: _at_once,
}

logging.getLogger("botocore").setLevel(logging.WARNING)
