"""LitServe, two workers. It takes JSON, so the body travels as base64."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve  # type: ignore[import-not-found]

from benchmarks.serving.apps import work


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.answer = work.load()

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["data"])

    def predict(self, x: bytes) -> str:
        return str(self.answer(x))

    def encode_response(self, output: str) -> Any:
        return {"answer": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/invocations"), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
