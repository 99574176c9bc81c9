"""The settings' types: what each may be. No field has a default here: ``contracts/defaults.yaml`` holds them all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.names import Names


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]
SliceMetric = Literal["balanced_accuracy", "accuracy", "f1", "auc", "precision", "recall", "ece"]
Metric = Literal[
    "balanced_accuracy", "accuracy", "f1", "auc", "precision", "recall", "ece", "latency_ms", "bundle_mb"
]  # fmt: skip
Guard = Literal["errors_5xx", "share_4xx", "latency_p99_ms", "memory_percent", "label_shift"]
Limits = dict[Metric, Number]
InstanceType = Annotated[
    str, Field(max_length=64, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", description="for example ml.m5.xlarge")
]
HostName = Annotated[
    str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")
]


def _arn(resource: str) -> Any:
    return Field(
        max_length=2048,
        pattern=rf"^arn:aws[a-z-]*:iam::\d{{12}}:{resource}/[A-Za-z0-9_+=,.@:/-]+$",
        description=f"arn:aws:iam::<account>:{resource}/<name>",
    )


RoleArn = Annotated[str | None, _arn("role")]
Subnet = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
SecurityGroup = Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")]


AccountId = Annotated[str, Field(pattern=r"^\d{12}$", description='12 digits in quotes, "111122223333"')]


class Existing(Section):
    """Parts of the account to reuse instead of making them; what is not named is made."""

    vpc_id: Annotated[str | None, Field(pattern=r"^vpc-[0-9a-f]{8,17}$", description="for example vpc-0a1b2c3d")] = None
    subnet_ids: Annotated[tuple[Subnet, ...] | None, Field(max_length=16)] = None
    security_group_ids: Annotated[tuple[SecurityGroup, ...] | None, Field(max_length=5)] = None
    permissions_boundary: Annotated[str | None, _arn("policy")] = None
    pipeline_role: RoleArn = None
    job_role: RoleArn = None
    endpoint_role: RoleArn = None
    deployer_role: RoleArn = None
    oidc_provider: Annotated[str | None, _arn("oidc-provider")] = None


class Aws(Section):
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="for example ap-southeast-1")]
    account_id: AccountId
    existing: Existing


class Data(Section):
    source: str
    protocol: Literal["group", "random"]
    test_share: Annotated[float, Field(ge=0.05, le=0.5), BeforeValidator(_number)]
    validation_share: Annotated[float, Field(ge=0.05, le=0.5), BeforeValidator(_number)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    positive_class: str
    bad_file_share: Share
    max_file_mb: Annotated[int, Field(ge=1, le=1000)]
    max_pixels: Annotated[int, Field(ge=1024, le=178_000_000)]


class Training(Section):
    recipe: Annotated[
        str,
        Field(
            max_length=200,
            pattern=r"^[a-z_]+$|^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
            description="quick, strong, full or my_module:Recipe",
        ),
    ]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100, description="of Preprocess; the training itself runs on one")]
    volume_gb: Annotated[int, Field(ge=1, le=16384)]
    spot: bool
    max_minutes: Annotated[int, Field(ge=1, le=40320)]
    cache_days: Annotated[int, Field(ge=1, le=365)]


class Gate(Section):
    min: Limits
    min_per_slice: dict[SliceMetric, Number]
    max: Limits
    champion_margin: Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]


class Serverless(Section):
    """An endpoint without instances of one's own."""

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144]
    max_concurrency: Annotated[int, Field(ge=1, le=200)]


class Serving(Section):
    instance_type: InstanceType
    fallback_instance_types: Annotated[tuple[InstanceType, ...], Field(max_length=5)]
    instance_count: Annotated[int, Field(ge=1, le=100)]
    max_instances: Annotated[int, Field(ge=1, le=100)]
    requests_per_instance: Annotated[int, Field(ge=1, le=1_000_000)]
    serverless: Annotated[Serverless | None, Field(description="null or {memory_mb: 2048, max_concurrency: 5}")]
    image_url_hosts: tuple[HostName, ...]
    capture_share: Share
    max_body_mb: Annotated[int, Field(ge=1, le=25)]
    max_pixels: Annotated[int, Field(ge=1024, le=178_000_000)]
    max_images_per_request: Annotated[int, Field(ge=1, le=1024)]
    max_frames: Annotated[int, Field(ge=1, le=1000)]
    max_json_depth: Annotated[int, Field(ge=3, le=500)]
    max_headers: Annotated[int, Field(ge=16, le=1000)]
    max_header_kb: Annotated[int, Field(ge=4, le=64)]
    queue: Annotated[int, Field(ge=0, le=10_000)]
    deadline_seconds: Annotated[int, Field(ge=1, le=3600)]
    read_seconds: Annotated[int, Field(ge=1, le=600)]
    log_share: Share
    precision: Literal["float32", "int8"]
    int8_max_loss: Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]


class Release(Section):
    approval: Literal["manual", "automatic"]
    staging: bool
    scan_severity: Literal["CRITICAL", "HIGH", "MEDIUM", "none"]
    strategy: Literal["all-at-once", "canary", "linear", "rolling"]
    percent: Annotated[int, Field(ge=5, le=50)]
    bake_minutes: Annotated[int, Field(ge=0, le=60)]
    termination_minutes: Annotated[int, Field(ge=0, le=60)]
    guards: dict[Guard, Annotated[float, Field(gt=0), BeforeValidator(_number)]]
    keep: Annotated[int, Field(ge=1, le=100)]
    four_eyes: Literal["prod", "always", "never"]
    soak_hours: Annotated[int, Field(ge=0, le=720)]
    expire_hours: Annotated[int, Field(ge=0, le=8760)]
    owners: Annotated[
        tuple[Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:(role|user)/\S+$")], ...], Field(max_length=20)
    ]
    readers: Annotated[tuple[AccountId, ...], Field(max_length=50)]


class Network(Section):
    vpc: Literal["none", "create", "existing"]
    cidr: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$", description="for example 10.20.0.0/16")]
    nat: bool
    endpoints: Literal["auto", "always", "none"]
    isolated: tuple[Literal["preprocess", "train", "evaluate", "endpoint"], ...]
    encrypt_between_instances: bool


class Tracking(Section):
    mlflow: Annotated[
        str,
        Field(
            max_length=512,  # it becomes a job's environment variable
            pattern=r"^none$|^create$|^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:[A-Za-z0-9_/.-]+$",
            description="none, create or a tracking server's ARN",
        ),
    ]


class Operations(Section):
    email: Annotated[str, Field(pattern=r"^$|^[^@\s]+@[^@\s]+\.[^@\s]+$", description="an e-mail address, or empty")]
    budget_usd: Annotated[float, Field(ge=0), BeforeValidator(_number)]
    log_days: Annotated[int, Field(ge=1, le=3653)]
    images_keep: Annotated[int, Field(ge=1, le=1000)]
    reserved_concurrency: Annotated[int, Field(ge=0, le=1000)]
    runs_days: Annotated[int, Field(ge=1, le=3650)]


class Github(Section):
    repository: Annotated[str, Field(pattern=r"^$|^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", description="owner/repository")]
    branch: str


class Settings(Section):
    """All settings of one environment."""

    name: Annotated[
        str,
        Field(
            min_length=3,
            max_length=20,
            # ECR allows no two hyphens in a row, and the name begins a repository's.
            pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
            description="3-20 of a-z, 0-9 and single hyphens; starts with a letter, ends with a letter or digit",
        ),
    ]
    env: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,9}$", description="1-10 of a-z, 0-9; starts with a letter")]
    aws: Aws
    data: Data
    training: Training
    gate: Gate
    serving: Serving
    release: Release
    network: Network
    tracking: Tracking
    operations: Operations
    github: Github

    @property
    def four_eyes(self) -> bool:
        """Whether another person must approve than the one who started the execution."""
        return self.release.four_eyes == "always" or (self.release.four_eyes == "prod" and self.env == "prod")

    @property
    def names(self) -> Names:
        return Names(self.name, self.env, self.aws.account_id, self.aws.region)

    def role_arn(self, actor: Literal["pipeline", "job", "endpoint", "deployer"]) -> str:
        """The role of ``actor``: the one of ``aws.existing`` or the one that the base makes."""
        existing: str | None = getattr(self.aws.existing, f"{actor}_role")
        return existing or self.names.role_arn(actor)

    @property
    def tracking_server_arn(self) -> str:
        """The tracking server that jobs log to: the named one, or the one that Terraform makes; empty: none."""
        chosen = self.tracking.mlflow
        return {"none": "", "create": self.names.tracking_server_arn}.get(chosen, chosen)


SECTIONS = tuple(name for name in Settings.model_fields if name not in ("name", "env"))


def fields(path: tuple[str, ...]) -> list[str]:
    """The keys that the map at ``path`` takes; none where ``path`` is no map of settings."""
    model: Any = Settings
    for part in path:
        field = model.model_fields.get(part)
        model = field.annotation if field is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    known = [name for name in model.model_fields if name != "env"]
    return [*known, "environments"] if model is Settings else known


def description(path: tuple[str, ...]) -> str:
    """What the field at ``path`` may be, in words; empty where its type says it all."""
    model: Any = Settings
    for part in path:
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return ""
        if field.description:
            return str(field.description)
        model = field.annotation
    return ""
