"""When the client sends, sends again, waits, and gives up."""

from __future__ import annotations

import base64
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from contracts.errors import DataError, FactoryError, UsageError
from cv_factory.client import DeadlineError, PayloadTooLargeError, PredictionError, retries
from tests.cv_factory.client.conftest import (
    ANSWER,
    Answer,
    MakePredictor,
    Request,
    Runtime,
    model_error,
    throttled,
)

IMAGE = b"\x89PNG\r\n\x1a\n and so on"


# --- requests ---------------------------------------------------------------------------------------------------------


def test_an_image_goes_as_it_is_and_json_only_where_it_must(
    runtime: Runtime, make_predictor: MakePredictor, tmp_path: Path
) -> None:
    predictor = make_predictor(runtime.port)
    (tmp_path / "a.png").write_bytes(IMAGE)
    for image in (IMAGE, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert predictor.predict(image) == ANSWER
    url = "https://images.example.com/a.png"
    assert predictor.predict_url(url) == predictor.predict(url) == ANSWER
    assert {request.path for request in runtime.requests} == {"/endpoints/eyes/invocations"}
    sent = [(request.content_type, request.body) for request in runtime.requests]
    assert sent == [("image/png", IMAGE)] * 3 + [("application/json", json.dumps({"image_url": url}).encode())] * 2


def test_a_batch_is_one_request_and_keeps_its_order(
    runtime: Runtime, make_predictor: MakePredictor, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    answers = [{**ANSWER, "confidence": share} for share in (0.1, 0.2, 0.3)]
    runtime.script = [Answer(document={"predictions": answers}), Answer(document={"predictions": answers})]
    predictor = make_predictor(runtime.port)
    found = predictor.predict_batch([b"one", tmp_path / "a.png", "https://images.example.com/a.png"])
    assert [answer.confidence for answer in found] == [0.1, 0.2, 0.3]
    (request,) = runtime.requests
    assert json.loads(request.body)["instances"] == [
        {"image": base64.b64encode(b"one").decode()},
        {"image": base64.b64encode(IMAGE).decode()},
        {"image_url": "https://images.example.com/a.png"},
    ]
    with pytest.raises(FactoryError, match="3 predictions for 2 images"):
        predictor.predict_batch([b"one", b"two"])
    assert predictor.predict_batch([]) == [] and len(runtime.requests) == 2


def test_what_is_too_large_is_not_sent_and_the_limit_is_named(
    runtime: Runtime, make_predictor: MakePredictor, tmp_path: Path
) -> None:
    predictor = make_predictor(runtime.port, max_payload_bytes=1000)
    (tmp_path / "big.png").write_bytes(b"x" * 1001)
    for image, name in ((b"x" * 1001, "the image"), (tmp_path / "big.png", "big.png")):
        with pytest.raises(
            PayloadTooLargeError, match=f"{name} has 1,001 bytes; a request may have at most 1,000"
        ) as it:
            predictor.predict(image)
        assert (it.value.status, it.value.code) == (413, "body_too_large")
    for images in ([b"x" * 800], [b"x" * 400] * 2, [b"x" * 600] * 100):
        with pytest.raises(PayloadTooLargeError, match="base64 adds a third; at most 1,000 bytes are allowed") as it:
            predictor.predict_batch(images)
        assert "predict_many" in it.value.hint
    assert runtime.requests == []
    assert predictor.predict(b"x" * 1000) == ANSWER


def test_sagemakers_own_limit_is_the_default(runtime: Runtime, make_predictor: MakePredictor) -> None:
    predictor = make_predictor(runtime.port)
    predictor.predict(b"x" * 6_291_456)
    with pytest.raises(PayloadTooLargeError, match="6,291,456"):
        predictor.predict(b"x" * 6_291_457)


def test_wrong_arguments_are_said(runtime: Runtime, make_predictor: MakePredictor, tmp_path: Path) -> None:
    predictor = make_predictor(runtime.port)
    with pytest.raises(DataError, match=r"none\.png cannot be read: No such file or directory"):
        predictor.predict(tmp_path / "none.png")
    with pytest.raises(DataError, match="Is a directory"):
        predictor.predict(tmp_path)
    with pytest.raises(UsageError, match="no https URL"):
        predictor.predict_url("http://images.example.com/a.png")
    with pytest.raises(UsageError, match="must be above 0"):
        make_predictor(runtime.port, deadline=0)
    assert runtime.requests == []


# --- errors and retries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turned_away",
    [
        throttled(),
        Answer(400, {"message": "Rate exceeded"}, "ThrottlingException"),
        Answer(429, {"Message": "…"}, "ModelNotReadyException"),
        model_error(503, "overloaded"),
    ],
    ids=["throttled", "throttled-400", "not-ready", "overloaded"],
)
def test_what_was_turned_away_for_lack_of_room_is_sent_again(
    runtime: Runtime, make_predictor: MakePredictor, turned_away: Answer
) -> None:
    runtime.script = [turned_away] * 3
    assert make_predictor(runtime.port).predict(IMAGE) == ANSWER
    assert len(runtime.requests) == 4 and len(set(runtime.requests)) == 1


@pytest.mark.parametrize(
    ("answer", "status", "code", "message"),
    [
        (model_error(400, "bad_image", "No JPEG."), 400, "bad_image", "No JPEG."),
        (model_error(500, "internal"), 500, "internal", "No."),
        (model_error(503, "not_ready"), 503, "not_ready", "No."),
        (Answer(424, {"OriginalStatusCode": 502, "OriginalMessage": "<html>"}, "ModelError"), 502, "", "<html>"),
        (Answer(500, {"Message": "Oh."}, "InternalFailure"), 500, "InternalFailure", "Oh."),
        (Answer(503, {"Message": "Later."}, "ServiceUnavailable"), 503, "ServiceUnavailable", "Later."),
        (Answer(400, {"Message": "Odd."}, "ValidationError"), 400, "ValidationError", "Odd."),
        (Answer(0), 0, "no_answer", "the connection was closed before the answer was there"),
    ],
)
def test_what_may_have_been_worked_on_is_not_sent_again(
    runtime: Runtime, make_predictor: MakePredictor, answer: Answer, status: int, code: str, message: str
) -> None:
    runtime.script = [answer]
    with pytest.raises(PredictionError) as caught:
        make_predictor(runtime.port).predict(IMAGE)
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, code, message)
    assert message in str(caught.value) and len(runtime.requests) == 1


def test_what_concerns_the_endpoint_or_the_caller_is_no_error_of_the_image(
    runtime: Runtime, make_predictor: MakePredictor
) -> None:
    predictor = make_predictor(runtime.port, connections=2)
    missing = Answer(400, {"Message": "Endpoint eyes of account 1 not found."}, "ValidationError")
    runtime.answer = lambda _: missing
    for call in (lambda: predictor.predict(IMAGE), lambda: list(predictor.predict_many([IMAGE] * 100))):
        with pytest.raises(FactoryError, match="endpoint eyes: Endpoint eyes of account 1 not found") as caught:
            call()
        assert not isinstance(caught.value, PredictionError) and "cv-factory status" in caught.value.hint
    assert len(runtime.requests) < 20
    runtime.answer = lambda _: Answer(403, {"Message": "no"}, "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        predictor.predict(IMAGE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def test_a_request_that_found_no_connection_is_sent_when_there_is_one(make_predictor: MakePredictor) -> None:
    port = free_port()
    found: list[object] = []
    asking = threading.Thread(target=lambda: found.append(make_predictor(port).predict(IMAGE)))
    asking.start()
    asking.join(0.3)  # it is refused meanwhile
    assert asking.is_alive()
    runtime = Runtime(port)
    asking.join(30)
    runtime.close()
    assert found == [ANSWER] and len(runtime.requests) == 1


def test_pauses_are_random_below_a_ceiling_that_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    random.seed(1)

    def attempt(deadline: retries.Deadline) -> None:
        if len(pauses) < 200:
            raise PredictionError(429, "ThrottlingException", "")

    retries.call(attempt, retries.Deadline.after(1000))
    ceilings = [min(0.1 * 2**number, 5.0) for number in range(200)]
    assert all(0 <= pause <= ceiling for pause, ceiling in zip(pauses, ceilings, strict=True))
    late = pauses[10:]
    assert min(late) < 1 and max(late) > 4 and 2 < sum(late) / len(late) < 3


# --- the deadline -----------------------------------------------------------------------------------------------------


def test_throttling_without_end_ends_at_the_deadline_with_its_own_error(
    runtime: Runtime, make_predictor: MakePredictor
) -> None:
    runtime.answer = lambda _: throttled()
    start = time.monotonic()
    with pytest.raises(PredictionError, match="Rate exceeded") as caught:
        make_predictor(runtime.port, deadline=1.0).predict(IMAGE)
    assert (caught.value.status, caught.value.code) == (429, "ThrottlingException")
    assert time.monotonic() - start < 5 and len(runtime.requests) > 1


def test_no_connection_until_the_deadline(make_predictor: MakePredictor) -> None:
    with pytest.raises(EndpointConnectionError):
        make_predictor(free_port(), deadline=0.5).predict(IMAGE)


def test_an_endpoint_that_hangs_costs_no_more_than_the_deadline(
    runtime: Runtime, make_predictor: MakePredictor
) -> None:
    """Also when most of it was spent before: the second try waits only for what is left."""
    ended = threading.Event()
    runtime.script = [throttled(lambda: time.sleep(3.5)), Answer(before=lambda: ended.wait(30))]
    predictor = make_predictor(runtime.port, deadline=4)
    start = time.monotonic()
    with pytest.raises(DeadlineError, match="no answer within 4 s") as caught:
        predictor.predict(IMAGE)
    assert 3.9 < time.monotonic() - start < 7 and caught.value.code == "deadline"
    ended.set()
    assert len(runtime.requests) == 2


# --- connections and many images --------------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(runtime: Runtime, make_predictor: MakePredictor) -> None:
    predictor = make_predictor(runtime.port)
    runtime.script = [model_error(400, "bad_image"), throttled()]
    with pytest.raises(PredictionError):
        predictor.predict(IMAGE)
    for _ in range(20):
        predictor.predict(IMAGE)
    assert (len(runtime.requests), runtime.connections) == (22, 1)


def test_many_images_are_asked_at_once_and_answered_in_order(runtime: Runtime, make_predictor: MakePredictor) -> None:
    def answer(request: Request) -> Answer:
        number = int(request.body)
        if number % 7 == 3:
            return model_error(400, "bad_image", f"image {number}")
        pause = 0.03 * (number % 4)
        return Answer(document={**ANSWER, "confidence": number / 100}, before=lambda: time.sleep(pause))

    runtime.answer = answer
    predictor = make_predictor(runtime.port, connections=3)
    outcomes = list(predictor.predict_many(str(number).encode() for number in range(40)))
    assert [outcome.image for outcome in outcomes] == [str(number).encode() for number in range(40)]
    for number, outcome in enumerate(outcomes):
        if number % 7 == 3:
            assert outcome.prediction is None and str(outcome.error).endswith(f"image {number}")
        else:
            assert outcome.error is None and outcome.prediction is not None
            assert outcome.prediction.confidence == number / 100
    assert 2 <= runtime.most <= 3 and runtime.connections <= 3


def test_images_are_read_when_their_turn_comes(runtime: Runtime, make_predictor: MakePredictor) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield str(number).encode()

    outcomes = make_predictor(runtime.port, connections=2).predict_many(endless())
    for _ in range(10):
        next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert taken <= 10 + 2 * 2 and len(runtime.requests) <= taken


def test_a_file_that_cannot_be_read_is_one_outcome_of_many(
    runtime: Runtime, make_predictor: MakePredictor, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    found = list(make_predictor(runtime.port).predict_many([tmp_path / "a.png", tmp_path / "none.png", IMAGE]))
    assert [outcome.error is None for outcome in found] == [True, False, True]
    assert "none.png cannot be read" in str(found[1].error)


def test_several_threads_share_a_predictor(runtime: Runtime, make_predictor: MakePredictor) -> None:
    """Each call has its own deadline."""
    ended = threading.Event()
    runtime.answer = lambda request: Answer(before=lambda: ended.wait(30)) if request.body == b"slow" else Answer()
    predictor = make_predictor(runtime.port, deadline=1.5)
    errors: list[Exception] = []

    def slow() -> None:
        try:
            predictor.predict(b"slow")
        except DeadlineError as error:
            errors.append(error)

    waiting = [threading.Thread(target=slow) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert all(predictor.predict(IMAGE) == ANSWER for _ in range(10))
    for thread in waiting:
        thread.join()
    ended.set()
    assert len(errors) == 3
