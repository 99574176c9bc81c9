"""Requests and answers of the endpoint: content types and error codes.

Request: an image (``image/jpeg``, ``image/png``, ``image/webp``, ``application/x-image``), or JSON
``{"image": "<base64>"}``, ``{"image_url": "https://…"}``, ``{"instances": [{…}, …]}``.

Answer: ``{"predicted_label": "…", "confidence": 0.97, "probabilities": {…}}``; for a batch
``{"predictions": [{…}, …]}``. Bad input is a 4xx with ``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

JSON = "application/json"
ANY_IMAGE = "application/x-image"
IMAGE_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
CONTENT_TYPES = (*IMAGE_TYPES, ANY_IMAGE, JSON)
ACCEPTS = (JSON,)

#: Error code -> HTTP status. A code never changes its meaning.
ERRORS = {
    "empty_body": 400,
    "bad_json": 400,
    "bad_request": 400,
    "bad_base64": 400,
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
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "internal": 500,
    "not_ready": 503,
    "overloaded": 503,
}

# Environment variables of the serving container, set on the model by ``deployment`` from the settings' ``serving``.
MAX_BODY_VARIABLE = "CVF_MAX_BODY_BYTES"
MAX_PIXELS_VARIABLE = "CVF_MAX_PIXELS"
MAX_INSTANCES_VARIABLE = "CVF_MAX_INSTANCES"
IMAGE_URL_HOSTS_VARIABLE = "CVF_IMAGE_URL_HOSTS"
