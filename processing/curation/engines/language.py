"""A language model as an engine: asks the two steps, keeps every answer, and asks again where one is no answer.

What the model is and where it runs is a Chat: a server (server.py) or a model in this process (local.py).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any, Protocol, TypeVar

from ..answers import AnswerError, assignment_of, kinds_in, parts_in, texts_in
from ..asking import FINDING, Prompts, Question, ask_kinds, ask_parts, ask_relevant_text, ask_text_of_parts
from ..grounding import grounded
from ..schema import (
    NOTHING,
    Assignment,
    AssignmentError,
    EngineError,
    Provenance,
    Reason,
    RefusedError,
    Sentence,
    Spent,
    Study,
)
from .cache import AnswerCache, Reply, key_of

# Questions refused one after the other: then it is not the questions. The second where others were answered: what is
# left of a run that was killed may be just those that are refused for a reason of their own.
MOST_REFUSED, MOST_REFUSED_LATER = 8, 50

Parsed = TypeVar("Parsed")


class Chat(Protocol):
    """Whoever completes a conversation. It is entered before it is asked, and left at the end."""

    model: str
    licence: str  # of the model, as the Hub spells it

    @property
    def settings(self) -> dict[str, Any]:
        """What of its settings can change an answer."""

    async def complete(self, question: Question, attempt: int) -> Reply:
        """The answer; `attempt` counts from 0, and a later one may be drawn instead of the likeliest.

        Raises EngineError where this question cannot be answered, RefusedError where it is refused, and OSError where
        nobody answers any more.
        """

    async def __aenter__(self) -> "Chat": ...
    async def __aexit__(self, *error: object) -> None: ...


class AllRefusedError(OSError):
    """Every question is refused, so that the table would be one by rules."""


@dataclass
class Conversation:
    """One study's questions so far."""

    spent: Spent = NOTHING


class LanguageEngine:
    """Asks a Chat what the sentences speak of, by number or, with prompts of that mode, in free text."""

    def __init__(self, name: str, chat: Chat, prompts: Prompts, cache: AnswerCache | None = None, attempts: int = 3):
        if not 1 <= attempts <= 20:
            raise ValueError(f"attempts is {attempts}; a model is asked 1 to 20 times for a valid answer")
        self.chat, self.prompts, self.cache, self.attempts = chat, prompts, cache, attempts
        self.provenance = Provenance(name, chat.model, chat.licence, prompts.version)
        self.received = NOTHING  # in this run, each answer once: what was paid for
        self.reused = 0  # answers that were kept before, or that came for another study in this run
        self._refused = 0  # questions since the last answer
        self._on_their_way: dict[bytes, asyncio.Task[Reply]] = {}

    async def assign(self, study: Study, sentences: Sequence[Sentence]) -> Assignment:
        """The assignment of a study's sentences. EngineError where no attempt gave a valid answer."""
        conversation = Conversation()
        step = self._by_numbers if self.prompts.mode == "numbers" else self._by_text
        try:
            assignment = await step(study, sentences, conversation)
        except AssignmentError as error:
            raise EngineError(str(error), conversation.spent) from error
        return replace(assignment, spent=conversation.spent + assignment.spent)

    async def _by_numbers(self, study: Study, sentences: Sequence[Sentence], conversation: Conversation) -> Assignment:
        dropped: dict[int, Reason] = {one.number: "heading" for one in sentences if one.heading}
        asked = [one for one in sentences if not one.heading]
        sure: dict[str, float] = {}
        kinds: dict[int, str] = {}
        if asked:
            question = ask_kinds(self.prompts, study, asked)
            all_kinds = self.prompts.words["kinds"]
            kinds, sure = await self._answer(question, conversation, lambda text: kinds_in(text, asked, all_kinds))
        # a kind of the prompts other than `finding` is a reason of the schema; `checked` makes sure of it
        dropped |= {number: kind for number, kind in kinds.items() if kind != FINDING}  # type: ignore[misc]
        left = [one for one in asked if kinds[one.number] == FINDING]
        parts: dict[int, tuple[str, ...]] = {}
        if left:
            question = ask_parts(self.prompts, study, left)
            parts, sure_of_part = await self._answer(question, conversation, lambda text: parts_in(text, left, study))
            sure = {key: chance * sure.get(key, 1.0) for key, chance in sure_of_part.items()}
        assignment = assignment_of(study, sentences, dropped, parts)
        confidence = {
            name: round(fmean(sure[str(number)] for number in numbers), 4)
            for name, numbers in assignment.of_part.items()
            if numbers and all(str(number) in sure for number in numbers)
        }
        return replace(assignment, confidence=confidence)

    async def _by_text(self, study: Study, sentences: Sequence[Sentence], conversation: Conversation) -> Assignment:
        question = ask_relevant_text(self.prompts, study, study.report)
        found, _ = await self._answer(question, conversation, lambda text: texts_in(text, ["report"]))
        relevant = grounded(found["report"], sentences)
        names = [part.name for part in study.parts]
        of_part: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
        made_up: dict[str, int] = {}
        if relevant.numbers:
            by_number = {one.number: one for one in sentences}
            report = " ".join(by_number[number].text for number in relevant.numbers)
            question = ask_text_of_parts(self.prompts, study, report)
            texts, _ = await self._answer(question, conversation, lambda text: texts_in(text, names))
            for name in names:
                held = grounded(texts[name], [by_number[number] for number in relevant.numbers])
                of_part[name] = held.numbers
                made_up[name] = held.ungrounded
        kept = {number for numbers in of_part.values() for number in numbers}
        # the mode does not say why it leaves a sentence out: what the first call removed is `irrelevant`
        dropped: dict[int, Reason] = {
            one.number: "heading" if one.heading else "unassigned" if one.number in relevant.numbers else "irrelevant"
            for one in sentences
            if one.number not in kept
        }
        spent = Spent(ungrounded=relevant.ungrounded + sum(made_up.values()))
        return Assignment(of_part, dropped, spent=spent, ungrounded=made_up)

    async def _answer(
        self, question: Question, conversation: Conversation, parse: Callable[[str], Parsed]
    ) -> tuple[Parsed, dict[str, float]]:
        reason = ""
        for attempt in range(self.attempts):
            try:
                reply = await self._reply(question, attempt)
            except EngineError as error:
                raise EngineError(str(error), conversation.spent) from error
            conversation.spent += Spent(1, 0, reply.prompt_tokens, reply.completion_tokens)
            try:
                return parse(reply.text), dict(reply.certainty)
            except AnswerError as error:
                conversation.spent += Spent(invalid=1)
                reason = str(error)
        raise EngineError(f"no valid answer in {self.attempts} attempts; the last: {reason}", conversation.spent)

    async def _reply(self, question: Question, attempt: int) -> Reply:
        """From the cache, from the same question on its way, or from the model. It is kept before it is used."""
        key = key_of(
            {
                "model": self.chat.model,
                "settings": self.chat.settings,
                "messages": question.messages,
                "schema": question.schema,
                "max_tokens": question.max_tokens,
                "attempt": attempt,
            }
        )
        if self.cache is not None and (kept := self.cache.reply(key)) is not None:
            self.reused += 1
            return kept
        if key in self._on_their_way:
            self.reused += 1
        else:
            task = asyncio.create_task(self._asked(key, question, attempt))
            self._on_their_way[key] = task
            task.add_done_callback(partial(self._arrived, key))
        return await asyncio.shield(self._on_their_way[key])

    def _arrived(self, key: bytes, task: asyncio.Task[Reply]) -> None:
        self._on_their_way.pop(key)
        if not task.cancelled():
            task.exception()  # else asyncio prints it where all who waited have been stopped by another's

    def has_answered(self) -> bool:
        """Whether any question has an answer, be it of an earlier run."""
        return self.received.answers + self.reused > 0

    def stop_if_all_is_refused(self, least: int) -> None:
        """Raises AllRefusedError if that many questions were refused since the last answer."""
        if self._refused >= least:
            raise AllRefusedError(
                f"the server refused {self._refused} questions one after the other, as if it were set up for others: "
                "look at its own log (the model's name, the longest question that it takes). Nothing is lost: run it "
                "again when it answers, and it goes on"
            )

    async def settle(self, seconds: float = 10.0) -> None:
        """Waits a moment for answers on their way, which are paid for, so that they are kept."""
        if self._on_their_way:
            await asyncio.wait(self._on_their_way.values(), timeout=seconds)

    async def _asked(self, key: bytes, question: Question, attempt: int) -> Reply:
        try:
            reply = await self.chat.complete(question, attempt)
        except RefusedError as error:
            # a question may be too long, and such ones may stand in a row, but where others were answered
            if not (error.for_its_length and self.has_answered()):
                self._refused += 1
                self.stop_if_all_is_refused(MOST_REFUSED_LATER if self.has_answered() else MOST_REFUSED)
            raise
        self._refused = 0
        self.received += Spent(1, 0, reply.prompt_tokens, reply.completion_tokens)
        if self.cache is not None:
            self.cache.keep(key, reply)
        return reply
