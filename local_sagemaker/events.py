"""EventBridge: what happens is stored first, then delivered in order, by one thread, to the rules that match.

Rules and targets are moto's; ``GET /_local/events`` shows the last events, what they were delivered to and how that ended.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from local_sagemaker.clock import Clock
from local_sagemaker.lambdas import CannotInvoke, Lambdas, NoSuchFunction
from local_sagemaker.store import Store

_log = logging.getLogger(__name__)
_KIND = "event"


class Events:
    """Events of one account, on every region's default bus."""

    def __init__(
        self, account_id: str, store: Store, clock: Clock, lambdas: Lambdas, changed: Callable[[str], None]
    ) -> None:
        self._account_id = account_id
        self._store = store
        self._clock = clock
        self._lambdas = lambdas
        self._changed = changed
        self._new = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def publish(
        self, source: str, detail_type: str, detail: dict[str, Any], resources: Sequence[str], region: str
    ) -> str:
        """Store an event; it is delivered soon after. Returns its id."""
        identity = str(uuid.uuid4())
        envelope = {
            "version": "0",
            "id": identity,
            "detail-type": detail_type,
            "source": source,
            "account": self._account_id,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock.time())),
            "region": region,
            "resources": list(resources),
            "detail": detail,
        }
        self._store.insert(_KIND, "", identity, {"event": envelope, "state": "pending", "deliveries": []})
        with self._new:
            self._new.notify_all()
        return identity

    def recent(self, count: int = 100) -> list[dict[str, Any]]:
        """The last events, newest first, each with its deliveries."""
        return [record.body for record in self._store.list(_KIND)[-count:]][::-1]

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        with self._new:
            self._new.notify_all()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            pending = [record for record in self._store.list(_KIND) if record.body["state"] == "pending"]
            for record in pending:
                if self._stop.is_set():
                    return
                deliveries = self._deliver(record.body["event"])
                self._store.update(
                    _KIND,
                    "",
                    record.name,
                    lambda body, done=deliveries: body.update(state="done", deliveries=done),  # type: ignore[misc]
                )
            if not pending:
                with self._new:
                    self._new.wait(1)

    def _deliver(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        from moto.events.models import events_backends

        backend = events_backends[self._account_id][event["region"]]
        done = []
        for rule in list(backend.event_buses["default"].rules.values()):
            if rule.state != "ENABLED" or not rule.event_pattern.get_pattern():
                continue
            if not rule.event_pattern.matches_event(event):
                continue
            for target in rule.targets:
                payload = target["Input"] if target.get("Input") else json.dumps(event)
                done.append({"rule": rule.name, "target": target["Arn"], "outcome": self._send(target, payload, event)})
        return done

    def _send(self, target: dict[str, Any], payload: str, event: dict[str, Any]) -> str:
        arn = target["Arn"]
        service = arn.split(":")[2]
        try:
            if service == "lambda":
                result = self._lambdas.invoke(arn, payload.encode(), event["region"])
                return "function error: " + result.payload.decode()[:500] if result.function_error else "delivered"
            if service == "sqs":
                from moto.sqs.models import sqs_backends

                _, _, _, region, account, name = arn.split(":")
                sqs_backends[account][region].send_message(name, payload, delay_seconds=0)
                self._changed("sqs")
                return "delivered"
            if service == "sns":
                from moto.sns.models import sns_backends

                sns_backends[self._account_id][arn.split(":")[3]].publish(payload, arn=arn)
                self._changed("sns")
                return "delivered"
        except (CannotInvoke, NoSuchFunction) as error:
            return f"failed: {error}"
        except Exception as error:
            _log.exception("event %s to %s", event["id"], arn)
            return f"failed: {error}"
        return f"undeliverable: targets of {service} are not supported"
