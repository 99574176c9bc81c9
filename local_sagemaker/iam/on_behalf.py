"""What AWS does with a role that it was handed, and which nobody sees in a request: each row with its page.

A job's role is asked for these at the job's start, an endpoint's when its container is launched, a function's when its
failures get a destination. Objects that are downloaded and uploaded are asked for one by one, where that happens
(:mod:`local_sagemaker.objects`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ROLES = "https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"
CAPTURE = "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html"
LAMBDA_ROLE = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"
LAMBDA_ASYNC = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"
FLOW_LOGS = "https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html"

PIPELINES = "https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-access.html"

#: When a row applies.
JOB = "a job or endpoint starts"
IMAGE = "the image is in ECR"
MODEL_DATA = "model data is downloaded"
VPC = "a job or endpoint is in a VPC"
VOLUME_KEY, OUTPUT_KEY = "a volume has a key", "an output has a key"
CAPTURED = "requests are captured"
FUNCTION, DESTINATION = "a function writes its log", "failed events have a queue"
FOLLOWED, STOPPED = "a pipeline follows its job", "a pipeline stops its job"
FLOW = "flow logs are written"


@dataclass(frozen=True, slots=True)
class Row:
    """A permission that the service uses. ``resource`` has places: region, account, repository, log_group, key, …"""

    when: str
    action: str
    resource: str
    page: str
    context: tuple[tuple[str, str], ...] = ()


_GRANT = (("kms:grantisforawsresource", "true"),)
_LOGS = "arn:aws:logs:{region}:{account}:log-group:{log_group}:log-stream:"

TABLE: tuple[Row, ...] = (
    Row(IMAGE, "ecr:GetAuthorizationToken", "*", ROLES),
    Row(IMAGE, "ecr:BatchCheckLayerAvailability", "{repository}", ROLES),
    Row(IMAGE, "ecr:GetDownloadUrlForLayer", "{repository}", ROLES),
    Row(IMAGE, "ecr:BatchGetImage", "{repository}", ROLES),
    Row(JOB, "logs:CreateLogGroup", _LOGS, ROLES),
    Row(JOB, "logs:CreateLogStream", _LOGS + "{stream}", ROLES),
    Row(JOB, "logs:DescribeLogStreams", _LOGS, ROLES),
    Row(JOB, "logs:PutLogEvents", _LOGS + "{stream}", ROLES),
    Row(JOB, "cloudwatch:PutMetricData", "*", ROLES, (("cloudwatch:namespace", "{namespace}"),)),
    Row(VOLUME_KEY, "kms:CreateGrant", "{key}", ROLES, _GRANT),
    Row(OUTPUT_KEY, "kms:GenerateDataKey", "{key}", ROLES),
    Row(VPC, "ec2:CreateNetworkInterface", "arn:aws:ec2:{region}:{account}:subnet/{subnet}", ROLES),
    Row(VPC, "ec2:CreateNetworkInterface", "arn:aws:ec2:{region}:{account}:security-group/{security_group}", ROLES),
    Row(VPC, "ec2:CreateNetworkInterface", "arn:aws:ec2:{region}:{account}:network-interface/*", ROLES),
    Row(VPC, "ec2:CreateNetworkInterfacePermission", "arn:aws:ec2:{region}:{account}:network-interface/*", ROLES),
    Row(VPC, "ec2:DeleteNetworkInterface", "arn:aws:ec2:{region}:{account}:network-interface/*", ROLES),
    Row(VPC, "ec2:DeleteNetworkInterfacePermission", "arn:aws:ec2:{region}:{account}:network-interface/*", ROLES),
    Row(VPC, "ec2:DescribeNetworkInterfaces", "*", ROLES),
    Row(VPC, "ec2:DescribeVpcs", "*", ROLES),
    Row(VPC, "ec2:DescribeDhcpOptions", "*", ROLES),
    Row(VPC, "ec2:DescribeSubnets", "*", ROLES),
    Row(VPC, "ec2:DescribeSecurityGroups", "*", ROLES),
    Row(CAPTURED, "s3:PutObject", "{capture}", CAPTURE),
    Row(CAPTURED, "kms:GenerateDataKey", "{capture_key}", CAPTURE),
    Row(FUNCTION, "logs:CreateLogStream", _LOGS + "{stream}", LAMBDA_ROLE),
    Row(FUNCTION, "logs:PutLogEvents", _LOGS + "{stream}", LAMBDA_ROLE),
    Row(MODEL_DATA, "s3:ListBucket", "arn:aws:s3:::{bucket}", ROLES),
    Row(FOLLOWED, "sagemaker:Describe{operation}", "{job}", PIPELINES),
    Row(STOPPED, "sagemaker:Stop{operation}", "{job}", PIPELINES),
    Row(FLOW, "logs:CreateLogStream", _LOGS + "{stream}", FLOW_LOGS),
    Row(FLOW, "logs:DescribeLogGroups", "*", FLOW_LOGS),
    Row(FLOW, "logs:DescribeLogStreams", _LOGS, FLOW_LOGS),
    Row(FLOW, "logs:PutLogEvents", _LOGS + "{stream}", FLOW_LOGS),
    Row(DESTINATION, "sqs:SendMessage", "{queue}", LAMBDA_ASYNC),
)  # fmt: skip


def rows(*when: str) -> list[Row]:
    return [row for row in TABLE if row.when in when]


def filled(found: Iterable[Row], places: Mapping[str, Any]) -> list[tuple[str, str, dict[str, str | list[str]]]]:
    """(action, resource, condition keys) of rows; a place that is a list gives a check for each value."""
    checks = []
    for row in found:
        context: dict[str, str | list[str]] = {name: value.format(**places) for name, value in row.context}
        for resource in _spread(row.resource, places):
            checks.append((row.action.format(**places), resource, context))
    return checks


def _spread(template: str, places: Mapping[str, Any]) -> list[str]:
    for name, value in places.items():
        if isinstance(value, list) and f"{{{name}}}" in template:
            return [found for item in value for found in _spread(template, {**places, name: item})]
    return [template.format(**places)]
