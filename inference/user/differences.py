"""Where the server's answers differ from the stock toolkit's, on purpose; docs/generate.py writes the list into docs.

Each entry with a key that a case of ``tests/contract/serving/cases.py`` names was seen on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """What the toolkit does, what the server does instead, and what that protects."""

    toolkit: str
    ours: str
    why: str


DIFFERENCES: dict[str, Difference] = {
    "pickle": Difference(
        "An `.npy` body with Python objects is unpickled.",
        "400. Neither the server nor `sagemaker_inference.decoder` as user code imports it unpickles.",
        "A request could run any code.",
    ),
    "errors": Difference(
        "Every error but the toolkit's own classes is a 500.",
        "What the client caused is 400, 405, 406 or 415; no memory is 507. `ValueError` in `input_fn` is a 400.",
        "Alarms on 5xx mean something, and clients know what not to repeat.",
    ),
    "bodies": Difference(
        "An error's body is its text and a traceback.",
        '`{"error": {"code", "message"}}`. Only the message of a `BaseInferenceToolkitError` reaches the client.',
        "Exception texts hold paths, data and secrets.",
    ),
    "sparse": Difference(
        "SciPy and boto3 are in the image; an `.npz` body is a sparse matrix.",
        "Neither is, and such a body is a 415, unless `code/requirements.txt` brings SciPy. Code that imports them"
        " names them there.",
        "They are 120 MB of the toolkit's weight, and no credentials are used where no SDK is.",
    ),
    "nan": Difference(
        "NaN and infinity leave as `NaN` in JSON.", "500 and a line in the log.", "That is no JSON; clients fail on it."
    ),
    "parameters": Difference(
        "`application/json; charset=utf-8` has no decoder.",
        "It is JSON; `input_fn` gets the bare type of JSON and CSV, else the whole header. Another charset is a 415.",
        "Most HTTP clients send it.",
    ),
    "accept": Difference(
        "`q` values and `application/*` are not understood.",
        "The default encoders choose by RFC 9110. A user's `output_fn` gets the header as it is.",
        "A valid header is no error.",
    ),
    "names": Difference(
        "`CONTENT-TYPE` is not found, `ContentTypeX` is.",
        "A header is found by its whole name, in any case.",
        "RFC 9110.",
    ),
    "arity": Difference(
        "A third argument of `predict_fn` gets the context, whatever it is; `*args` and keyword-only arguments fail.",
        "An argument with a default gets the context only if it is called `context` or `ctx`; keyword-only works. What"
        " cannot be called ends the start.",
        '`device="cpu"` stays what it is, and a mistake is not found by the first request.',
    ),
    "coroutines": Difference("`async def` functions are not awaited.", "They are.", "They work."),
    "management": Difference(
        "`/models` on the port of the requests loads and removes models.",
        "404. `SAGEMAKER_MULTI_MODEL=true` is refused at the start.",
        "Whoever may predict must not change what is served.",
    ),
    "health": Difference(
        "`/ping` is 200 before the model is loaded, when it cannot be loaded, and when its worker is dead.",
        "503 until `model_fn` and `model_warmup_fn` are done. A model that cannot be loaded ends the start: code 1.",
        "SageMaker looks at the status.",
    ),
    "stop": Difference(
        "SIGTERM cuts the requests in flight.",
        "They are answered, for 24 seconds; ping is 503.",
        "No update loses one.",
    ),
    "timeout": Difference(
        "`SAGEMAKER_MODEL_SERVER_TIMEOUT` (minutes) defaults to an hour, and kills the worker with a 500.",
        "Both variables mean the same; without them it is `serving.deadline_seconds`, and a 503. When every thread is"
        " late, ping is 503.",
        "A request that hangs must be seen.",
    ),
    "multipart": Difference(
        "A multipart form is taken apart; `input_fn` then gets nothing.",
        "`input_fn` gets the whole body, and its boundary in the content type.",
        "What was sent can be read.",
    ),
    "context": Difference(
        "One context for all requests of a worker.", "One for each request.", "Threads never see each other's headers."
    ),
    "module": Difference(
        "The module is imported by its name.",
        "One that is called `inference` or `contracts` has a private name: other files of the bundle cannot import it.",
        "These are the server's own packages.",
    ),
    "program": Difference(
        "A `SAGEMAKER_PROGRAM` that is not found is ignored; `src/x.py` never is found.",
        "`src/x.py` is found in `code/`; what is not there ends the start.",
        "Not the wrong code is served.",
    ),
    "codeartifact": Difference(
        "`CA_REPOSITORY_ARN` asks AWS for a token.",
        "It ends the start: use `PIP_INDEX_URL`.",
        "No AWS SDK in the image.",
    ),
    "unused": Difference(
        "`SAGEMAKER_MODEL_SERVER_VMARGS` goes to Java; `SAGEMAKER_HANDLER` names a handler of the model server.",
        "Neither has a meaning.",
        "There is no Java.",
    ),
}
