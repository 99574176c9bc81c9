"""EventBridge: what happens is stored first, then delivered in order, by one thread, to the rules that match.

An event waits in the store until its matching targets are known; each target's delivery waits there until it is done.
So a killed server goes on where it was, and may deliver once more what it was just delivering, as AWS may. Rules,
buses and targets are moto's. ``GET /_local/events`` shows the last events, what they were delivered to and how that
ended.

Asynchronous calls of functions (from rules, S3, SNS, or ``InvocationType=Event``) go the same way and fail the way
Lambda fails them: two more attempts after one and two minutes of this server's clock, then the destination or
dead-letter queue.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from local_sagemaker import event_patterns
from local_sagemaker.event_targets import Outcome, Targets
from local_sagemaker.faults.registry import EVENT_LATE, EVENT_LOST, EVENT_TWICE
from local_sagemaker.lambdas import LambdaResult, NoSuchFunction

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform
    from local_sagemaker.store import Record

_log = logging.getLogger(__name__)
_EVENT, _DELIVERY = "event", "delivery"

#: Events that stay visible after their delivery.
KEPT = 500

#: Seconds before the second and third attempt of an asynchronous call (Lambda Developer Guide, "Asynchronous
#: invocation").
RETRY_AFTER = (60.0, 120.0)
#: Seconds after which a throttled call is given up.
OLDEST = 21_600.0


class Events:
    """Events and asynchronous calls of one account."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = platform.store
        self._clock = platform.clock
        self._targets = Targets(platform, self.publish)
        self._stop = threading.Event()
        self._waiting: dict[str, float] = {}
        self._unrouted: list[str] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def publish(
        self,
        source: str,
        detail_type: str,
        detail: dict[str, Any],
        resources: Sequence[str],
        region: str,
        *,
        bus: str = "default",
        time_stamp: str | None = None,
        rule: str | None = None,
    ) -> str:
        """Store an event; it is delivered soon after. Returns its id.

        ``rule``: the event is for the targets of this one rule, whose schedule made it.
        """
        identity = str(uuid.uuid4())
        envelope = {
            "version": "0",
            "id": identity,
            "detail-type": detail_type,
            "source": source,
            "account": self._platform.account_id,
            "time": time_stamp or self.instant(),
            "region": region,
            "resources": list(resources),
            "detail": detail,
        }
        self._store.insert(_EVENT, "", identity, {"event": envelope, "bus": bus, "rule": rule, "state": "new"})
        with self._lock:
            self._unrouted.append(identity)
        self._clock.wake()
        return identity

    def invoke_later(self, function_arn: str, payload: str, region: str, origin: str) -> None:
        """Call a function asynchronously; ``origin`` says who wants it (for the list of events)."""
        with self._store.transaction():
            delivery = self._add(None, origin, function_arn, {}, payload, region)
        self._enqueue([delivery])

    def send_later(self, arn: str, target: dict[str, Any], payload: str, region: str, origin: str) -> None:
        """Deliver to a target without an event: what EventBridge Scheduler does."""
        with self._store.transaction():
            delivery = self._add(None, origin, arn, target, payload, region)
        self._enqueue([delivery])

    def recent(self, count: int = 100) -> list[dict[str, Any]]:
        """The last events and asynchronous calls, newest first, each with its deliveries and their attempts."""
        deliveries: dict[str | None, list[dict[str, Any]]] = {}
        loose = []
        for record in self._store.list(_DELIVERY):
            shown = {key: record.body[key] for key in ("origin", "target", "state", "attempts")}
            if record.body["event"] is None:
                loose.append(
                    (record.created, {"event": None, "payload": record.body["payload"], "deliveries": [shown]})
                )
            else:
                deliveries.setdefault(record.body["event"], []).append(shown)
        events = [
            (
                record.created,
                {
                    "event": record.body["event"],
                    "bus": record.body["bus"],
                    "deliveries": deliveries.get(record.name, []),
                },
            )
            for record in self._store.list(_EVENT)
        ]
        newest = sorted(events + loose, key=lambda item: item[0], reverse=True)
        return [shown for _, shown in newest[:count]]

    def idle(self) -> bool:
        """Nothing waits now, but for later attempts."""
        now = self._clock.time()
        with self._lock:
            return not self._unrouted and not any(due <= now for due in self._waiting.values())

    def instant(self) -> str:
        """Now, as events write it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock.time()))

    def start(self) -> None:
        """Go on with what an earlier server left, and with what comes."""
        self._unrouted = [record.name for record in self._store.list(_EVENT) if record.body["state"] == "new"]
        waiting = [record for record in self._store.list(_DELIVERY) if record.body["state"] == "waiting"]
        self._waiting = {record.name: record.body["due"] for record in waiting}
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 10.0) -> None:
        """Deliver nothing more, and end the functions that run: the next server delivers to them once more."""
        self._stop.set()
        self._clock.wake()
        self._platform.lambdas.stop()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        while not self._stop.is_set():
            moves = self._clock.moves
            try:
                if not self._step():
                    with self._lock:
                        due = min(self._waiting.values(), default=float("inf"))
                    self._clock.wait_until(due, self._stop, longest=60, since=moves)
            except Exception:
                _log.exception("an event could not be handled")
                self._stop.wait(1)

    def _step(self) -> bool:
        """Route the next event, or make the next attempt; False when nothing is due."""
        with self._lock:
            identity = self._unrouted[0] if self._unrouted else None
        if identity is not None:
            self._route(identity)
            return True
        now = self._clock.time()
        with self._lock:
            name = next((name for name, due in self._waiting.items() if due <= now), None)
        if name is None:
            return False
        record = self._store.get(_DELIVERY, "", name)
        if record is None:
            self._waiting.pop(name, None)
        else:
            self._attempt(record)
        return True

    def _route(self, identity: str) -> None:
        """Find the targets of an event and store a delivery for each, in one step with the event's end."""
        record = self._store.get(_EVENT, "", identity)
        deliveries = []
        if record is not None:
            copies, late = self._struck(record.body["event"])
            with self._store.transaction():
                for rule, target in self._matching(record.body) * copies:
                    arn = target["Arn"]
                    payload = _payload(target, record.body["event"], rule)
                    deliveries.append(
                        self._add(
                            identity,
                            f"rule {rule.name}",
                            arn,
                            target | {"RuleArn": rule.arn},
                            payload,
                            rule.region_name,
                            late,
                        )
                    )
                routed = {"state": "routed"}
                self._store.update(_EVENT, "", identity, lambda stored: stored.update(routed))
            self._prune()
        with self._lock:
            self._unrouted.remove(identity)
        self._enqueue(deliveries)

    def _struck(self, event: dict[str, Any]) -> tuple[int, float]:
        """How often a fault has an event delivered, and how many seconds late."""
        about = {"service": event["source"], "operation": event["detail-type"]}
        faults = self._platform.faults
        if faults.strike(EVENT_LOST, **about):
            return 0, 0.0
        copies = 2 if faults.strike(EVENT_TWICE, **about) else 1
        late = faults.strike(EVENT_LATE, **about)
        return copies, late.seconds if late is not None else 0.0

    def _matching(self, body: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
        from moto.events.models import events_backends

        event = body["event"]
        backend = events_backends[self._platform.account_id][event["region"]]
        bus = backend.event_buses.get(body["bus"])
        found = []
        for rule in list(bus.rules.values()) if bus is not None else []:
            if body["rule"] is not None:
                wanted = rule.name == body["rule"]
            else:
                pattern = rule.event_pattern.get_pattern()
                wanted = rule.state != "DISABLED" and bool(pattern) and event_patterns.matches(pattern, event)
            if wanted:
                found += [(rule, target) for target in rule.targets]
        return found

    def _add(
        self,
        event: str | None,
        origin: str,
        arn: str,
        target: dict[str, Any],
        payload: str,
        region: str,
        late: float = 0.0,
    ) -> tuple[str, float]:
        name, now = str(uuid.uuid4()), self._clock.time()
        body: dict[str, Any] = {
            "event": event, "origin": origin, "target": arn, "parameters": target, "payload": payload, "region": region,
            "state": "waiting", "since": now, "due": now + late, "attempts": [],
        }  # fmt: skip
        self._store.insert(_DELIVERY, "", name, body)
        return name, now + late

    def _enqueue(self, deliveries: list[tuple[str, float]]) -> None:
        with self._lock:
            self._waiting.update(deliveries)
        self._clock.wake()

    def _attempt(self, record: Record) -> None:
        body = record.body
        outcome = self._targets.send(body["target"], body["parameters"], body["payload"], body["region"])
        if self._stop.is_set() and not outcome.delivered:
            return  # the stop may have killed it: the next server tries again
        attempts = [*body["attempts"], {"time": self.instant(), "outcome": outcome.text}]
        wait = self._wait_before_next(body, outcome, len(attempts))
        if wait is None:
            state = "delivered" if outcome.delivered else "failed"
            attempts += [
                {"time": self.instant(), "outcome": text} for text in self._after(body, outcome, len(attempts))
            ]
            with self._lock:
                self._waiting.pop(record.name, None)
        else:
            state = "waiting"
            with self._lock:
                self._waiting[record.name] = self._clock.time() + wait
        due = self._clock.time() + (wait or 0)
        changes = {"state": state, "attempts": attempts, "due": due}
        self._store.update(_DELIVERY, "", record.name, lambda stored: stored.update(changes))

    def _wait_before_next(self, body: dict[str, Any], outcome: Outcome, made: int) -> float | None:
        """Seconds until the next attempt; None when this was the last."""
        if outcome.delivered or not outcome.again:
            return None
        config = self._invoke_config(body)
        age = self._clock.time() - body["since"]
        if outcome.code != "FUNCTION_ERROR":  # throttled: tried until it is too old
            wait = min(300.0, 2.0**made)
            return wait if age + wait < float(config.get("MaximumEventAgeInSeconds", OLDEST)) else None
        if made > int(config.get("MaximumRetryAttempts", len(RETRY_AFTER))):
            return None
        wait = RETRY_AFTER[min(made, len(RETRY_AFTER)) - 1]
        return wait if age + wait < float(config.get("MaximumEventAgeInSeconds", OLDEST)) else None

    def _after(self, body: dict[str, Any], outcome: Outcome, made: int) -> list[str]:
        """Destinations and dead-letter queues, once the last attempt is made."""
        done = []
        region, payload = body["region"], body["payload"]
        rule_queue = body["parameters"].get("DeadLetterConfig", {}).get("Arn")
        if not outcome.delivered and outcome.code != "FUNCTION_ERROR" and rule_queue:
            attributes = {
                "RULE_ARN": body["parameters"].get("RuleArn", ""), "TARGET_ARN": body["target"],
                "ERROR_CODE": outcome.code, "ERROR_MESSAGE": outcome.text,
            }  # fmt: skip
            done.append(self._targets.dead_letter(rule_queue, payload, attributes, region))
        if ":lambda:" in body["target"] and outcome.result is not None:
            config = self._invoke_config(body)
            key = "OnSuccess" if outcome.delivered else "OnFailure"
            destination = config.get("DestinationConfig", {}).get(key, {}).get("Destination")
            if destination:
                document = _destination_record(body, outcome.delivered, outcome.result, made, self.instant())
                done.append(self._targets.dead_letter(destination, document, {}, region))
            queue = config.get("DeadLetterArn")
            if not outcome.delivered and queue:
                error = outcome.result.payload.decode(errors="replace")
                attributes = {"RequestID": str(uuid.uuid4()), "ErrorCode": "200", "ErrorMessage": error or "error"}
                done.append(self._targets.dead_letter(queue, payload, attributes, region))
        return done

    def _invoke_config(self, body: dict[str, Any]) -> dict[str, Any]:
        """The function's own settings for asynchronous calls, with its dead-letter queue as DeadLetterArn."""
        if ":lambda:" not in body["target"]:
            return {}
        from local_sagemaker.moto_gaps import awslambda

        parts = body["target"].split(":")
        try:
            function = self._platform.lambdas.find(body["target"], body["region"])
            latest = self._platform.lambdas.find(":".join(parts[:7]), body["region"])
        except NoSuchFunction:
            return {}
        config = awslambda.invoke_config(latest, parts[7] if len(parts) > 7 else awslambda.LATEST)
        dead = function.get_configuration().get("DeadLetterConfig") or {}
        return config | {"DeadLetterArn": dead.get("TargetArn")}

    def _prune(self) -> None:
        """Forget the oldest events whose deliveries are all done."""
        for kind in (_EVENT, _DELIVERY):
            records = self._store.list(kind)
            for record in records[: max(0, len(records) - 2 * KEPT)]:
                if record.body["state"] in ("routed", "delivered", "failed"):
                    self._store.delete(kind, "", record.name)


def _payload(target: dict[str, Any], event: dict[str, Any], rule: Any) -> str:
    """What a rule's target gets: the constant, part of the event, the transformed event, or the event."""
    if target.get("Input") is not None:
        return str(target["Input"])
    try:
        if target.get("InputPath"):
            return json.dumps(event_patterns.find(target["InputPath"], event))
        transformer = target.get("InputTransformer")
        if transformer:
            paths = transformer.get("InputPathsMap") or {}
            return event_patterns.transform(transformer["InputTemplate"], paths, event, rule.name, rule.arn)
    except event_patterns.BadPath as error:
        _log.warning("rule %s: the input path %s is not supported; the target gets the whole event", rule.name, error)
    return json.dumps(event)


def _destination_record(body: dict[str, Any], delivered: bool, result: LambdaResult, made: int, instant: str) -> str:
    """What Lambda sends to a destination (Lambda Developer Guide, "Capturing records of Lambda asynchronous
    invocations")."""

    def parsed(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return json.dumps({
        "version": "1.0",
        "timestamp": instant,
        "requestContext": {
            "requestId": str(uuid.uuid4()), "functionArn": f"{body['target']}:{result.version}",
            "condition": "Success" if delivered else "RetriesExhausted", "approximateInvokeCount": made,
        },
        "requestPayload": parsed(body["payload"]),
        "responseContext": {
            "statusCode": 200, "executedVersion": result.version,
            **({} if delivered else {"functionError": result.function_error}),
        },
        "responsePayload": parsed(result.payload.decode(errors="replace")),
    })  # fmt: skip
