"""What a language model answered, as an assignment, or an error that says which rule the answer breaks.

Nothing is mended: an answer with a number too few is no answer. Only what surrounds the JSON is taken off, a code
fence or a sentence of politeness, since a model without structured output adds them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .schema import Assignment, Reason, Sentence, Study, checked

FENCE = re.compile(r"^\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL | re.IGNORECASE)
LONGEST = 2**20  # characters


class AnswerError(ValueError):
    """The answer has not the form that was asked for; the message holds nothing of the report."""


def json_of(text: str) -> dict[str, Any]:
    """The one JSON object in an answer. A key that stands twice, or text that is no JSON, is an error."""
    if len(text) > LONGEST:
        raise AnswerError(f"the answer has {len(text)} characters; at most {LONGEST} are read")
    fenced = FENCE.match(text)
    inner = fenced[1] if fenced else text
    start = inner.find("{")
    if start < 0:
        raise AnswerError("the answer has no JSON object")
    try:
        found, end = JSON.raw_decode(inner, start)
    except (json.JSONDecodeError, RecursionError) as error:
        raise AnswerError("the answer is no valid JSON, or half of it") from error
    if "{" in inner[end:]:
        raise AnswerError("the answer has several JSON objects; one was asked for")
    return found


def ends_early(text: str) -> bool:
    """Whether the JSON of an answer begins and never ends, as if the rest had been lost on its way."""
    start = text.find("{")
    if start < 0:
        return False
    depth, quoted, escaped = 0, False, False
    for character in text[start:]:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        else:
            depth += (character in "{[") - (character in "}]")
            if depth == 0:
                return False
    return True


def kinds_in(text: str, sentences: Sequence[Sentence], kinds: Sequence[str]) -> dict[int, str]:
    """{sentence's number: its kind} of the first step."""
    answer = _for_each_number(json_of(text), sentences)
    if any(not isinstance(kind, str) or kind not in kinds for kind in answer.values()):
        raise AnswerError(f"a kind is none of {', '.join(kinds)}")
    return answer


def parts_in(text: str, sentences: Sequence[Sentence], study: Study) -> dict[int, tuple[str, ...]]:
    """{sentence's number: the parts it speaks of, in the study's order} of the second step; () for none."""
    answer = _for_each_number(json_of(text), sentences)
    names = [part.name for part in study.parts]
    if any(not isinstance(chosen, list) for chosen in answer.values()):
        raise AnswerError("a sentence has no list of parts")
    if any(not isinstance(name, str) or name not in names for chosen in answer.values() for name in chosen):
        raise AnswerError("a part is none of the study's")
    return {number: tuple(name for name in names if name in chosen) for number, chosen in answer.items()}


def texts_in(text: str, keys: Sequence[str]) -> dict[str, str]:
    """{key: text} of the free-text mode."""
    answer = json_of(text)
    if answer.keys() != set(keys):
        raise AnswerError(f"the answer has {len(answer)} keys and not the {len(keys)} that were asked for")
    if any(not isinstance(value, str) for value in answer.values()):
        raise AnswerError("a value is no text")
    return {key: answer[key] for key in keys}


def assignment_of(
    study: Study,
    sentences: Sequence[Sentence],
    dropped: Mapping[int, Reason],
    parts: Mapping[int, Sequence[str]],
) -> Assignment:
    """What both steps said together. A finding that belongs to no part is dropped as `unassigned`."""
    of_part = {part.name: tuple(sorted(n for n, names in parts.items() if part.name in names)) for part in study.parts}
    nowhere: dict[int, Reason] = {number: "unassigned" for number, names in parts.items() if not names}
    return checked(Assignment(of_part, {**dropped, **nowhere}), study, sentences)


def _for_each_number(answer: Mapping[str, Any], sentences: Sequence[Sentence]) -> dict[int, Any]:
    numbers = {str(one.number): one.number for one in sentences}
    if answer.keys() != numbers.keys():
        missing, strange = len(numbers.keys() - answer.keys()), len(answer.keys() - numbers.keys())
        raise AnswerError(f"the answer misses {missing} of {len(numbers)} sentences and has {strange} of its own")
    return {numbers[key]: value for key, value in answer.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise AnswerError("the answer has a key twice")
    return found


JSON = json.JSONDecoder(object_pairs_hook=_once)
