"""Names that a pipeline gives to jobs are always valid."""

from __future__ import annotations

import re
import string

from hypothesis import example, given
from hypothesis import strategies as st

from local_sagemaker import validation
from local_sagemaker.pipelines import names

_STEP_NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=64)


@given(_STEP_NAMES, st.none() | _STEP_NAMES)
@example("Step", "_")
@example("-" * 64, "-x-" * 20)
def test_job_names_are_what_the_service_takes(step: str, prefix: str | None) -> None:
    shape = validation.service_model().shape_for("TrainingJobName")
    name = names.job_name(names.execution_id(), step, prefix)
    assert validation.problems(shape, name) == []


def test_the_form_is_aws() -> None:
    assert re.fullmatch(r"pipelines-abcdefghijkl-My-Step-[a-z0-9]{10}", names.job_name("abcdefghijkl", "My_Step"))
    assert re.fullmatch(r"mine-abcdefghijkl-[a-z0-9]{10}", names.job_name("abcdefghijkl", "Step", "mine"))
