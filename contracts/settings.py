"""``factory.yaml``: read as YAML 1.2, merged with the defaults, checked, and turned into typed settings.

The order is ``contracts/defaults.yaml``, then ``factory.yaml``, then its ``environments.<env>``: key by key, one level
deep, because HCL's ``merge()`` is shallow and Terraform reads the same files. No field has a default here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from contracts.errors import SettingsError
from contracts.evaluation import METRICS
from contracts.names import Names

DEFAULTS = Path(__file__).with_name("defaults.yaml")
FORBIDDEN_PAIRS = Path(__file__).with_name("forbidden_pairs.yaml")
DEFAULT_FILE = "factory.yaml"
DEFAULT_ENV = "local"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]
Metric = Literal[
    "balanced_accuracy", "accuracy", "f1", "auc", "precision", "recall", "ece", "latency_ms", "bundle_mb"
]  # fmt: skip
Limits = dict[Metric, Number]
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", description="for example ml.m5.xlarge")]
HostName = Annotated[
    str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")
]
Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12})?:.+$")]


class Existing(_Section):
    """Parts of the account to reuse instead of making them."""

    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")] | None = None
    subnet_ids: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...] | None = None
    security_group_ids: tuple[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")], ...] | None = None
    bucket: str | None = None
    permissions_boundary: Arn | None = None
    pipeline_role: Arn | None = None
    job_role: Arn | None = None
    endpoint_role: Arn | None = None
    deployer_role: Arn | None = None
    oidc_provider: Arn | None = None


class Aws(_Section):
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="for example ap-southeast-1")]
    account_id: Annotated[str, Field(pattern=r"^\d{12}$", description='12 digits in quotes, "111122223333"')]
    existing: Existing


class Data(_Section):
    source: str
    protocol: Literal["group", "random"]
    test_share: Annotated[float, BeforeValidator(_number), Field(ge=0.05, le=0.5)]
    validation_share: Annotated[float, BeforeValidator(_number), Field(ge=0.05, le=0.5)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    positive_class: str
    bad_file_share: Share
    max_file_mb: Annotated[int, Field(ge=1, le=1000)]
    max_pixels: Annotated[int, Field(ge=1024, le=178_000_000)]


class Training(_Section):
    recipe: Annotated[
        str,
        Field(
            max_length=200,
            pattern=r"^[a-z_]+$|^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
            description="quick, strong, full or my_module:Recipe",
        ),
    ]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)]
    volume_gb: Annotated[int, Field(ge=1, le=16384)]
    spot: bool
    max_minutes: Annotated[int, Field(ge=1, le=40320)]
    cache_days: Annotated[int, Field(ge=1, le=365)]


class Gate(_Section):
    min: Limits
    min_per_slice: Limits
    max: Limits
    champion_margin: Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]


class Serving(_Section):
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)]
    max_instances: Annotated[int, Field(ge=1, le=100)]
    image_url_hosts: tuple[HostName, ...]
    capture_share: Share
    max_body_mb: Annotated[int, Field(ge=1, le=25)]
    max_pixels: Annotated[int, Field(ge=1024, le=178_000_000)]
    max_images_per_request: Annotated[int, Field(ge=1, le=1024)]


class Release(_Section):
    approval: Literal["manual", "automatic"]
    strategy: Literal["all-at-once", "canary", "linear", "rolling"]
    percent: Annotated[int, Field(ge=5, le=50)]
    bake_minutes: Annotated[int, Field(ge=0, le=60)]
    keep: Annotated[int, Field(ge=1, le=100)]


class Network(_Section):
    vpc: Literal["none", "create", "existing"]
    cidr: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$", description="for example 10.20.0.0/16")]
    isolated: tuple[Literal["preprocess", "train", "evaluate", "endpoint"], ...]
    encrypt_between_instances: bool


class Tracking(_Section):
    mlflow: Annotated[
        str, Field(pattern=r"^none$|^arn:aws[a-z-]*:sagemaker:.+$", description="none or a tracking server's ARN")
    ]


class Operations(_Section):
    email: str
    budget_usd: Annotated[float, BeforeValidator(_number), Field(ge=0)]
    log_days: Annotated[int, Field(ge=1, le=3653)]
    runs_days: Annotated[int, Field(ge=1, le=3650)]


class Github(_Section):
    repository: Annotated[str, Field(pattern=r"^$|^[\w.-]+/[\w.-]+$", description="owner/repository")]
    branch: str


class Settings(_Section):
    """All settings of one environment."""

    name: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]{1,18}[a-z0-9]$", description="3-20 of a-z, 0-9, -; starts with a letter")
    ]
    env: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,9}$", description="1-10 of a-z, 0-9")]
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
    def names(self) -> Names:
        return Names(self.name, self.env, self.aws.account_id, self.aws.region)

    def role_arn(self, actor: Literal["pipeline", "job", "endpoint", "deployer"]) -> str:
        """The role of ``actor``: the one of ``aws.existing`` or the one that the base makes."""
        existing: str | None = getattr(self.aws.existing, f"{actor}_role")
        return existing or self.names.role_arn(actor)


_SECTIONS = tuple(name for name in Settings.model_fields if name not in ("name", "env"))


# --- YAML 1.2 ---------------------------------------------------------------------------------------------------------


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema).

    YAML 1.1 reads ``yes`` as true, ``12:30`` as 750 and ``010`` as 8; Terraform's yamldecode does not.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (as in the base class)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):  # fmt: skip
    _Yaml12Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _construct_int(loader: _Yaml12Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    for prefix, radix in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix):
            return int(text[2:], radix)
    return int(text, 10)


_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)

Path_ = tuple[str, ...]


@dataclass(frozen=True)
class _Document:
    """A YAML file's value, and the line (from 1) of each key and list item."""

    file: str
    value: dict[str, Any]
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int | None:
        """The line of ``path`` or, where the file has no such key, None."""
        return self.lines.get(path)


def _load(path: Path) -> _Document:
    name = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist", "Run the command where factory.yaml is, or name the file with --file."
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: {error}") from None
    loader = _Yaml12Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Path_, int] = {}
        if node is not None:
            _index(node, (), lines, name)
        value = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise SettingsError(
            f"{where}: {error.problem or 'not YAML'}", "Check the indentation and the quotes."
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{name}: not YAML: {error}") from None
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise SettingsError(f"{name}: the file must be a map of settings, not {_kind(value)}")
    return _Document(name, value, lines)


def _index(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in seen:
                where = ".".join((*path, key))
                raise SettingsError(
                    f"{file}:{line}: {where} is set twice (first on line {seen[key]})", "Keep one of the two lines."
                )
            seen[key] = line
            lines[(*path, key)] = line
            _index(value_node, (*path, key), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[(*path, str(number))] = item.start_mark.line + 1
            _index(item, (*path, str(number)), lines, file)


# --- merge and check --------------------------------------------------------------------------------------------------


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` wins key by key, one level deep; anything deeper is replaced."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


@cache
def _defaults() -> _Document:
    return _load(DEFAULTS)


def environments(file: Path) -> tuple[str, ...]:
    """The environments that ``file`` names, ``local`` always among them."""
    document = _load(file)
    named = document.value.get("environments") or {}
    return tuple(dict.fromkeys((DEFAULT_ENV, *named))) if isinstance(named, dict) else (DEFAULT_ENV,)


def load(file: Path | str = DEFAULT_FILE, env: str = DEFAULT_ENV) -> Settings:
    """The settings of environment ``env`` in ``file``.

    Raises:
        SettingsError: with the line, the value, what is allowed and, for an unknown key, the nearest one; or the rule
            of ``forbidden_pairs.yaml`` that a pair of settings breaks.
    """
    document = _load(Path(file))
    named = document.value.get("environments")
    if named is not None and not isinstance(named, dict):
        raise SettingsError(_at(document, ("environments",)) + f"environments must be a map, not {_kind(named)}")
    named = named or {}
    if env not in named and env != DEFAULT_ENV:
        near = difflib.get_close_matches(env, [*named, DEFAULT_ENV], 1)
        raise SettingsError(
            f"{document.file}: there is no environment {env!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            f"Known: {', '.join(dict.fromkeys([DEFAULT_ENV, *named]))}. Add it below environments, or change --env.",
        )
    for other, override in named.items():
        if not isinstance(override, dict | None):
            raise SettingsError(
                _at(document, ("environments", other)) + f"environments.{other} must be a map, not {_kind(override)}"
            )
    _check_unquoted(document)

    base = {key: value for key, value in document.value.items() if key != "environments"}
    defaults = {key: value for key, value in _defaults().value.items() if key != "environments"}
    for path, value in (((), base), (("environments", env), named.get(env) or {})):
        for section, content in value.items():
            if section in _SECTIONS and not isinstance(content, dict):
                raise SettingsError(
                    _at(document, (*path, section))
                    + f"{'.'.join((*path, section))} must be a map, not {_kind(content)}",
                    f"It takes: {', '.join(_fields(section))}.",
                )
    merged = _merge(_merge(defaults, base), named.get(env) or {})
    if "env" in document.value:
        raise SettingsError(_at(document, ("env",)) + "env is not a setting", "The environment is chosen with --env.")
    merged["env"] = env
    try:
        settings = Settings.model_validate(_tuples(merged))
    except ValidationError as error:
        raise _explain(error, document, env) from None
    _check_ranges(settings, document, env)
    _check_pairs(settings, document)
    return settings


def _fields(section: str) -> tuple[str, ...]:
    annotation = Settings.model_fields[section].annotation
    return tuple(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else ()


def _tuples(value: Any) -> Any:
    """Lists as tuples: strict validation takes no list for a tuple, and settings are frozen."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _check_unquoted(document: _Document) -> None:
    """An account id without quotes is a number for one reader and text for another."""
    places: list[tuple[Path_, Any]] = [(("aws", "account_id"), (document.value.get("aws") or {}))]
    for env, override in (document.value.get("environments") or {}).items():
        places.append((("environments", env, "aws", "account_id"), ((override or {}).get("aws") or {})))
    for path, section in places:
        value = section.get("account_id") if isinstance(section, dict) else None
        if value is not None and not isinstance(value, str):
            raise SettingsError(
                _at(document, path) + f"{'.'.join(path)} is the number {value}; an account id is text",
                f'Put it in quotes: account_id: "{value:012d}"' if isinstance(value, int) else "Put it in quotes.",
            )


def _at(document: _Document, path: Path_) -> str:
    """``file:line: `` of ``path`` or of the nearest key above it."""
    for end in range(len(path), 0, -1):
        line = document.line(path[:end])
        if line is not None:
            return f"{document.file}:{line}: "
    return f"{document.file}: "


def _explain(error: ValidationError, document: _Document, env: str) -> SettingsError:
    """One SettingsError that lists every problem, each with line, value and what is allowed."""
    lines = []
    hints = []
    for problem in error.errors(include_url=False):
        path = tuple(str(part) for part in problem["loc"] if part != "[key]")
        override = ("environments", env, *path)
        where = override if document.line(override) is not None else path
        name = ".".join(path)
        if problem["type"] == "extra_forbidden" or problem["loc"][-1:] == ("[key]",):
            known = list(METRICS) if problem["loc"][-1:] == ("[key]",) else _siblings(path)
            near = difflib.get_close_matches(path[-1], known, 1, cutoff=0.5)
            lines.append(
                _at(document, where) + f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")
            )
            hints.append(f"{'.'.join(path[:-1]) or 'The file'} takes: {', '.join(known)}.")
        else:
            lines.append(
                _at(document, where) + f"{name}: {_short(problem['input'])} is not allowed ({_allowed(problem)})"
            )
    headline = lines[0] if len(lines) == 1 else f"{document.file} has {len(lines)} wrong settings"
    body = [] if len(lines) == 1 else [f"  {line}" for line in lines]
    return SettingsError(headline, "\n".join([*body, *dict.fromkeys(hints)]))


def _siblings(path: Path_) -> list[str]:
    model: Any = Settings
    for part in path[:-1]:
        field = model.model_fields.get(part)
        model = field.annotation if field is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    known = [name for name in model.model_fields if name != "env"]
    return [*known, "environments"] if model is Settings else known


def _allowed(problem: Any) -> str:
    """What would be right, in words."""
    context = problem.get("ctx") or {}
    kind = problem["type"]
    if kind == "literal_error":
        return f"one of: {context['expected'].replace(chr(39), '').replace(' or ', ', ')}"
    if kind == "string_pattern_mismatch":
        description = _description(tuple(str(part) for part in problem["loc"]))
        return description or f"must match {context['pattern']}"
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        sign = {
            "greater_than_equal": "at least",
            "less_than_equal": "at most",
            "greater_than": "more than",
            "less_than": "less than",
        }[kind]
        return f"{sign} {next(iter(context.values()))}"
    if kind == "missing":
        return "it has no default; set it"
    wanted = {
        "float_type": "a number",
        "int_type": "a whole number",
        "string_type": "text; put it in quotes",
        "bool_type": "true or false",
        "tuple_type": "a list",
        "dict_type": "a map",
        "model_type": "a map",
        "model_attributes_type": "a map",
    }
    return wanted.get(kind, str(problem["msg"]))


def _description(path: Path_) -> str:
    model: Any = Settings
    for part in path:
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return ""
        if field.description:
            return str(field.description)
        model = field.annotation
    return ""


def _check_ranges(settings: Settings, document: _Document, env: str) -> None:
    """Rules between numbers that one field alone cannot state."""

    def at(section: str, key: str) -> str:
        override = ("environments", env, section, key)
        return _at(document, override if document.line(override) is not None else (section, key))

    if settings.serving.max_instances < settings.serving.instance_count:
        raise SettingsError(
            at("serving", "max_instances")
            + f"serving.max_instances ({settings.serving.max_instances}) is below serving.instance_count"
            f" ({settings.serving.instance_count})",
            "Equal numbers mean no autoscaling.",
        )
    if settings.network.vpc == "existing":
        for key in ("subnet_ids", "security_group_ids"):
            if not getattr(settings.aws.existing, key):
                raise SettingsError(
                    at("network", "vpc") + f"network.vpc is existing, but aws.existing.{key} is empty",
                    "Name the subnets and security groups of the jobs and the endpoint, or set network.vpc to create.",
                )
    if settings.operations.runs_days < settings.training.cache_days + 7:
        raise SettingsError(
            at("operations", "runs_days")
            + f"operations.runs_days ({settings.operations.runs_days}) must be at least training.cache_days + 7"
            f" ({settings.training.cache_days + 7})",
            "A cached step names objects of its run: they must outlive the cache.",
        )


def _check_pairs(settings: Settings, document: _Document) -> None:
    flat = settings.model_dump()
    for rule in yaml.load(FORBIDDEN_PAIRS.read_text(encoding="utf-8"), Loader=_Yaml12Loader):  # noqa: S506 (a safe loader)
        if all(_holds(_lookup(flat, key), wanted) for key, wanted in rule["when"].items()):
            keys = [key for key in rule["when"] if key != "env"]
            values = ", ".join(f"{key}: {_short(_lookup(flat, key))}" for key in keys)
            raise SettingsError(
                _at(document, tuple(keys[0].split("."))) + f"these settings exclude each other ({values})",
                f"{rule['says']}\nRule {rule['id']}, {rule['date']}: {rule['source']}",
            )


def _lookup(value: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        value = value[part]
    return value


def _holds(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    ((operator, operand),) = wanted.items()
    match operator:
        case "is_not":
            return bool(value != operand)
        case "contains":
            return operand in value
        case "above":
            return bool(value > operand)
        case "not_empty":
            return bool(value) is operand
    raise SettingsError(f"forbidden_pairs.yaml: unknown operator {operator!r}")


def _kind(value: Any) -> str:
    names = {dict: "a map", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:77] + "…"


# --- schema for editors -----------------------------------------------------------------------------------------------


def json_schema() -> dict[str, Any]:
    """The JSON schema of ``factory.yaml``: every key optional (each has a default), none unknown."""
    schema = Settings.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for part in (schema, *definitions.values()):
        part.pop("required", None)
    properties = schema["properties"]
    properties.pop("env")
    overrides = {key: value for key, value in properties.items() if key != "name"}
    definitions["Environment"] = {"type": "object", "additionalProperties": False, "properties": overrides}
    properties["environments"] = {"type": "object", "additionalProperties": {"$ref": "#/$defs/Environment"}}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "cv-factory settings"
    return schema
