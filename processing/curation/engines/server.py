"""A model behind an OpenAI-compatible server: vLLM, llama.cpp, TGI, `transformers serve`, or a hosted one.

The report travels to that address, so one that is not this machine's own is only asked where the caller has said so.
"""

import asyncio
import email.utils
import ipaddress
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit

from ..answers import ends_early
from ..asking import Question
from ..schema import EngineError, RefusedError
from .cache import Reply

LARGEST_ANSWER = 2**20  # bytes
TRY_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
OF_THE_CALLER = {  # no retry and no other question would help
    402: "the account has no credit left",
    401: "the server does not accept the key; name the variable that holds it with --key-variable",
    403: "the key may not use this model",
    404: "the server has no such address or model; the address ends in /v1 as a rule",
    405: "this is no OpenAI-compatible server",
    410: "the model is not served any more",
    451: "the server may not answer here, for legal reasons",
    407: "a proxy asks for a password; the server has to be reached without one",
}
# words in a refusal that speak of the schema and not of the question
ABOUT_THE_SCHEMA = ("response_format", "json_schema", "structured", "guided", "grammar", "unexpected fields")
# words in a refusal that speak of a question that is too long
ABOUT_THE_LENGTH = (
    "context length",
    "context_length",
    "maximum context",
    "context size",
    "too long",
    "too many tokens",
)
FINISHED = {None, "", "stop", "eos_token", "stop_sequence", "end_turn"}  # any other end cut the answer short
MOST_TOKENS = 10**9  # of an answer, as a server may say; more, or what is no number, counts as none
FIRST_WAIT, LONGEST_WAIT, LONGEST_ASKED_WAIT = 0.5, 60.0, 600.0  # seconds; the last: what Retry-After may say
TOO_MANY, PATIENCE = "status 429", 20  # a question may be told to wait that many times as often as it may fail

Structured = Literal["auto", "json_schema", "none"]


class ServerGoneError(OSError):
    """Nobody answers any more, whatever is asked."""


@dataclass(frozen=True)
class ServerSettings:
    """Where the server is and how it is asked. No key stands here: it is read from the variable when it is used."""

    url: str  # http://127.0.0.1:8000/v1
    model: str  # as the server names it
    licence: str  # of the model, as the Hub spells it
    key_variable: str | None = None
    allow_remote: bool = False
    structured: Structured = "auto"  # auto: a schema is sent until the server refuses it
    connections: int = 16
    requests_a_minute: float | None = None
    timeout: float = 120.0  # seconds for one answer
    tries: int = 8

    def __post_init__(self):
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{self.url!r} is no address of a server; one looks like http://127.0.0.1:8000/v1")
        if parts.username or parts.password:
            raise ValueError("the address holds a password; put it into an environment variable and name that")
        if not is_loopback(parts.hostname) and not self.allow_remote:
            raise ValueError(
                f"{parts.hostname} is not this machine, and the reports would be sent there; say --allow-remote if "
                "whoever answers for the patients has agreed"
            )
        if not is_loopback(parts.hostname) and parts.scheme != "https" and not is_private(parts.hostname):
            raise ValueError(f"{self.url} is http, so everybody on the way could read the reports; use https")
        if self.structured not in ("auto", "json_schema", "none"):
            raise ValueError(f"structured is {self.structured!r}; choose auto, json_schema, none")
        if self.connections < 1 or self.tries < 1 or self.timeout <= 0:
            raise ValueError("connections and tries are at least 1, and the timeout is above 0 seconds")
        if self.requests_a_minute is not None and self.requests_a_minute <= 0:
            raise ValueError(f"requests_a_minute is {self.requests_a_minute}; it is above 0, or None for no limit")


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on the machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str) -> bool:
    """Whether the host is an address of a house's own network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


@dataclass
class Counts:
    """What happened on the wire, in this process."""

    requests: int = 0
    retries: int = 0
    answers: int = 0
    waits_asked_for: int = 0  # 429 and Retry-After
    reasons: dict[str, int] = field(default_factory=dict)  # of the retries


class ServerChat:
    """Completes conversations over HTTP; open it with `async with`. Redirects and proxies are not followed."""

    def __init__(self, settings: ServerSettings):
        self.how = settings
        self.model, self.licence = settings.model, settings.licence
        self.counts = Counts()
        self.sends_schema = settings.structured != "none"
        self._session: Any = None
        self._not_before = 0.0  # nobody asks until then: the server said so
        self._next_slot = 0.0
        self._random = random.Random()

    @property
    def settings(self) -> dict[str, Any]:
        return {"structured": self.how.structured, "temperature": "0, then 0.7"}

    async def __aenter__(self) -> "ServerChat":
        try:
            import aiohttp
        except ImportError as error:
            raise ImportError('the server engine needs aiohttp: pip install "pedclip[curate]"') from error
        headers = {"Accept": "application/json"}
        if self.how.key_variable is not None:
            key = os.environ.get(self.how.key_variable, "").strip()
            if not key:
                raise ValueError(f"the variable {self.how.key_variable} is empty; it should hold the server's key")
            headers["Authorization"] = f"Bearer {key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=self.how.connections),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=30, sock_read=self.how.timeout),
            trust_env=False,  # no proxy, no .netrc
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def complete(self, question: Question, attempt: int) -> Reply:
        """The server's answer. EngineError: not to this question. ServerGoneError: to none."""
        answers_before = self.counts.answers
        failures = told_to_wait = 0
        reason = ""
        while failures < self.how.tries and told_to_wait < self.how.tries * PATIENCE:
            if reason:
                self._count_retry(reason)
                await asyncio.sleep(self._wait(failures + min(told_to_wait, 5)))
            await self._turn()
            outcome = await self._once(question, attempt)
            if isinstance(outcome, Reply):
                self.counts.answers += 1
                return outcome
            reason = outcome
            if reason == TOO_MANY:  # a busy server is no failure of this question
                told_to_wait += 1
            else:
                failures += 1
            if failures <= self.how.tries // 2:
                answers_before = self.counts.answers
        # Others were answered during the later half of the tries: it is this question. What came in before says
        # nothing, since a server may go at any moment.
        if self.counts.answers > answers_before:
            raise EngineError(f"no answer in {failures + told_to_wait} tries; the last: {reason}")
        raise ServerGoneError(
            f"the server gave no answer in {failures + told_to_wait} tries, to nobody; the last: {reason}. Nothing is "
            "lost: run it again when it answers, and it goes on"
        )

    async def _once(self, question: Question, attempt: int) -> Reply | str:
        """The answer, or why it has to be asked again."""
        import aiohttp

        sent_schema = self.sends_schema
        self.counts.requests += 1
        try:
            async with asyncio.timeout(self.how.timeout):
                async with self._session.post(
                    self.how.url.rstrip("/") + "/chat/completions",
                    json=self._body(question, attempt, sent_schema),
                    allow_redirects=False,
                ) as response:
                    content = await _read(response)
                    status, retry_after = response.status, response.headers.get("Retry-After")
        except TimeoutError:
            return "a timeout"
        except aiohttp.ClientError as error:
            return f"the connection failed ({type(error).__name__})"
        if content is None:
            return f"an answer above {LARGEST_ANSWER} bytes"
        if status == 200:
            return _reply(content)
        if status in TRY_AGAIN:
            if retry_after is not None or status == 429:
                self.counts.waits_asked_for += 1
                self._not_before = max(self._not_before, time.monotonic() + seconds_of(retry_after))
            return TOO_MANY if status == 429 else f"status {status}"
        if status in OF_THE_CALLER:
            raise ValueError(f"status {status}: {OF_THE_CALLER[status]}")
        if 300 <= status < 400:
            raise ValueError(f"status {status}: the server sends on to another address; give that one if you trust it")
        if sent_schema and self.how.structured == "auto" and _speaks_of(ABOUT_THE_SCHEMA, content):
            self.sends_schema = False  # from now on the prompt asks for JSON, and each answer is validated
            return "no structured output"
        too_long = status == 413 or _speaks_of(ABOUT_THE_LENGTH, content)
        raise RefusedError(f"the server refuses the question with status {status}", too_long)

    def _body(self, question: Question, attempt: int, with_schema: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(question.messages),
            "temperature": 0.0 if attempt == 0 else 0.7,  # the likeliest answer was none: draw another
            "seed": attempt,
            "max_tokens": question.max_tokens,
        }
        if with_schema:
            schema = {"name": "answer", "schema": question.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def _turn(self) -> None:
        """Waits as the server or the limit of requests asks for."""
        if self.how.requests_a_minute is not None:
            now = time.monotonic()
            slot = max(now, self._next_slot)
            self._next_slot = slot + 60 / self.how.requests_a_minute
            await asyncio.sleep(slot - now)
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left + self._random.uniform(0, 0.1))  # not all of them at once

    def _wait(self, number: int) -> float:
        """Seconds after `number` tries in vain: doubled each time, and drawn, so that who failed together parts."""
        return self._random.uniform(0.5, 1.0) * min(LONGEST_WAIT, FIRST_WAIT * 2 ** (number - 1))

    def _count_retry(self, reason: str) -> None:
        self.counts.retries += 1
        self.counts.reasons[reason] = self.counts.reasons.get(reason, 0) + 1


def seconds_of(retry_after: str | None) -> float:
    """What Retry-After asks for: seconds or a date; a second where it says nothing that can be read."""
    if retry_after is None:
        return 1.0
    try:
        wait = float(retry_after)
    except ValueError:
        date = email.utils.parsedate_tz(retry_after)
        wait = email.utils.mktime_tz(date) - time.time() if date else 1.0
    return min(max(wait, 0.0), LONGEST_ASKED_WAIT) if wait == wait else 1.0  # not a number


async def _read(response: Any) -> bytes | None:
    """The whole body, or None where it is larger than any answer is."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(2**16):
        size += len(part)
        if size > LARGEST_ANSWER:
            return None
        parts.append(part)
    return b"".join(parts)


def _reply(content: bytes) -> Reply | str:
    try:
        answer = json.loads(content)
        choice = answer["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
        usage = answer.get("usage")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "an answer that is none of this protocol"
    if not isinstance(text, str):
        return "an answer without text"
    if ends_early(text):
        return "an answer that ends early"
    # a model that has no end may go on behind its JSON, which is whole
    if finish not in FINISHED and not (finish == "length" and "{" in text):
        return "an answer that was cut short (finish_reason is not stop)"
    tokens = usage if isinstance(usage, dict) else {}
    return Reply(text, _count(tokens.get("prompt_tokens")), _count(tokens.get("completion_tokens")))


def _count(tokens: Any) -> int:
    """A number of tokens as a server says it; none where it is no such number."""
    is_number = isinstance(tokens, (int, float)) and not isinstance(tokens, bool)
    return int(tokens) if is_number and 0 <= tokens <= MOST_TOKENS else 0


def _speaks_of(words: Sequence[str], content: bytes) -> bool:
    said = content[:20_000].decode("utf-8", "replace").lower()
    return any(word in said for word in words)
