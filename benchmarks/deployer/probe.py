"""One fresh process of the measurement. It prints one JSON object; its CPU time begins with its first line.

python probe.py bare CALLS       import boto3, make a session and the clients of CALLS, once each
python probe.py calls CALLS      the same, then make CALLS, with nothing else
python probe.py handler FOLDER   import the handler from FOLDER, handle one sweep, and another one
python probe.py record FOLDER    the same, once, and say which calls it made
"""

import time

BEGAN = time.process_time()

import json  # noqa: E402 (what is imported is what is measured)
import sys  # noqa: E402
from typing import Any  # noqa: E402


def milliseconds() -> float:
    """CPU time since the first line, user and system."""
    return (time.process_time() - BEGAN) * 1000


def bare(calls: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    """The CPU time of import, session and clients, and the clients."""
    import boto3

    session: Any = boto3.Session()
    clients = {service: session.client(service) for service in dict.fromkeys(call["service"] for call in calls)}
    return milliseconds(), clients


def plain(calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The same calls without the deployer; a body is read as it reads it."""
    from botocore import xform_name
    from botocore.exceptions import ClientError

    made, clients = bare(calls)
    for call in calls:
        try:
            answer = getattr(clients[call["service"]], xform_name(call["operation"]))(**call["request"])
            if "Body" in answer:
                answer["Body"].read()
        except ClientError:
            pass  # what is not there is not there for the handler either
    return {"cpu_ms": milliseconds(), "made_ms": made}


def handle(folder: str) -> dict[str, Any]:
    """A cold start and its first event, then a second event."""
    sys.path.insert(0, folder)
    from deployment import handler

    answer = handler.handler({"action": "sweep"}, None)
    cold = milliseconds()
    handler.handler({"action": "sweep"}, None)
    return {"cpu_ms": cold, "warm_ms": milliseconds() - cold, "answer": answer, "from": handler.__file__}


def record(folder: str) -> dict[str, Any]:
    """The calls of a sweep, in their order."""
    import boto3

    calls: list[dict[str, Any]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append({"service": model.service_model.service_name, "operation": model.name, "request": params})

    class Recording(boto3.Session):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.events.register("provide-client-params", note)

    boto3.Session = Recording  # type: ignore[misc]
    sys.path.insert(0, folder)
    from deployment import handler

    answer = handler.handler({"action": "sweep"}, None)
    return {"calls": calls, "answer": answer}


def main() -> None:
    kind, argument = sys.argv[1:]
    if kind == "bare":
        result: dict[str, Any] = {"cpu_ms": bare(json.loads(argument))[0]}
    elif kind == "calls":
        result = plain(json.loads(argument))
    else:
        result = {"handler": handle, "record": record}[kind](argument)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
