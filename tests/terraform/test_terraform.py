"""Applied, planned again without a change, compared with the local base, destroyed without a rest."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.names import DEPLOYER_ALIAS, NO_CHAMPION_KEY, SETTINGS_KEY, VARIANT
from contracts.settings import load
from cv_factory.operations import infra
from cv_factory.operations.base import network as networks
from cv_factory.operations.base import templates
from cv_factory.operations.doctor import roles
from docs import costs
from tests.terraform import network
from tests.terraform.described import described

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

#: Terraform's resource types that the local base makes too: `described` reads every one of them.
COMPARED = {
    "aws_cloudwatch_event_rule", "aws_cloudwatch_event_target", "aws_cloudwatch_log_group",
    "aws_default_security_group", "aws_ecr_repository", "aws_iam_role", "aws_iam_role_policy", "aws_kms_alias",
    "aws_kms_key", "aws_lambda_alias", "aws_lambda_function", "aws_lambda_permission", "aws_s3_bucket",
    "aws_s3_bucket_public_access_block", "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_object",
    "aws_sagemaker_model_package_group", "aws_security_group", "aws_subnet", "aws_vpc",
    "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule",
}  # fmt: skip
#: What a laptop does without, and why. A resource type in neither set fails the test.
TERRAFORM_ONLY = {
    "aws_s3_bucket_policy": "loopback speaks no TLS",
    "aws_s3_bucket_ownership_controls": "one account, no ACLs",
    "aws_s3_bucket_versioning": "checkpoints would fill the disk",
    "aws_s3_bucket_lifecycle_configuration": "nothing expires on a laptop; cleanup removes",
    "aws_s3_bucket_logging": "nobody reads access logs",
    "aws_sqs_queue": "nobody reads failed events; the event's own record says what became of it",
    "aws_lambda_function_event_invoke_config": "as aws_sqs_queue",
    "aws_sns_topic": "nobody to alarm",
    "aws_sns_topic_policy": "nobody to alarm",
    "aws_sns_topic_subscription": "nobody to alarm",
    "aws_cloudwatch_metric_alarm": "nobody to alarm",
    "aws_cloudwatch_log_metric_filter": "nobody to alarm",
    "aws_cloudwatch_dashboard": "cv-factory status shows what there is",
    "aws_budgets_budget": "a laptop costs nothing",
    "aws_ecr_lifecycle_policy": "the local registry holds manifests, no layers",
    "aws_ecr_repository_policy": "no other account reaches a laptop",
    "aws_sagemaker_model_package_group_policy": "no other account reaches a laptop",
    "aws_iam_policy": "nobody but this account's owner is on a laptop: no boundary, no roles of people and workflows",
    "aws_iam_role_policy_attachment": "as aws_iam_policy",
    "aws_iam_openid_connect_provider": "GitHub does not reach a laptop",
    "aws_route_table": "on loopback nothing is routed",
    "aws_route_table_association": "as aws_route_table",
    "aws_route": "as aws_route_table",
    "aws_internet_gateway": "as aws_route_table",
    "aws_nat_gateway": "as aws_route_table",
    "aws_eip": "as aws_route_table",
    "aws_vpc_endpoint": "every service is at one address on loopback",
    "aws_flow_log": "nothing flows",
}
#: Names that are the same in every environment.
CONSTANTS = {
    "settings_key": SETTINGS_KEY, "no_champion_key": NO_CHAMPION_KEY, "variant": VARIANT,
    "deployer_alias": DEPLOYER_ALIAS,
}  # fmt: skip


def test_the_second_plan_is_empty(applied: Any) -> None:
    for root in infra.ROOTS:
        assert applied.terraform(root, "plan", "-detailed-exitcode", "-input=false") == 0, root


def test_every_kind_of_resource_is_compared_or_left_out_with_a_reason(applied: Any) -> None:
    kinds: Counter[str] = Counter()
    for root in infra.ROOTS:
        for module in _modules(applied.output(root, "show", "-json")["values"]["root_module"]):
            kinds.update(item["type"] for item in module.get("resources", []) if item["mode"] == "managed")
    assert set(kinds) == COMPARED | set(TERRAFORM_ONLY)


def test_what_the_page_of_costs_counts_is_what_is_made(applied: Any) -> None:
    kinds: Counter[str] = Counter()
    for root in infra.ROOTS:
        for module in _modules(applied.output(root, "show", "-json")["values"]["root_module"]):
            kinds.update(item["type"] for item in module.get("resources", []) if item["mode"] == "managed")
    for kind in ("kms_key", "cloudwatch_metric_alarm", "cloudwatch_dashboard", "cloudwatch_log_metric_filter"):
        assert kinds[f"aws_{kind}"] == costs.resources(f"aws_{kind}"), kind


def _modules(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield module
    for child in module.get("child_modules", []):
        yield from _modules(child)


def test_terraform_and_the_local_base_make_the_same(applied: Any, ensured: Any) -> None:
    ours, theirs = described(applied), described(ensured)
    assert set(ours) == set(theirs)
    for kind in ours:
        assert ours[kind] == theirs[kind], kind
        assert ours[kind], f"nothing of {kind} was found"


def test_the_endpoints_are_those_that_the_doctor_looks_for(applied: Any) -> None:
    """terraform/factory/network.tf and cv_factory/operations/base/network.py derive them from one table."""
    names = networks.table(applied.settings.aws.region)["services"]
    wanted = {names[service] for service in (networks.GATEWAY, *networks.called(applied.settings))}
    assert {item["ServiceName"] for item in network.endpoints(applied.client("ec2"))} == wanted
    assert names["sts"] in wanted and names["experiments"] not in wanted


def test_the_doctor_expects_the_roles_that_terraform_makes(applied: Any) -> None:
    """terraform/factory/roles.tf and cv_factory/operations/base/templates.py name the same actors and documents."""
    wanted = templates.roles(applied.settings)
    assert {"owner", "github-plan", "github-apply", "github-release"} < set(wanted)
    assert list(roles.check(applied.target, wanted, bounded=True)) == []


def test_the_deployer_works_on_what_terraform_made(applied: Any) -> None:
    answer = applied.client("lambda").invoke(
        FunctionName=applied.settings.names.deployer, Payload=json.dumps({"action": "champion"})
    )
    document = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    assert document["champion_uri"] == f"s3://{applied.settings.names.artifact_bucket}/release/no-champion/"


def test_what_was_changed_by_hand_is_seen(applied: Any) -> None:
    rule = applied.settings.names.registry_rule
    events = applied.client("events")
    before = events.describe_rule(Name=rule)["EventPattern"]
    events.put_rule(Name=rule, EventPattern='{"source":["elsewhere"]}')
    try:
        assert applied.terraform("factory", "plan", "-detailed-exitcode", "-input=false") == 2
    finally:
        events.put_rule(Name=rule, EventPattern=before)


def settings_module(folder: Path, checkout: Path, env: str, file: Path) -> Callable[..., Any]:
    """Runs Terraform on the settings module alone; it needs no provider."""
    (folder / "main.tf").write_text(
        f"""
        module "settings" {{
          source        = "{checkout}/terraform/modules/settings"
          environment   = "{env}"
          settings_file = "{file}"
          defaults_file = "{checkout}/contracts/defaults.yaml"
        }}
        output "settings" {{ value = module.settings.settings }}
        output "names" {{ value = module.settings.names }}
        """
    )

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *args, "-no-color"], cwd=folder, capture_output=True, text=True, check=False
        )

    assert run("init", "-input=false").returncode == 0
    return run


@pytest.mark.parametrize("env", ["local", "dev"])
def test_both_readers_merge_the_settings_alike(checkout: Path, tmp_path: Path, env: str) -> None:
    """contracts/settings in Python, terraform/modules/settings in HCL: the same values and names."""
    run = settings_module(tmp_path, checkout, env, checkout / "factory.yaml")
    assert run("apply", "-auto-approve", "-input=false").returncode == 0
    output = {key: item["value"] for key, item in json.loads(run("output", "-json").stdout).items()}
    settings = load(checkout / "factory.yaml", env)
    expected = settings.model_dump(mode="json")
    expected["aws"]["existing"] = {key: item for key, item in expected["aws"]["existing"].items() if item is not None}
    assert output["settings"] == expected
    for name, value in output["names"].items():
        if name == "roles":
            assert value == {actor: settings.names.role(actor) for actor in value}
        elif name == "role_arns":
            assert value == {actor: settings.role_arn(actor) for actor in value}
        elif name in CONSTANTS:
            assert value == CONSTANTS[name]
        else:
            assert value == getattr(settings.names, name), name


@pytest.mark.parametrize(
    ("env", "more", "message"),
    [
        ("qa", "", "factory.yaml has no environment qa"),
        ("dev", "network: {vpc: existing}", "name subnets and groups in aws.existing.subnet_ids"),
        ("dev", "aws: {account_id: '1'}", "must be 12 digits in quotes"),
        (
            "dev",
            "aws: {account_id: '123456789012', existing: {bucket: theirs}}",
            "aws.existing.bucket is no setting",
        ),
        ("Dev", "", "1 to 10 of a-z and 0-9"),
    ],
)
def test_what_would_break_a_resource_is_refused(
    checkout: Path, tmp_path: Path, env: str, more: str, message: str
) -> None:
    file = tmp_path / "factory.yaml"
    aws = "" if "aws:" in more else "aws: {account_id: '123456789012'}\n"
    file.write_text(f"name: widgets\n{aws}{more}\nenvironments: {{dev: {{}}}}\n")
    done = settings_module(tmp_path, checkout, env, file)("plan", "-input=false")
    assert done.returncode == 1 and message in " ".join(re.sub(r"[│\n]", " ", done.stderr).split())


#: Variables of modules that take any value of their type: (module, variable).
UNCHECKED = {
    ("registry", "description"),  # any text
    ("storage", "kms_key_arn"), ("storage", "log_bucket"),  # another resource's attributes, not known at a plan
}  # fmt: skip
TESTED = sorted(
    path.parent.parent.relative_to(templates.folder()).as_posix() for path in templates.folder().rglob("*.tftest.hcl")
)


@pytest.mark.parametrize("folder", TESTED)
def test_variations_of_the_settings(checkout: Path, folder: str) -> None:
    """The tests of the roots and modules that Terraform runs itself, with a mock of the provider."""
    mirror = os.environ.get(infra.MIRROR_VARIABLE)
    for arguments in (["init", "-backend=false", *([f"-plugin-dir={mirror}"] if mirror else [])], ["test"]):
        done = subprocess.run(
            ["terraform", f"-chdir={checkout}/terraform/{folder}", *arguments, "-no-color"],
            env={**os.environ, "TF_DATA_DIR": str(checkout / "build" / "test" / folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_tests_of_its_own() -> None:
    modules = {f"modules/{folder.name}" for folder in (templates.folder() / "modules").iterdir() if folder.is_dir()}
    assert modules | set(infra.ROOTS) == set(TESTED)


def test_the_files_are_formatted_and_valid(checkout: Path, applied: Any) -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", str(checkout / "terraform")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for root in infra.ROOTS:
        assert applied.output(root, "validate", "-json")["valid"]


def test_every_variable_is_typed_and_described(checkout: Path) -> None:
    for file in checkout.glob("terraform/**/variables.tf"):
        for block in re.findall(r'^variable "\w+" \{.*?^\}', file.read_text(), re.S | re.M):
            assert "description =" in block and re.search(r"^  type +=", block, re.M), block
            kind = (file.parent.name, re.findall(r'"(\w+)"', block)[0])
            checked = "validation {" in block or re.search(r"^  type +=.*bool", block, re.M)
            assert checked or kind in UNCHECKED or "modules" not in file.parts, kind
    for file in checkout.glob("terraform/**/*.tf"):
        text = file.read_text()
        assert not re.search(r"127\.0\.0\.1|localhost|endpoints *\{|skip_(credentials|requesting)", text), file


def test_destroyed_nothing_is_left(applied: Any) -> None:
    """Last: it takes down what the other tests share."""
    for root in reversed(infra.ROOTS):
        assert applied.terraform(root, "destroy", "-auto-approve", "-input=false") == 0
    buckets = [item["Name"] for item in applied.client("s3").list_buckets()["Buckets"]]
    assert buckets == [applied.settings.names.state_bucket]
    assert not applied.client("lambda").list_functions()["Functions"]
    assert not applied.client("events").list_rules()["Rules"]
    assert not applied.client("iam").list_roles()["Roles"]
    assert not applied.client("ecr").describe_repositories()["repositories"]
    assert not applied.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert not applied.client("logs").describe_log_groups()["logGroups"]
    assert not applied.client("sqs").list_queues().get("QueueUrls")
    assert not applied.client("sns").list_topics()["Topics"]
    cloudwatch = applied.client("cloudwatch")
    assert not cloudwatch.describe_alarms()["MetricAlarms"]
    assert not cloudwatch.list_dashboards()["DashboardEntries"]
    assert not applied.client("budgets").describe_budgets(AccountId=applied.settings.aws.account_id).get("Budgets")
    aliases = applied.client("kms").list_aliases()["Aliases"]
    ours = [item["AliasName"] for item in aliases if "widgets" in item["AliasName"]]
    assert ours == [applied.settings.names.state_key_alias]
    assert not network.rest(applied.client("ec2"))
