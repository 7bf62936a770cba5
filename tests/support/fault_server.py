"""A chat server on the loopback address that answers as asked, counts by content, and fails as planned.

    python tests/support/fault_server.py --seed 1 --faults 0.4 --log FILE --hold NUMBER

prints its port. Every good answer is written to FILE before it is sent. While the file NUMBER is there and FILE has as
many lines as it says, nothing is answered: a test can kill a client there, however slow the test is.
Standard library and aiohttp alone.
"""

import argparse
import asyncio
import hashlib
import json
import random
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

FAULTS = ("429", "500", "503", "timeout", "garbage", "half", "reset", "wrong schema", "not for every number", "fence")
# what it can do besides: refuse, or let an answer end before its end
REFUSALS, CUT = ("400", "402", "too long"), ("half answer", "length", "filter")


@dataclass
class Plan:
    """How the server behaves."""

    faults: float = 0.0  # share of the requests
    kinds: tuple[str, ...] = FAULTS
    seed: int = 0
    delay: float = 0.0
    refuses_schema: bool = False
    usage: object = None  # what a good answer says of its tokens, in place of 100 and 10
    poison: str | None = None  # a question with this word is never answered
    log: Path | None = None
    hold: Path | None = None  # a file: so many good answers are the last while it is there
    good: dict[str, int] = field(default_factory=dict)  # digest of the question: good answers given
    requests: int = 0
    most_at_once: int = 0
    at_once: int = 0
    bodies: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)


def right_answer(question: str) -> str:
    """Deterministic: history where the word stands; else the parts whose last word stands in the sentence, or all."""
    films = re.search(r"X-rays of: (.*)", question)[1].split(", ")
    sentences = re.findall(r"^(\d+): (.*)$", question, re.MULTILINE)
    if "Say of every sentence what it is" in question:
        return json.dumps({n: "history" if "istory" in text else "finding" for n, text in sentences})
    of = {n: [film for film in films if film.split()[-1].lower() in text.lower()] for n, text in sentences}
    return json.dumps({n: parts or films for n, parts in of.items()})


def application(plan: Plan) -> web.Application:
    draw = random.Random(plan.seed)

    async def complete(request: web.Request) -> web.StreamResponse:
        plan.at_once += 1
        plan.requests += 1
        plan.most_at_once = max(plan.most_at_once, plan.at_once)
        try:
            return await answer(request)
        finally:
            plan.at_once -= 1

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        plan.bodies.append(body)
        plan.headers.append(dict(request.headers))
        if plan.refuses_schema and "response_format" in body:
            said = "Unexpected fields in the request: {'response_format'}"
            return web.json_response({"detail": said}, status=422)
        question = body["messages"][-1]["content"]
        if plan.poison and plan.poison in question:
            return web.Response(status=500)
        await asyncio.sleep(plan.delay)
        while held(plan):
            await asyncio.sleep(0.01)
        kind = draw.choice(plan.kinds) if draw.random() < plan.faults else None
        text = right_answer(question)
        if kind == "429":
            return web.Response(status=429, headers={"Retry-After": "0.05"})
        if kind in ("500", "503"):
            return web.Response(status=int(kind), text="Traceback: ...")
        if kind == "timeout":
            await asyncio.sleep(30)
        if kind == "garbage":
            return web.Response(body=b"<html>\xff\x00 502 Bad Gateway</html>", content_type="application/json")
        if kind == "reset":
            request.transport.abort()
            return web.Response()
        whole = json.dumps(envelope(text)).encode()
        if kind == "half":
            response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
            await response.prepare(request)
            await response.write(whole[: len(whole) // 2])
            request.transport.close()
            return response
        if kind == "too long":
            return web.json_response({"error": "maximum context length exceeded"}, status=400)
        if kind in REFUSALS:
            return web.json_response({"error": f"no: {question}"}, status=int(kind))
        if kind == "length":
            cut = envelope("Let me think about")
            cut["choices"][0]["finish_reason"] = "length"
            return web.json_response(cut)
        if kind == "filter":
            cut = envelope(text)
            cut["choices"][0]["finish_reason"] = "content_filter"
            return web.json_response(cut)
        if kind == "half answer":
            text = text[: len(text) // 2]
        elif kind == "wrong schema":
            text = json.dumps({"sentences": [1, 2, 3]})
        elif kind == "not for every number":
            text = json.dumps({})
        else:
            if kind == "fence":
                text = f"```json\n{text}\n```"
            key = hashlib.sha256(json.dumps([body["messages"], body["seed"]]).encode()).hexdigest()
            plan.good[key] = plan.good.get(key, 0) + 1
            if plan.log:
                with plan.log.open("a") as log:
                    log.write(key + "\n")
        return web.Response(text=json.dumps(envelope(text, plan.usage)), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_post("/away/chat/completions", redirect)
    return app


def held(plan: Plan) -> bool:
    try:
        return plan.hold is not None and sum(plan.good.values()) >= int(plan.hold.read_text())
    except FileNotFoundError:
        return False


async def redirect(request: web.Request) -> web.Response:
    return web.Response(status=307, headers={"Location": "http://example.invalid/v1/chat/completions"})


def envelope(text: str, usage: object = None) -> dict:
    message = {"role": "assistant", "content": text}
    usage = usage or {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


async def started(plan: Plan) -> tuple[web.AppRunner, str]:
    """(what to clean up, the address)."""
    runner = web.AppRunner(application(plan), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


async def serve(plan: Plan) -> None:
    _, address = await started(plan)
    print(address, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--hold", type=Path)
    args = parser.parse_args()
    kinds = tuple(kind for kind in FAULTS if kind != "timeout")
    sys.exit(asyncio.run(serve(Plan(args.faults, kinds, args.seed, args.delay, log=args.log, hold=args.hold))))
