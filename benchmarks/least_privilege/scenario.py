"""A whole life of an environment, each actor in the role that Terraform made for it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

from benchmarks.least_privilege import removal
from benchmarks.least_privilege.stack import ENVIRONMENT, PHOTOS, PULL_REQUEST, READER, REGION, Refused, Stack
from contracts import release, source
from contracts.errors import FactoryError
from contracts.names import NO_CHAMPION_KEY, SETTINGS_KEY
from cv_factory.operations import release as operations
from cv_factory.operations.base import images
from cv_factory.operations.building import publish

Say = Callable[[str], None]


def base(stack: Stack) -> None:
    """The account's owner makes the base the first time; everybody else's role comes with it."""
    stack.run(stack.root, "infra", "bootstrap")
    stack.run(stack.root, "--yes", "infra", "apply", "-input=false")
    stack.bind_images()


def plan(stack: Stack) -> None:
    """A pull request plans: nothing to change, nothing locked, nothing written."""
    actor = stack.workflow("plan", PULL_REQUEST)
    printed = stack.run(actor, "infra", "plan", "-lock=false", "-detailed-exitcode", "-input=false")
    if printed.count("No changes.") != 2:
        raise FactoryError("the plan of what was just applied has changes", printed)


def apply(stack: Stack) -> None:
    """The workflow of the environment applies: what somebody changed or removed by hand comes back, and what holds no
    state (functions, rules, alarms, queues) is taken down and made again."""
    actor = stack.workflow("apply", ENVIRONMENT)
    _change_by_hand(stack)
    stack.run(actor, "--yes", "infra", "apply", "-input=false")
    targets = [f"-target={address}" for address in _addresses(stack) if _STATELESS.match(address)]
    stack.run(actor, "--yes", "infra", "destroy", "-input=false", *targets)
    file = stack.folder / "factory.yaml"
    file.write_text(file.read_text().replace("vpc: create,", "vpc: create, cidr: 10.21.0.0/16,"))  # another network
    stack.run(actor, "--yes", "infra", "apply", "-input=false")
    plan(stack)


def share(stack: Stack) -> None:
    """The account's owner lets another account read packages, and tries a tracking server: what workflows may not
    make, they read at every plan and apply."""
    file = stack.folder / "factory.yaml"
    shared = file.read_text().replace("bake_minutes: 0}", f'bake_minutes: 0, readers: ["{READER}"]}}')
    file.write_text(shared + "tracking: {mlflow: create}\n")
    stack.run(stack.root, "--yes", "infra", "apply", "-input=false")
    plan(stack)
    stack.run(stack.workflow("apply", ENVIRONMENT), "--yes", "infra", "apply", "-input=false")
    file.write_text(shared)  # nothing here answers to MLflow: the jobs go on without
    stack.run(stack.root, "--yes", "infra", "apply", "-input=false")


def push(stack: Stack) -> None:
    """The release's first half: both images, layer by layer as a Docker engine asks for them, signed."""
    target = stack.target(stack.workflow("release", ENVIRONMENT))
    names = stack.settings.names
    ecr, kms, s3 = target.client("ecr"), target.client("kms"), target.client("s3")
    for image in source.IMAGES:
        if publish.find(target, image) is not None:
            continue
        publish.login(target)
        item = images.manifest(names, image, source.source_hash(image, stack.folder))
        _push_layer(ecr, item)
        images.put(ecr, item)
        ecr.batch_get_image(repositoryName=item.repository, imageIds=[{"imageTag": item.tag}])
        s3.put_object(Bucket=names.artifact_bucket, Key=release.sbom_key(item.digest), Body=b"{}")
        images.sign(kms, s3, names, item)
        if not publish.is_signed(target, item.digest):
            raise FactoryError(f"{item.digest} is not signed")


def _push_layer(ecr: Any, item: images.Manifest) -> None:
    """The calls that ``docker push`` comes to. Source: ECR User Guide, "Required IAM permissions for pushing an image".

    The local ECR takes no layers: it answers that it lacks the call, once IAM let it pass.
    """
    layers = [item.digest]
    _passed(ecr.batch_check_layer_availability, repositoryName=item.repository, layerDigests=layers)
    _passed(ecr.initiate_layer_upload, repositoryName=item.repository)
    part = {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
    _passed(ecr.upload_layer_part, repositoryName=item.repository, uploadId="u", **part)
    _passed(ecr.complete_layer_upload, repositoryName=item.repository, uploadId="u", layerDigests=layers)


def _passed(call: Callable[..., Any], **arguments: Any) -> None:
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        if "AccessDenied" in error.response["Error"]["Code"]:
            raise


def import_data(stack: Stack) -> None:
    """The images lie in a bucket of the team's own, and stay there."""
    s3 = stack.client(stack.root, "s3")
    s3.create_bucket(Bucket=PHOTOS, CreateBucketConfiguration={"LocationConstraint": REGION})
    for path in sorted((stack.folder / "images").rglob("*.png")):
        name = path.relative_to(stack.folder / "images").as_posix()
        s3.put_object(Bucket=PHOTOS, Key=f"solar/{name}", Body=path.read_bytes())
    stack.run(stack.root, "--yes", "data", "import", f"s3://{PHOTOS}/solar")


def execute(stack: Stack, seed: int) -> None:
    """The release's second half: definition, start, follow."""
    actor = stack.workflow("release", ENVIRONMENT)
    _seed(stack, seed)
    stack.run(actor, "pipeline", "upsert")
    stack.run(actor, "pipeline", "start")
    stack.run(actor, "status", "--follow", "--logs")
    stack.run(actor, "report")


def approve(stack: Stack) -> None:
    """The release owner looks, approves, and asks the endpoint; the deployer does the rest in its own role."""
    owner = stack.person("owner")
    stack.run(owner, "status")
    stack.run(owner, "--yes", "approve", "--why", "better")
    wait_until_served(stack)
    predict(stack)
    stack.run(owner, "status")


def wait_until_served(stack: Stack) -> None:
    """Until the event has reached the deployer, and the endpoint what is approved."""
    target = stack.target(stack.person("owner"))
    approved = [package for package in operations.all_packages(target) if package.approval == "Approved"]
    operations.wait_until_served(target, max(approved, key=lambda item: item.version).arn, lambda serving: None)


def predict(stack: Stack) -> dict[str, Any]:
    printed = stack.run(stack.person("owner"), "predict", _picture(stack), "--json")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(printed, printed.index("{"))[0]
    return found


def come_back(stack: Stack) -> None:
    """A deployer that fails, a pin, a roll-back: every verb of the release owner."""
    owner, function = stack.person("owner"), stack.client(stack.root, "lambda")
    name = stack.settings.names.deployer
    right = function.get_function_configuration(FunctionName=name)["Environment"]
    function.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    stack.run(owner, "--yes", "deploy", fails=True)  # says what the deployer's log says
    function.update_function_configuration(FunctionName=name, Environment=right)
    stack.run(owner, "status", "--releases")
    stack.run(owner, "--yes", "deploy", "--package", "1")
    stack.run(owner, "--yes", "deploy")
    stack.run(owner, "--yes", "rollback", "--to", "1", "--why", "misses cracks")
    predict(stack)


def stop(stack: Stack) -> None:
    """An execution that somebody stops, and tries again."""
    actor = stack.workflow("release", ENVIRONMENT)
    _seed(stack, 2)
    stack.run(actor, "pipeline", "upsert")
    stack.run(actor, "pipeline", "start")
    stack.run(actor, "--yes", "pipeline", "stop")


def run(stack: Stack, say: Say, *, quick: bool = False) -> None:
    """All of it, in order."""
    parts: list[tuple[str, Callable[[], object]]] = [
        ("base: bootstrap and apply, by the account's owner", lambda: base(stack)),
        ("github-plan: plan without a lock", lambda: plan(stack)),
        ("github-apply: repair, take down, make again", lambda: apply(stack)),
        ("readers and a tracking server: made by the account's owner, read by workflows", lambda: share(stack)),
        ("github-release: images into the registry", lambda: push(stack)),
        ("data, by the account's owner", lambda: import_data(stack)),
        ("first execution: github-release, pipeline, job, deployer", lambda: execute(stack, 0)),
        ("approval and answer: owner, deployer, endpoint", lambda: approve(stack)),
    ]
    if not quick:
        parts += [
            ("second execution, against the champion", lambda: execute(stack, 1)),
            ("second approval", lambda: approve(stack)),
            ("pin and roll-back: owner", lambda: come_back(stack)),
            ("an execution that is stopped: github-release", lambda: stop(stack)),
        ]
    for text, act in parts:
        say(text)
        act()


# --- removals for real ------------------------------------------------------------------------------------------------

#: (role, policy, statement, what is refused without it)
REAL_REMOVALS: tuple[tuple[str, str, str, Callable[[Stack], str]], ...] = (
    ("owner", "owner", "AskTheEndpoint", lambda stack: _refused(stack, "owner", "predict", _picture(stack))),
    ("owner", "owner", "DecideAboutPackages", lambda stack: _refused(stack, "owner", "--yes", "approve", "1")),
    (
        "github-release",
        "github-release",
        "OwnThePipeline",
        lambda stack: _refused(stack, "release", "pipeline", "upsert"),
    ),
    ("owner", "owner", "CallTheDeployer", lambda stack: _refused(stack, "owner", "--yes", "deploy")),
    ("job", "job", "ReadInputs", lambda stack: _job_fails(stack)),
)


#: What AWS says to who may not; the second to a training job whose role may not list or read its inputs.
_REFUSED = ("not authorized to perform", "Please ensure that the bucket exists")


def remove_for_real(stack: Stack, say: Say) -> list[str]:
    """Take each out, do what needs it, put it back; what went on all the same."""
    missed = []
    for role, policy, sid, act in REAL_REMOVALS:
        say(f"without {sid} of {role}")
        before = removal.take_out(stack, role, policy, sid)
        try:
            printed = act(stack)
            if not any(words in printed for words in _REFUSED):
                missed.append(f"{role} without {sid}: {printed[-500:]}")
        except Refused as error:
            missed.append(f"{role} without {sid}: {error}")
        finally:
            removal.put(stack, role, policy, before)
    return missed


def _refused(stack: Stack, role: str, *arguments: str) -> str:
    actor = stack.person(role) if role == "owner" else stack.workflow(role, ENVIRONMENT)
    return stack.run(actor, *arguments, fails=True)


def _job_fails(stack: Stack) -> str:
    """An execution whose first job may not read its inputs."""
    actor = stack.workflow("release", ENVIRONMENT)
    _seed(stack, 3)
    stack.run(actor, "pipeline", "upsert")
    stack.run(actor, "pipeline", "start")
    return stack.run(actor, "status", "--follow", fails=True)


def _picture(stack: Stack) -> str:
    return str(next((stack.folder / "images" / "broken").glob("*.png")))


def _seed(stack: Stack, seed: int) -> None:
    """Another seed, in the settings, gives another package."""
    file = stack.folder / "factory.yaml"
    file.write_text(re.sub(r"max_minutes: 10, seed: \d+", f"max_minutes: 10, seed: {seed}", file.read_text()))


# --- what the apply role gets to do -----------------------------------------------------------------------------------

#: What workflows may take down: it holds nothing that an apply does not bring back.
_STATELESS = re.compile(r"module\.(deployer|operations)\.|aws_(sns|cloudwatch)_")


def _addresses(stack: Stack) -> list[str]:
    """The factory's resources, as Terraform's state names them."""
    printed = stack.run(stack.root, "infra", "state", "list")
    part = printed.split("terraform/factory: state", 1)[1]
    return [line.strip() for line in part.splitlines() if re.match(r"^(module|data|aws)[._]", line.strip())]


def _change_by_hand(stack: Stack) -> None:
    """What Terraform may make or set in the factory, removed or set otherwise."""
    names, s3 = stack.settings.names, stack.client(stack.root, "s3")
    for name in (SETTINGS_KEY, NO_CHAMPION_KEY):
        s3.delete_object(Bucket=names.artifact_bucket, Key=name)
    ecr, sagemaker = stack.client(stack.root, "ecr"), stack.client(stack.root, "sagemaker")
    ecr.delete_repository(repositoryName=names.training_repository)
    sagemaker.delete_model_package_group(ModelPackageGroupName=names.package_group)
    function = stack.client(stack.root, "lambda")
    function.update_function_configuration(FunctionName=names.deployer, Timeout=10)
    function.update_function_code(FunctionName=names.deployer, ZipFile=_other_code())
    stack.client(stack.root, "logs").put_retention_policy(
        logGroupName=f"/aws/lambda/{names.deployer}", retentionInDays=1
    )
    ec2 = stack.client(stack.root, "ec2")
    ours = [{"Name": "tag:Name", "Values": [names.prefix]}]
    for vpc in ec2.describe_vpcs(Filters=ours)["Vpcs"]:
        ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "Name", "Value": "theirs"}])
    _change_roles_by_hand(stack)


def _other_code() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("theirs.py", "")
    return file.getvalue()


def _change_roles_by_hand(stack: Stack) -> None:
    """A role removed, another's policy, trust, description and tags changed."""
    names, iam = stack.settings.names, stack.client(stack.root, "iam")
    gone, changed = names.role("pipeline"), names.role("job")
    for policy in iam.list_role_policies(RoleName=gone)["PolicyNames"]:
        iam.delete_role_policy(RoleName=gone, PolicyName=policy)
    iam.delete_role(RoleName=gone)
    iam.delete_role_policy(RoleName=changed, PolicyName="job")
    other = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [other]})
    iam.update_assume_role_policy(RoleName=changed, PolicyDocument=document)
    iam.update_role(RoleName=changed, Description="theirs")
    iam.tag_role(RoleName=changed, Tags=[{"Key": "Project", "Value": "theirs"}])
