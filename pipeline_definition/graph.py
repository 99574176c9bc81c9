"""The main pipeline, step by step, in the order in which data flows.

::

    Preprocess ─ Train ─┐
    Champion ───────────┴─ Evaluate ─ Gate
                                       ├ register ─ Keep ─ Known
                                       │                    ├ no ─ Register ─ Publish ─ Approval
                                       │                    │                            ├ automatic ─ Deploy
                                       │                    │                            └ manual: end
                                       │                    └ yes: end, nothing new
                                       ├ nothing-new: end (NothingNew)
                                       └ refuse ─ Refuse
"""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

from sagemaker.mlops.workflow.pipeline import Pipeline

from pipeline_definition import conditions, jobs, registry
from pipeline_definition.context import Context


def main_pipeline(context: Context) -> Pipeline:
    """The main pipeline as the SDK's object."""
    prepared = jobs.preprocess(context)
    trained = jobs.train(context, prepared)
    champion = registry.champion(context)
    evaluated = jobs.evaluate(context, prepared, trained, champion.properties.Outputs["champion_uri"])

    kept = registry.keep(context, prepared, trained, evaluated)
    registered = registry.register(context, kept)
    published = registry.publish(context, kept, registered)
    approval = conditions.approval(context, published, registry.deploy(context, registered))
    known = conditions.known(kept, [registered, published, approval])

    return Pipeline(
        name=context.names.pipeline,
        parameters=list(context.parameters.values()),
        steps=[prepared, trained, champion, evaluated, conditions.gate([kept, known])],
        sagemaker_session=context.session,
        # SageMaker Experiments would group the runs a second time; MLflow holds the curves.
        pipeline_experiment_config=None,
    )
