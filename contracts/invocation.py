"""Requests and answers of the endpoint: content types and error codes.

Request: an image (``image/jpeg``, ``image/png``, ``image/webp``, ``application/x-image``), or JSON
``{"image": "<base64>"}``, ``{"image_url": "https://…"}``, ``{"instances": [{…}, …]}``, or ``application/jsonlines``
with one of the first two documents a line. The body may be gzip.

Answer: ``{"predicted_label": "…", "confidence": 0.97, "probabilities": {…}}``; for a batch
``{"predictions": [{…}, …]}``; for JSON Lines an answer or an error a line. Bad input is a 4xx with
``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

JSON = "application/json"
JSON_LINES = "application/jsonlines"
ANY_IMAGE = "application/x-image"
IMAGE_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
CONTENT_TYPES = (*IMAGE_TYPES, ANY_IMAGE, JSON, JSON_LINES)
ACCEPTS = (JSON,)

#: Error code -> HTTP status. A code never changes its meaning.
ERRORS = {
    "empty_body": 400,
    "bad_json": 400,
    "bad_request": 400,
    "bad_base64": 400,
    "bad_encoding": 400,
    "bad_image": 400,
    "too_many_pixels": 400,
    "too_many_frames": 400,
    "too_many_instances": 400,
    "image_url_disabled": 400,
    "image_url_refused": 400,
    "image_url_failed": 400,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "request_timeout": 408,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "headers_too_large": 431,
    "internal": 500,
    "not_ready": 503,
    "overloaded": 503,
    "deadline_exceeded": 503,
    "out_of_memory": 507,
}

# Environment variables of the serving container, set on the model by ``deployment`` from the settings' ``serving``.
MAX_BODY_VARIABLE = "CVF_MAX_BODY_BYTES"
MAX_PIXELS_VARIABLE = "CVF_MAX_PIXELS"
MAX_FRAMES_VARIABLE = "CVF_MAX_FRAMES"
MAX_INSTANCES_VARIABLE = "CVF_MAX_INSTANCES"
MAX_JSON_DEPTH_VARIABLE = "CVF_MAX_JSON_DEPTH"
MAX_HEADERS_VARIABLE = "CVF_MAX_HEADERS"
MAX_HEADER_BYTES_VARIABLE = "CVF_MAX_HEADER_BYTES"
QUEUE_VARIABLE = "CVF_QUEUE"
DEADLINE_VARIABLE = "CVF_DEADLINE_SECONDS"
READ_VARIABLE = "CVF_READ_SECONDS"
LOG_SHARE_VARIABLE = "CVF_LOG_SHARE"
#: Which of the bundle's graphs is served, ``float32`` or ``int8``: what the package's evaluation chose.
PRECISION_VARIABLE = "CVF_PRECISION"
IMAGE_URL_HOSTS_VARIABLE = "CVF_IMAGE_URL_HOSTS"

# Set by hand where a server runs outside SageMaker: threads that answer at once (of each process), and the port of the
# Prometheus page (none unless set).
THREADS_VARIABLE = "CVF_THREADS"
METRICS_PORT_VARIABLE = "CVF_METRICS_PORT"
