"""``/_local/…``: what AWS does not have. Health, image bindings, scans, events, the clock, faults, children, IAM."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from local_sagemaker import scans
from local_sagemaker.faults import BadFault
from local_sagemaker.images import BadBinding

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


class Admin:
    """Answers admin requests; JSON in, JSON out (a layer: its bytes)."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """The HTTP status and the document of an answer."""
        try:
            request = json.loads(body) if body else {}
        except ValueError as error:
            return 400, {"message": f"the body is no JSON: {error}"}
        where = path.removeprefix("/_local/").rstrip("/")
        if where == "faults":
            return self._faults(method, request)
        if not isinstance(request, dict):
            return 400, {"message": "the body must be a JSON object"}
        match method, where:
            case "GET", "health":
                return 200, self._health()
            case "GET", "images":
                return 200, {"images": self._platform.images.bindings()}
            case "PUT", "images":
                return self._bind(request)
            case "DELETE", "images":
                found = self._platform.images.unbind(str(request.get("pattern")))
                return (200, {}) if found else (404, {"message": f"no binding for {request.get('pattern')!r}"})
            case "GET", "events":
                return 200, {"events": self._platform.events.recent()}
            case "GET", "clock":
                return 200, {"time": self._platform.clock.time(), "offset": self._platform.clock.offset}
            case "POST", "clock":
                return self._advance(request)
            case "GET", "schedules":
                return 200, {"schedules": self._platform.schedules.upcoming()}
            case "GET", "iam":
                access = self._platform.access
                return 200, {"enforce": access.enforcing, "record": access.recording}
            case "PUT", "iam":
                return self._switch_iam(request)
            case "GET", "iam/recording":
                return 200, {"calls": self._platform.access.recorded()}
            case "GET", "scans":
                return 200, {"scans": list(scans.told(self._platform))}
            case (("PUT" | "DELETE"), "scans"):
                return self._tell_scan(method, request)
            case "GET", layer if layer.startswith("layers/"):
                return self._layer(layer)
            case "GET", "children":
                running = self._platform.children.running()
                return 200, {"children": [{"name": child.name, "pid": child.pid} for child in running]}
        return 404, {"message": f"{method} {path} is unknown"}

    def _health(self) -> dict[str, Any]:
        platform = self._platform
        return {
            "status": "ok",
            "account_id": platform.account_id,
            "region": platform.region,
            "state_dir": str(platform.state_dir),
            "pid": os.getpid(),
            "events_waiting": not platform.events.idle(),
            "unsaved": platform.state.unsaved(),
        }

    def _bind(self, request: dict[str, Any]) -> tuple[int, Any]:
        try:
            self._platform.images.bind(**request)
        except (BadBinding, TypeError) as error:
            return 400, {"message": str(error)}
        return 200, {}

    def _tell_scan(self, method: str, request: dict[str, Any]) -> tuple[int, Any]:
        try:
            (scans.tell if method == "PUT" else scans.forget)(self._platform, request)
        except scans.BadScan as error:
            return 400, {"message": str(error)}
        return 200, {}

    def _layer(self, path: str) -> tuple[int, Any]:
        """``layers/<region>/<repository>/<digest>``: where ECR's download URLs lead, as bytes."""
        found = None
        if path.count("/") > 2:
            _, region, *repository, digest = path.split("/")
            found = scans.layer(self._platform, region, "/".join(repository), digest)
        return (200, found) if found is not None else (404, {"message": f"no layer {path}"})

    def _switch_iam(self, request: dict[str, Any]) -> tuple[int, Any]:
        """``{"enforce": bool, "record": bool}``, either of them."""
        if (
            not request
            or set(request) - {"enforce", "record"}
            or not all(isinstance(v, bool) for v in request.values())
        ):
            return 400, {"message": 'expected {"enforce": true or false, "record": true or false}'}
        self._platform.access.switch(**request)
        return 200, {}

    def _faults(self, method: str, request: Any) -> tuple[int, Any]:
        """``PUT`` a list of faults in place of those that are on, ``GET`` them with their counts, ``DELETE`` all."""
        faults = self._platform.faults
        try:
            if method == "PUT":
                faults.replace(request)
            elif method == "DELETE":
                faults.clear()
            elif method != "GET":
                return 404, {"message": f"{method} /_local/faults is unknown"}
        except BadFault as error:
            return 400, {"message": str(error)}
        return 200, {"faults": faults.listed()}

    def _advance(self, request: dict[str, Any]) -> tuple[int, Any]:
        try:
            now = self._platform.clock.advance(float(request["advance"]))
        except (KeyError, TypeError, ValueError) as error:
            return 400, {"message": f'expected {{"advance": seconds}}: {error}'}
        return 200, {"time": now}
