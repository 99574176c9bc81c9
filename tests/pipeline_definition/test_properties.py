"""Any settings that load build a definition that SageMaker would take."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

import pipeline_definition
from contracts.evaluation import METRICS, SLICE_METRICS
from local_sagemaker.validation import service_model
from tests.pipeline_definition import oracle
from tests.pipeline_definition.changed import changed

INSTANCE_TYPES = sorted(
    set(service_model().shape_for("TrainingInstanceType").metadata["enum"])
    & set(service_model().shape_for("ProcessingInstanceType").metadata["enum"])
)
ids = st.text("0123456789abcdef", min_size=8, max_size=17)
shares = st.floats(0, 1)
limits = st.dictionaries(st.sampled_from(METRICS), st.floats(0, 1))
slice_limits = st.dictionaries(st.sampled_from(SLICE_METRICS), st.floats(0, 1))


@st.composite
def sections(draw: st.DrawFn) -> dict[str, Any]:
    """Changes to the shipped settings, over every one that the definition reads."""
    subnets = st.lists(ids.map("subnet-{}".format), min_size=1, max_size=16, unique=True).map(tuple)
    groups = st.lists(ids.map("sg-{}".format), min_size=1, max_size=5, unique=True).map(tuple)
    own = st.from_regex(r"\A[a-z_]{1,60}(\.[a-z_]{1,60})?:[A-Z][A-Za-z0-9_]{0,70}\Z")
    recipe = st.one_of(st.sampled_from(["quick", "strong", "full"]), own)
    return {
        "aws": {
            "region": draw(st.sampled_from(["ap-southeast-1", "us-gov-west-1", "eu-central-2"])),
            "account_id": draw(st.text("0123456789", min_size=12, max_size=12)),
            "existing": {"subnet_ids": draw(subnets), "security_group_ids": draw(groups)},
        },
        "data": {
            "bad_file_share": draw(shares),
            "max_file_mb": draw(st.integers(1, 1000)),
            "max_pixels": draw(st.integers(1024, 178_000_000)),
        },
        "training": {
            "recipe": draw(recipe),
            "seed": draw(st.integers(0, 2**31 - 1)),
            "instance_type": draw(st.sampled_from(INSTANCE_TYPES)),
            "instance_count": draw(st.integers(1, 100)),
            "volume_gb": draw(st.integers(1, 16384)),
            "spot": draw(st.booleans()),
            "max_minutes": draw(st.integers(1, 40320)),
            "cache_days": draw(st.integers(1, 365)),
        },
        "gate": {
            "min": draw(limits),
            "min_per_slice": draw(slice_limits),
            "max": draw(limits),
            "champion_margin": draw(shares),
        },
        "network": {
            "vpc": draw(st.sampled_from(["none", "create", "existing"])),
            "isolated": tuple(draw(st.sets(st.sampled_from(["preprocess", "train", "evaluate", "endpoint"])))),
            "encrypt_between_instances": draw(st.booleans()),
        },
        "release": {"approval": draw(st.sampled_from(["manual", "automatic"]))},
    }


@given(sections(), st.from_regex(r"\A[a-z][a-z0-9]{0,9}\Z").filter(lambda env: env != "prod"))
@hypothesis_settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # a build takes a second: the first example that fails says enough
)
def test_any_settings_build_a_definition_that_sagemaker_takes(changes: dict[str, Any], env: str) -> None:
    values = changed(env=env, **changes)
    text = pipeline_definition.build(values, source_hash="c0ffee00" * 8)
    oracle.check(text, values.names.pipeline, values.role_arn("pipeline"))
