"""``factory.yaml``: what is refused, and in which words: the line, the value, what is allowed, the nearest key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from contracts import settings
from tests.contract.settings_file import GOOD, refused


def test_environments_are_merged_key_by_key_one_level_deep(file: Path) -> None:
    file.write_text(
        GOOD + "  lab:\n    gate: {min: {f1: 0.5}}\n    network: {isolated: [train]}\n    training: {volume_gb: 50}\n",
        encoding="utf-8",
    )
    local, dev, prod, lab = (settings.load(file, env) for env in ("local", "dev", "prod", "lab"))
    assert (local.release.approval, dev.release.approval) == ("manual", "automatic")
    assert prod.aws.account_id == "444455556666" and prod.aws.region == "ap-southeast-1"
    assert lab.gate.min == {"f1": 0.5}, "a map inside a section is replaced, not merged"
    assert lab.network.isolated == ("train",) and local.network.isolated == ()
    assert lab.training.volume_gb == 50 and lab.training.spot is False
    assert local.training.recipe == "quick", "from contracts/defaults.yaml"
    assert {s.env for s in (local, dev, prod, lab)} == {"local", "dev", "prod", "lab"}


def test_the_environments_of_a_file(file: Path) -> None:
    assert settings.environments(file) == ("local", "dev", "prod")


def test_the_smallest_file_is_an_account(file: Path) -> None:
    file.write_text('aws: {account_id: "111122223333"}\n')
    assert settings.load(file).names.prefix == "cv-factory-local"


def test_an_empty_file_says_what_must_be_set(file: Path) -> None:
    assert "aws.account_id: '' is not allowed (12 digits in quotes" in refused(file, "").headline


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (
            ("  region: ap-southeast-1", "  region: Singapore"),
            3,
            "aws.region: 'Singapore' is not allowed (for example ap-southeast-1)",
        ),
        (
            ("name: cv-factory", "name: my--factory"),
            1,
            "name: 'my--factory' is not allowed (3-20 of a-z, 0-9 and single hyphens",
        ),
        (("name: cv-factory", "name: a"), 1, "name: 'a' is not allowed (3-20 of a-z"),
        (("name: cv-factory", "name: x23456789012345678901"), 1, "is not allowed (3-20 of a-z"),
        (("  spot: false", "  spot: yes"), 6, "training.spot: 'yes' is not allowed (true or false)"),
        (("  spot: false", "  max_minutes: 12:30"), 6, "training.max_minutes: '12:30' is not allowed (a whole number)"),
        (("  spot: false", "  max_minutes: 0"), 6, "training.max_minutes: 0 is not allowed (at least 1)"),
        (("  spot: false", "  max_minutes: 1.5"), 6, "training.max_minutes: 1.5 is not allowed (a whole number)"),
        (("  spot: false", "  instance_count: 101"), 6, "training.instance_count: 101 is not allowed (at most 100)"),
        (
            ("  spot: false", "  instance_type: m5.xlarge"),
            6,
            "training.instance_type: 'm5.xlarge' is not allowed (for example ml.m5.xlarge)",
        ),
        (("  spot: false", "  recipe: 7"), 6, "training.recipe: 7 is not allowed (text; put it in quotes)"),
        (("  spot: false", "  recipe: 'no spaces please'"), 6, "(quick, strong, full or my_module:Recipe)"),
        (
            ("balanced_accuracy: 0.7", "balanced_accuracy: high"),
            8,
            "gate.min.balanced_accuracy: 'high' is not allowed (a number)",
        ),
        (
            ("balanced_accuracy: 0.7", "balanced_accuracy: .nan"),
            8,
            "gate.min.balanced_accuracy: nan is not allowed (a number)",
        ),
        (("balanced_accuracy: 0.7", "balanced_accuracy: 70"), 8, "gate.min.balanced_accuracy (70.0) is out of range"),
        (("balanced_accuracy: 0.7", "ece: -1"), 8, "gate.min.ece (-1.0) is out of range"),
        (
            ("  approval: manual", "  approval: Manual"),
            10,
            "release.approval: 'Manual' is not allowed (one of: manual, automatic)",
        ),
        (
            ("  approval: manual", "  strategy: linear\n  percent: 5"),
            11,
            "release.percent (5) is too small for steps of a linear release",
        ),
        (("  isolated: []", "  isolated: train"), 12, "network.isolated: 'train' is not allowed (a list)"),
        (
            ("  isolated: []", "  isolated: [train, deploy]"),
            12,
            "network.isolated.1: 'deploy' is not allowed (one of: preprocess, train, evaluate, endpoint)",
        ),
        (("  isolated: []", "  cidr: 10.20.0.1/16"), 12, "network.cidr is no network: 10.20.0.1/16 has host bits set"),
        (("  isolated: []", "  cidr: 10.20.0.0/28"), 12, "network.cidr (10.20.0.0/28) must be between /16 and /24"),
        (("  isolated: []", "  nat: true"), 12, "network.nat is true, but network.vpc is none"),
        (("  isolated: []", "  endpoints: always"), 12, "network.endpoints is always, but network.vpc is none"),
        (("  isolated: []", "  vpc: existing"), 12, "network.vpc is existing, but aws.existing.subnet_ids is empty"),
        (
            ("  isolated: []", "  isolated: []\nserving: {instance_count: 3, max_instances: 2}"),
            13,
            "serving.max_instances (2) is below serving.instance_count (3)",
        ),
        (
            ("  isolated: []", "  isolated: []\noperations: {runs_days: 36}"),
            13,
            "operations.runs_days (36) must be at least training.cache_days + 7 (37)",
        ),
        (
            ("  isolated: []", "  isolated: []\noperations: {email: nobody}"),
            13,
            "operations.email: 'nobody' is not allowed (an e-mail address, or empty)",
        ),
        (
            ("  isolated: []", "  isolated: []\ntracking: {mlflow: http://x}"),
            13,
            "tracking.mlflow: 'http://x' is not allowed (none, create or a tracking server's ARN)",
        ),
        (
            ('  account_id: "111122223333"', '  account_id: "1111"'),
            4,
            "aws.account_id: '1111' is not allowed (12 digits in quotes",
        ),
        (
            ('  account_id: "111122223333"', '  account_id: "111122223333"\n  existing: {job_role: my-role}'),
            5,
            "aws.existing.job_role: 'my-role' is not allowed (arn:aws:iam::<account>:role/<name>)",
        ),
        (("training:\n  spot: false", "training: quick"), 5, "training must be a map, not text"),
        (("training:\n  spot: false", "training: ~"), 5, "training must be a map, not nothing"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_is_allowed(
    file: Path, change: tuple[str, str], line: int, says: str
) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    headline = refused(file, text).headline
    assert headline.startswith(f"factory.yaml:{line}: ") and says in headline


@pytest.mark.parametrize(
    ("change", "says", "takes"),
    [
        (
            ("  spot: false", "  instance_typ: ml.m5.xlarge"),
            "factory.yaml:6: training.instance_typ is not a setting; did you mean instance_type?",
            "training takes: recipe, seed",
        ),
        (
            ("training:", "traning:"),
            "factory.yaml:5: traning is not a setting; did you mean training?",
            "The file takes: name, aws, data",
        ),
        (
            ("environments:", "enviroments:"),
            "factory.yaml:13: enviroments is not a setting; did you mean environments?",
            "environments",
        ),
        (
            ("balanced_accuracy: 0.7", "balancd_accuracy: 0.7"),
            "factory.yaml:8: gate.min.balancd_accuracy is not a setting; did you mean balanced_accuracy?",
            "gate.min takes: balanced_accuracy, accuracy",
        ),
        (
            ("min: {balanced_accuracy: 0.7}", "min_per_slice: {latency_ms: 100}"),
            "factory.yaml:8: gate.min_per_slice.latency_ms is not a setting",
            "gate.min_per_slice takes: balanced_accuracy, accuracy, f1, auc, precision, recall, ece.",
        ),
        (("  spot: false", "  zzz: 1"), "factory.yaml:6: training.zzz is not a setting", "training takes:"),
        (
            ("  approval: manual", "  guards: {errors_5x: 5}"),
            "factory.yaml:10: release.guards.errors_5x is not a setting; did you mean errors_5xx?",
            "release.guards takes: errors_5xx, share_4xx, latency_p99_ms, memory_percent, label_shift.",
        ),
        (("name: cv-factory", "env: dev"), "factory.yaml:1: env is not a setting", "--env"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(
    file: Path, change: tuple[str, str], says: str, takes: str
) -> None:
    error = refused(file, GOOD.replace(*change))
    assert error.headline == says and takes in error.hint


def test_a_key_of_an_environment_is_found_on_its_own_line(file: Path) -> None:
    text = GOOD.replace('{account_id: "444455556666"}', '{account_id: "444455556666"}\n    data: {protokol: group}')
    error = refused(file, text, "prod")
    assert error.headline == "factory.yaml:17: data.protokol is not a setting; did you mean protocol?"
    assert settings.load(file, "dev").env == "dev", "another environment's mistake does not stop this one"


def test_several_problems_are_told_at_once(file: Path) -> None:
    text = GOOD.replace("  spot: false", "  spot: 1\n  seed: -1\n  sed: 2")
    error = refused(file, text)
    assert error.headline == "factory.yaml has 3 wrong settings"
    assert [line.split(":")[1] for line in error.hint.splitlines()[:3]] == ["6", "7", "8"]


def test_an_unknown_environment_is_named_with_the_nearest_one(file: Path) -> None:
    error = refused(file, GOOD, "prd")
    assert error.headline == "factory.yaml: there is no environment 'prd'; did you mean 'prod'?"
    assert "local, dev, prod" in error.hint


@pytest.mark.parametrize("number", ["111122223333", "012345670123", "0x10"])
def test_an_account_id_without_quotes_is_refused_for_every_environment(file: Path, number: str) -> None:
    for text in (
        GOOD.replace('"111122223333"', number),
        GOOD.replace('"444455556666"', number),
    ):
        error = refused(file, text, "dev")
        assert "an account id is text" in error.headline and "quotes" in error.hint


# --- pairs that exclude each other ------------------------------------------------------------------------------------

MLFLOW = "arn:aws:sagemaker:ap-southeast-1:111122223333:mlflow-tracking-server/team"
SERVERLESS = "serverless: {memory_mb: 2048, max_concurrency: 5}"
BREAKS = {
    "automatic-approval-in-prod": ("release: {approval: automatic}", "prod", 2),
    "expiry-in-prod": ("release: {expire_hours: 8}", "prod", 2),
    "isolated-train-with-mlflow": (f"network: {{isolated: [train]}}\ntracking: {{mlflow: '{MLFLOW}'}}", "local", 2),
    "isolated-endpoint-with-image-url": (
        "network: {isolated: [endpoint]}\nserving: {image_url_hosts: [images.example.com]}", "local", 2,
    ),
    "image-url-without-a-way-out": (
        "network: {vpc: create}\nserving: {image_url_hosts: [images.example.com]}", "local", 2,
    ),
    "rolling-with-serverless": (f"release: {{strategy: rolling}}\nserving: {{{SERVERLESS}}}", "local", 2),
    "serverless-with-vpc": (f"serving: {{{SERVERLESS}}}\nnetwork: {{vpc: create}}", "local", 2),
    "serverless-with-isolation": (f"serving: {{{SERVERLESS}}}\nnetwork: {{isolated: [endpoint]}}", "local", 2),
    "serverless-with-capture": (f"serving: {{{SERVERLESS}, capture_share: 0.5}}", "local", 2),
}  # fmt: skip
#: The two sides of a pair whose settings are in one section.
ALONE = {"serverless-with-capture": (f"serving: {{{SERVERLESS}}}", "serving: {capture_share: 0.5}")}


def _rules() -> list[dict[str, Any]]:
    rules = yaml.safe_load(settings.FORBIDDEN_PAIRS.read_text(encoding="utf-8"))
    assert isinstance(rules, list)
    return rules


def test_every_rule_has_a_source_a_date_and_a_test() -> None:
    assert {rule["id"] for rule in _rules()} == set(BREAKS)
    for rule in _rules():
        assert set(rule) == {"id", "when", "says", "source", "date"} and all(rule.values())


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["id"]))
def test_settings_that_exclude_each_other_are_refused(file: Path, rule: dict[str, Any]) -> None:
    text, env, line = BREAKS[rule["id"]]
    error = refused(file, f'aws: {{account_id: "111122223333"}}\n{text}\nenvironments: {{prod: {{}}}}\n', env)
    assert error.headline.startswith(f"factory.yaml:{line}: these settings exclude each other")
    assert rule["says"] in error.hint and rule["source"] in error.hint


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["id"]))
def test_either_side_of_a_pair_alone_is_allowed(file: Path, rule: dict[str, Any]) -> None:
    text, env, _ = BREAKS[rule["id"]]
    for alone in ALONE.get(rule["id"], text.splitlines() if "\n" in text else [text]):
        other = "dev" if env == "prod" else env
        file.write_text(f'aws: {{account_id: "111122223333"}}\n{alone}\nenvironments: {{dev: {{}}}}\n')
        settings.load(file, other)


def test_a_gate_takes_the_metrics_that_evaluate_computes() -> None:
    from contracts import evaluation
    from contracts.settings.model import Metric, SliceMetric

    assert get_args(Metric) == evaluation.METRICS and get_args(SliceMetric) == evaluation.SLICE_METRICS


def test_a_guard_is_one_that_the_deployer_knows() -> None:
    from contracts import release
    from contracts.settings.model import Guard

    assert get_args(Guard) == release.GUARDS


@pytest.mark.parametrize(
    ("guards", "message"),
    [
        ("{share_4xx: 2}", r"release\.guards\.share_4xx \(2\) is never passed"),
        ("{memory_percent: 101}", r"release\.guards\.memory_percent \(101\) is never passed"),
        ("{errors: 1}", "errors"),
        ("{errors_5xx: 0}", "errors_5xx"),
    ],
)
def test_a_guard_that_can_never_go_off_is_refused(file: Path, guards: str, message: str) -> None:
    error = refused(file, f'aws: {{account_id: "111122223333"}}\nrelease: {{guards: {guards}}}\n', "local")
    assert re.search(message, error.headline)


def test_guards_are_replaced_as_a_whole(file: Path) -> None:
    file.write_text('aws: {account_id: "111122223333"}\nrelease: {guards: {errors_5xx: 1}}\n')
    assert settings.load(file).release.guards == {"errors_5xx": 1.0}


# --- the files beside it ----------------------------------------------------------------------------------------------


def test_every_setting_has_its_default_in_the_one_file_that_both_readers_merge() -> None:
    defaults = yaml.safe_load(settings.DEFAULTS.read_text(encoding="utf-8"))
    assert defaults.pop("environments") == {}
    assert set(defaults) == set(settings.Settings.model_fields) - {"env"}
    for section, content in defaults.items():
        model = settings.Settings.model_fields[section].annotation
        if section != "name":
            assert set(content) == set(model.model_fields), section  # type: ignore[union-attr]
            assert all(field.is_required() for field in model.model_fields.values()), section  # type: ignore[union-attr]


def test_the_shipped_file_loads_in_every_environment() -> None:
    from contracts import source

    shipped = source.root() / "factory.yaml"
    assert settings.environments(shipped) == ("local", "dev", "prod")
    for env in settings.environments(shipped):
        assert settings.load(shipped, env).names.prefix == f"cv-factory-{env}"
