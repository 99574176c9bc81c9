"""One execution: its steps' states and how they change.

Only the interpreter's thread works on a :class:`Run`. Each transition is stored before it is acted on, together with
its event, so that after a ``kill -9`` the next start knows what was about to happen.

What follows a failure: nothing new is started, what is running runs to its end, then the execution is Failed. (AWS's
pages do not say whether independent branches go on; a definition that relies on it is not portable.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from local_sagemaker.errors import ApiError
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.pipelines import events, graph, records, retries
from local_sagemaker.pipelines.definition import JOB_STEPS, Definition, Step
from local_sagemaker.pipelines.expressions import CannotResolve
from local_sagemaker.pipelines.steps import ACTIONS, jobs
from local_sagemaker.pipelines.steps.base import Began, Context, Failed, Outcome, Succeeded
from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

#: MaxParallelExecutionSteps of an execution that names none.
PARALLEL = 50
LONGEST_REASON = 1024
#: AWS's FailureReason of an execution.
STEPS_FAILED = "Step failure: One or multiple steps failed."

_RUNNING = ("Starting", "Executing", "Stopping")


class Engine(Protocol):
    """What a run asks of the interpreter."""

    def act(self, run: Run, step: str, attempt: int, action: Callable[[], Outcome]) -> None:
        """Do ``action`` in another thread, then call ``run.acted(step, attempt, outcome)`` in the interpreter's."""

    def watch_job(self, run: Run, step: str, key: tuple[str, str, str]) -> None:
        """Call ``run.job_ended(step, name in the key)`` when that job has ended."""

    def at(self, instant: float, run: Run, step: str) -> None:
        """Call ``run.try_again(step)`` at that time of the server's clock."""


class Run:
    """The execution ``record``, with the steps that a restart finds in the store."""

    def __init__(self, platform: Platform, engine: Engine, record: Record) -> None:
        self._platform = platform
        self._engine = engine
        self.region = record.region
        self.id = record.name
        self._execution = record.body
        self._definition: Definition = records.definition_of(platform.store, record)
        found = platform.store.list(records.STEP, self.region, prefix=f"{self.id}/")
        self._steps: dict[str, dict[str, Any]] = {item.body["StepName"]: item.body for item in found}

    @property
    def ended(self) -> bool:
        return self._execution["PipelineExecutionStatus"] in records.ENDED

    # from outside

    def resume(self) -> None:
        """Go on after a restart: wait for what still runs, do again what was only intended."""
        for name, state in list(self._steps.items()):
            if state["StepStatus"] not in _RUNNING:
                continue
            step = self._definition.steps[name]
            if "RetryAt" in state:
                self._engine.at(state["RetryAt"], self, name)
            elif step.type in JOB_STEPS and (job := self._job(step, state)) is not None:
                self._engine.watch_job(self, name, self._job_key(step, state))
                if state["StepStatus"] == "Starting":
                    self._put(name, StepStatus="Executing", Metadata=jobs.metadata(step.type, job.body["Arn"]))
                self.job_ended(name, state["JobName"].lower())
            else:
                self._act(step, state)
        self.advance()

    def advance(self) -> None:
        """Start what can start, stop what must stop, and end the execution when nothing is left."""
        self._reload()
        if self.ended:
            return
        stopping = self._execution["PipelineExecutionStatus"] == "Stopping"
        if stopping:
            self._stop_steps()
        elif not self._with("Failed", "Stopped"):
            self._start_steps()
        if not self._with(*_RUNNING):
            self._finish(stopping)

    def acted(self, name: str, attempt: int, outcome: Outcome) -> None:
        """An action has ended."""
        state = self._steps[name]
        if state["AttemptCount"] != attempt or state["StepStatus"] not in _RUNNING:
            return
        match outcome:
            case Began(metadata, key):
                self._put(name, StepStatus="Executing", Metadata=metadata, CacheKey=key)
                self.job_ended(name, state["JobName"].lower())
                self.advance()
            case Succeeded():
                self._succeed(name, outcome)
            case Failed():
                self._fail(name, outcome)

    def job_ended(self, name: str, job_name: str) -> None:
        """Take over a job's end, if it has ended and its step knows that it began."""
        state = self._steps[name]
        step = self._definition.steps[name]
        record = self._job(step, state)
        if (
            state["JobName"].lower() != job_name
            or state["StepStatus"] not in ("Executing", "Stopping")
            or record is None
        ):
            return
        body = record.body
        if body["Status"] == "Completed":
            outcome = Succeeded(state["Metadata"], jobs.properties(record), state.get("CacheKey"))
            self._succeed(name, outcome)
        elif body["Status"] == "Failed":
            reason = body["FailureReason"]
            self._fail(name, Failed(reason, retries.of_failure_reason(reason), state["Metadata"]))
        elif body["Status"] == "Stopped":
            if self._execution["PipelineExecutionStatus"] == "Stopping":
                self._end(name, "Stopped")
                self.advance()
            else:
                self._fail(name, Failed(_why_stopped(step, body), metadata=state["Metadata"]))

    def try_again(self, name: str) -> None:
        """The pause before a retry is over."""
        state = self._steps.get(name)
        if state is None or "RetryAt" not in state or state["StepStatus"] not in _RUNNING:
            return
        self._start(self._definition.steps[name])

    # steps

    def _start_steps(self) -> None:
        succeeded = set(self._with("Succeeded"))
        outcomes = {name: self._steps[name]["Branch"] for name in succeeded if "Branch" in self._steps[name]}
        parallel = (self._execution.get("ParallelismConfiguration") or {}).get("MaxParallelExecutionSteps", PARALLEL)
        free = parallel - len(self._with(*_RUNNING))
        for name in graph.ready(self._definition.steps, self._steps, succeeded, outcomes)[: max(0, free)]:
            self._start(self._definition.steps[name])

    def _start(self, step: Step) -> None:
        """Store a new try, then act."""
        state = self._steps.get(step.name)
        attempt = state["AttemptCount"] + 1 if state else 1
        job_name = jobs.choose_name(self.id, step)
        if state is None:
            shown = {"StepDisplayName": step.raw.get("DisplayName"), "StepDescription": step.raw.get("Description")}
            self._put(
                step.name, StepName=step.name, Type=step.type, StepStatus="Starting", JobName=job_name,
                StartTime=self._platform.clock.time(), AttemptCount=attempt,
                **{key: value for key, value in shown.items() if value},
            )  # fmt: skip
        else:
            self._put(step.name, StepStatus="Starting", JobName=job_name, AttemptCount=attempt, RetryAt=None)
        self._act(step, self._steps[step.name])

    def _act(self, step: Step, state: Mapping[str, Any]) -> None:
        if step.type in JOB_STEPS:
            self._engine.watch_job(self, step.name, self._job_key(step, state))
        context = Context(
            self._platform, self.region, self._execution, self._definition, step,
            lambda name: self._steps[name].get("Properties", {}), lambda key: self._cached(step, key),
            state["JobName"], state["AttemptCount"],
        )  # fmt: skip
        self._engine.act(self, step.name, state["AttemptCount"], lambda: _safely(context))

    def _succeed(self, name: str, outcome: Succeeded) -> None:
        step = self._definition.steps[name]
        more: dict[str, Any] = {"Properties": outcome.properties}
        if outcome.branch is not None:
            more["Branch"] = outcome.branch
        if outcome.source is not None:
            more["CacheHitResult"] = {"SourcePipelineExecutionArn": outcome.source}
        with self._platform.store.transaction():
            if outcome.key is not None:
                self._keep_in_cache(step, outcome)
            self._end(name, "Succeeded", Metadata=outcome.metadata, **more)
        self.advance()

    def _fail(self, name: str, outcome: Failed) -> None:
        state = self._steps[name]
        if outcome.metadata:
            self._put(name, Metadata=outcome.metadata)
        if self._execution["PipelineExecutionStatus"] == "Executing" and outcome.kind is not None:
            found = retries.find(self._definition.steps[name].retry_policies, outcome.kind)
            if found is not None and self._retry(name, state, *found):
                return
        self._end(name, "Failed", FailureReason=outcome.reason[:LONGEST_REASON], Message=outcome.message)
        self.advance()

    def _retry(self, name: str, state: Mapping[str, Any], number: int, policy: retries.Policy) -> bool:
        now = self._platform.clock.time()
        counts: dict[str, int] = dict(state.get("Retries", {}))
        delay = policy.delay(counts.get(str(number), 0), now - state["StartTime"])
        if delay is None:
            return False
        counts[str(number)] = counts.get(str(number), 0) + 1
        self._put(name, Retries=counts, RetryAt=now + delay)
        self._engine.at(now + delay, self, name)
        return True

    def _stop_steps(self) -> None:
        for name in self._with(*_RUNNING):
            step, state = self._definition.steps[name], self._steps[name]
            if "RetryAt" in state:
                self._end(name, "Stopped")
            elif step.type in JOB_STEPS and state["StepStatus"] == "Executing":
                self._put(name, StepStatus="Stopping")
                record = self._job(step, state)
                if record is not None and self._may_stop(name, step, record):
                    self._platform.jobs.request_stop(record.kind, record)
                    self.job_ended(name, state["JobName"].lower())

    def _may_stop(self, name: str, step: Step, record: Record) -> bool:
        role, arn = self._execution["RoleArn"], record.body["Arn"]
        try:
            workloads.check_stopping(self._platform, role, record.region, f"{step.type}Job", arn)
        except Denied as error:
            self._end(name, "Failed", FailureReason=f"ClientError: {error}"[:LONGEST_REASON])
            return False
        return True

    # the cache

    def _cache_name(self, step: Step, key: str) -> str:
        return f"{self._execution['Pipeline']}/{step.name}/{key}"

    def _cached(self, step: Step, key: str) -> Mapping[str, Any] | None:
        record = self._platform.store.get(records.CACHE, self.region, self._cache_name(step, key))
        limit = step.cache_seconds
        if record is None or limit is None or self._platform.clock.time() - record.body["EndTime"] > limit:
            return None
        return record.body

    def _keep_in_cache(self, step: Step, outcome: Succeeded) -> None:
        store, name = self._platform.store, self._cache_name(step, str(outcome.key))
        body = {
            "Metadata": outcome.metadata, "Properties": outcome.properties, "EndTime": self._platform.clock.time(),
            "Source": self._execution["PipelineExecutionArn"],
        }  # fmt: skip
        store.delete(records.CACHE, self.region, name)
        store.insert(records.CACHE, self.region, name, body)

    # the store

    def _with(self, *statuses: str) -> list[str]:
        return [name for name, state in self._steps.items() if state["StepStatus"] in statuses]

    def _job_key(self, step: Step, state: Mapping[str, Any]) -> tuple[str, str, str]:
        return jobs.KINDS[step.type], self.region, state["JobName"].lower()

    def _job(self, step: Step, state: Mapping[str, Any]) -> Record | None:
        return self._platform.store.get(*self._job_key(step, state))

    def _end(self, name: str, status: str, **more: Any) -> None:
        self._put(name, StepStatus=status, EndTime=self._platform.clock.time(), RetryAt=None, **more)

    def _put(self, name: str, **changes: Any) -> None:
        """Store a step's new state and its event; a value of None takes a member away."""
        store, full_name = self._platform.store, f"{self.id}/{name}"
        before = self._steps.get(name)
        after = {key: value for key, value in {**(before or {}), **changes}.items() if value is not None}
        with store.transaction():
            if before is None:
                store.insert(records.STEP, self.region, full_name, after)
            else:
                store.update(records.STEP, self.region, full_name, lambda body: _replace(body, after))
            previous = before["StepStatus"] if before else None
            if previous != after["StepStatus"]:
                events.step_changed(self._platform, self.region, self._execution, after, previous)
        self._steps[name] = after

    def _reload(self) -> None:
        record = self._platform.store.get(records.EXECUTION, self.region, self.id)
        if record is not None:
            self._execution = record.body

    def _finish(self, stopping: bool) -> None:
        failed = self._with("Failed")
        status = "Failed" if failed else "Stopped" if stopping else "Succeeded"
        messages = [self._steps[name]["Message"] for name in failed if "Message" in self._steps[name]]
        reason = (messages[0] or STEPS_FAILED) if messages else STEPS_FAILED if failed else None
        set_status(self._platform, self.region, self.id, status, reason)
        self._reload()


def set_status(platform: Platform, region: str, execution_id: str, status: str, reason: str | None = None) -> None:
    """Move an execution to another status: stored, with its event."""
    previous = ""

    def change(body: dict[str, Any]) -> None:
        nonlocal previous
        previous = body["PipelineExecutionStatus"]
        body["PipelineExecutionStatus"] = status
        if status in records.ENDED:
            body["EndTime"] = platform.clock.time()
        if reason is not None:
            body["FailureReason"] = reason[:LONGEST_REASON]

    with platform.store.transaction():
        record = platform.store.update(records.EXECUTION, region, execution_id, change)
        events.execution_changed(platform, region, record.body, previous)


def _safely(context: Context) -> Outcome:
    """The action's outcome; what goes wrong in it is the step's failure, not the interpreter's."""
    try:
        return ACTIONS[context.step.type](context)
    except CannotResolve as error:
        return Failed(f"ClientError: {error}")
    except ApiError as error:
        return Failed(f"ClientError: {error.message}", retries.of_api_error(error.code, error.status))
    except Exception:
        _log.exception("step %s of %s", context.step.name, context.execution["PipelineExecutionArn"])
        return Failed("InternalServerError: We encountered an internal error. Please try again.", retries.SERVICE_FAULT)


def _replace(body: dict[str, Any], new: dict[str, Any]) -> None:
    body.clear()
    body.update(new)


def _why_stopped(step: Step, body: Mapping[str, Any]) -> str:
    """The failure of a step whose job was stopped by something else than the execution."""
    if body["SecondaryStatus"] == "MaxRuntimeExceeded":
        limit = (body["Request"].get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
        return f"ClientError: {step.type} job runtime exceeded MaxRuntimeInSeconds provided ({limit} seconds)"
    return f"ClientError: The {step.type.lower()} job {body['Arn']} was stopped."
