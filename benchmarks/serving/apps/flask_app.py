"""Flask, for gunicorn."""

from __future__ import annotations

from flask import Flask, Response, request

from benchmarks.serving.apps import work

app = Flask(__name__)
_answer = work.load()


@app.get("/ping")
def ping() -> Response:
    return Response(status=200)


@app.post("/invocations")
def invocations() -> Response:
    return Response(_answer(request.get_data()), mimetype="application/json")
