"""FastAPI, for uvicorn; the model runs in its pool of threads."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from benchmarks.serving.apps import work

app = FastAPI()
_answer = work.load()


@app.get("/ping")
def ping() -> Response:
    return Response(status_code=200)


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    return Response(await run_in_threadpool(_answer, await request.body()), media_type="application/json")
