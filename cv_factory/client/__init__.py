"""A client for applications: images in, predictions out. It needs boto3 only, and loads it when a Predictor is made.

from cv_factory.client import Predictor

with Predictor("my-endpoint") as predictor:
    print(predictor.predict("photo.jpg").predicted_label)
    for outcome in predictor.predict_many(Path("photos").rglob("*.jpg")):
        print(outcome.image, outcome.prediction or outcome.error)
"""

from cv_factory.client.answers import Outcome, Prediction
from cv_factory.client.errors import DeadlineError, PayloadTooLargeError, PredictionError
from cv_factory.client.payload import MAX_PAYLOAD_BYTES, Image, content_type
from cv_factory.client.predictor import Predictor

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "DeadlineError",
    "Image",
    "Outcome",
    "PayloadTooLargeError",
    "Prediction",
    "PredictionError",
    "Predictor",
    "content_type",
]
