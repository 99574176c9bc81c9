"""Every resource's name, computed in one place. ``terraform/`` computes the same; tests/contract compares them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.s3uri import S3Uri

#: Steps of the main pipeline, in order of appearance.
PREPROCESS, TRAIN, CHAMPION, EVALUATE = "Preprocess", "Train", "Champion", "Evaluate"
KEEP, REGISTER, PUBLISH, DEPLOY, REFUSE = "Keep", "Register", "Publish", "Deploy", "Refuse"
GATE, NOTHING_NEW, KNOWN, APPROVAL = "Gate", "NothingNew", "Known", "Approval"

#: The only production variant. Blue/green updates require that the name never changes.
VARIANT = "main"
#: The deployer's alias that its rules call.
DEPLOYER_ALIAS = "live"

#: Who acts in an account, each in a role of its own.
ACTORS = (
    "pipeline", "job", "endpoint", "deployer", "owner", "github-plan", "github-apply", "github-release",
    "tracking",
)  # fmt: skip

SETTINGS_KEY = "release/settings.json"
PIN_KEY = "release/pin.json"
#: Written by ``cleanup`` when it takes the endpoint down: which package must not be brought back by an event.
DOWN_KEY = "release/down.json"
#: One object for each package and evaluation that the alerts topic was told of.
NOTICES_PREFIX = "release/notices/"
#: What ``Champion`` answers when there is none: a prefix with one small object, because an input must exist.
NO_CHAMPION_PREFIX = "release/no-champion/"
NO_CHAMPION_KEY = NO_CHAMPION_PREFIX + "none.json"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one environment's resources, from the settings ``name``, the environment, the account and the region."""

    name: str
    env: str
    account_id: str
    region: str

    @property
    def prefix(self) -> str:
        return f"{self.name}-{self.env}"

    @property
    def tags(self) -> dict[str, str]:
        """On every resource that takes tags: what costs and permissions are told apart by."""
        return {"Project": self.name, "Environment": self.env}

    # S3
    @property
    def data_bucket(self) -> str:
        return f"{self.prefix}-data-{self.account_id}"

    @property
    def artifact_bucket(self) -> str:
        return f"{self.prefix}-artifacts-{self.account_id}"

    @property
    def log_bucket(self) -> str:
        return f"{self.prefix}-logs-{self.account_id}"

    @property
    def state_bucket(self) -> str:
        return f"{self.prefix}-tfstate-{self.account_id}"

    def data(self, key: str = "") -> S3Uri:
        return S3Uri(self.data_bucket, key)

    def artifacts(self, key: str = "") -> S3Uri:
        return S3Uri(self.artifact_bucket, key)

    # SageMaker
    @property
    def pipeline(self) -> str:
        return self.prefix

    @property
    def package_group(self) -> str:
        return self.prefix

    @property
    def endpoint(self) -> str:
        return self.prefix

    @property
    def tracking_server(self) -> str:
        return self.prefix

    @property
    def tracking_server_arn(self) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:mlflow-tracking-server/{self.tracking_server}"

    @property
    def staging_endpoint(self) -> str:
        """Where a package answers its golden requests before its roll-out; there for some minutes only."""
        return f"{self.endpoint}-staging"

    # ECR
    @property
    def registry(self) -> str:
        return f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com"

    @property
    def training_repository(self) -> str:
        return f"{self.prefix}/training"

    @property
    def inference_repository(self) -> str:
        return f"{self.prefix}/inference"

    def repository(self, image: str) -> str:
        """The repository of ``image``, training or inference."""
        return {"training": self.training_repository, "inference": self.inference_repository}[image]

    def image(self, repository: str, *, tag: str = "", digest: str = "") -> str:
        """``registry/repository:tag`` or ``registry/repository@sha256:…``."""
        return f"{self.registry}/{repository}" + (f"@{digest}" if digest else f":{tag}")

    # IAM
    def role(self, actor: str) -> str:
        """The name of the role of ``actor``: one of :data:`ACTORS`."""
        return f"{self.prefix}-{actor}"

    def role_arn(self, actor: str) -> str:
        return f"arn:aws:iam::{self.account_id}:role/{self.role(actor)}"

    # Lambda and events
    @property
    def deployer(self) -> str:
        return f"{self.prefix}-deployer"

    @property
    def deployer_arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.deployer}"

    @property
    def deployer_alias_arn(self) -> str:
        """What the rules call: the deployer's alias. The pipeline's steps call the function itself."""
        return f"{self.deployer_arn}:{DEPLOYER_ALIAS}"

    @property
    def alerts_topic(self) -> str:
        return f"{self.prefix}-alerts"

    @property
    def alerts_topic_arn(self) -> str:
        return f"arn:aws:sns:{self.region}:{self.account_id}:{self.alerts_topic}"

    @property
    def registry_rule(self) -> str:
        return f"{self.prefix}-registry"

    @property
    def endpoint_rule(self) -> str:
        return f"{self.prefix}-endpoint"

    @property
    def sweep_rule(self) -> str:
        return f"{self.prefix}-sweep"

    # KMS
    @property
    def key_alias(self) -> str:
        return f"alias/{self.prefix}"

    @property
    def key_alias_arn(self) -> str:
        """The key by its alias: known before the key exists, unlike the key's own ARN."""
        return f"arn:aws:kms:{self.region}:{self.account_id}:{self.key_alias}"

    @property
    def signing_key_alias(self) -> str:
        return f"alias/{self.prefix}-signing"

    @property
    def state_key_alias(self) -> str:
        """Of the key of Terraform's state; ``infra bootstrap`` makes it."""
        return f"alias/{self.prefix}-tfstate"
