"""What a language model is asked about a study, and the JSON schema of the answer. The words are in prompts/*.yaml."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .schema import Sentence, Study

FOLDER = Path(__file__).with_name("prompts")
FORMS = {
    "numbers": {"kinds", "system", "kind_of_sentence", "parts_of_sentence"},
    "free-text": {"system", "relevant_text", "text_of_parts"},
}
FINDING = "finding"
TOKENS_A_SENTENCE, TOKENS_AROUND = 16, 16  # an answer's length, generously


@dataclass(frozen=True)
class Prompts:
    """One file of prompts/."""

    version: str  # the file's name
    mode: str  # numbers, free-text
    words: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What goes to the model."""

    messages: tuple[dict[str, str], ...]
    schema: dict[str, Any]  # of the answer: JSON Schema, as servers with structured output take it
    max_tokens: int


def versions() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


@cache
def load_prompts(version: str) -> Prompts:
    """A version by its name. An unknown one is an error that lists them."""
    if version not in versions():
        raise ValueError(f"there are no prompts {version!r}; choose {', '.join(versions())}")
    words = yaml.safe_load((FOLDER / f"{version}.yaml").read_text(encoding="utf-8"))
    mode = words.pop("mode")
    if words.keys() != FORMS.get(mode, set()):
        raise ValueError(f"{version}.yaml of mode {mode!r} has {', '.join(words)}; see asking.py for what it needs")
    return Prompts(version, mode, words)


def ask_kinds(prompts: Prompts, study: Study, sentences: Sequence[Sentence]) -> Question:
    """First step: what each sentence is. The answer: {"0": "history", "1": "finding"}."""
    kinds = prompts.words["kinds"]
    schema = _object({str(one.number): {"type": "string", "enum": list(kinds)} for one in sentences})
    example = {str(one.number): kinds[1 - index] for index, one in enumerate(sentences[:2])}
    return _question(prompts, "kind_of_sentence", study, sentences, schema, example, TOKENS_A_SENTENCE)


def ask_parts(prompts: Prompts, study: Study, sentences: Sequence[Sentence]) -> Question:
    """Second step: which parts each sentence speaks of. The answer: {"1": ["L KNEE"], "2": []}."""
    names = [part.name for part in study.parts]
    of_sentence = {"type": "array", "items": {"type": "string", "enum": names}, "maxItems": len(names)}
    schema = _object({str(one.number): of_sentence for one in sentences})
    example = {str(one.number): names[:1] if index == 0 else [] for index, one in enumerate(sentences[:2])}
    longest = TOKENS_A_SENTENCE + sum(4 + len(name) // 2 for name in names)
    return _question(prompts, "parts_of_sentence", study, sentences, schema, example, longest)


def ask_relevant_text(prompts: Prompts, study: Study, report: str) -> Question:
    """First step of the free-text mode. The answer: {"report": text}."""
    schema = _object({"report": {"type": "string"}})
    return _in_free_text(prompts, "relevant_text", study, report, schema, {"report": "..."})


def ask_text_of_parts(prompts: Prompts, study: Study, report: str) -> Question:
    """Second step of the free-text mode, Fig. 2. The answer: {"L KNEE": text, "R HIP": text}."""
    names = [part.name for part in study.parts]
    schema = _object({name: {"type": "string"} for name in names})
    return _in_free_text(prompts, "text_of_parts", study, report, schema, dict.fromkeys(names, "..."))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _question(
    prompts: Prompts,
    name: str,
    study: Study,
    sentences: Sequence[Sentence],
    schema: dict[str, Any],
    example: dict[str, Any],
    tokens_a_sentence: int,
) -> Question:
    lines = "\n".join(f"{one.number}: {' '.join(one.text.split())}" for one in sentences)
    names = json.dumps([part.name for part in study.parts], ensure_ascii=False)[1:-1]
    shown = json.dumps(example, ensure_ascii=False)
    if len(sentences) > len(example):
        shown = shown[:-1] + ", ...}"
    text = prompts.words[name].format(films=_films(study), sentences=lines, names=names, example=shown)
    return Question(_messages(prompts, text), schema, TOKENS_AROUND + tokens_a_sentence * len(sentences))


def _in_free_text(
    prompts: Prompts, name: str, study: Study, report: str, schema: dict[str, Any], example: dict[str, Any]
) -> Question:
    shown = json.dumps(example, ensure_ascii=False)
    text = prompts.words[name].format(films=_films(study), report=report, example=shown)
    # a report may belong to every part, and a token is seldom shorter than two letters
    return Question(_messages(prompts, text), schema, 64 + len(report) // 2 * len(schema["properties"]))


def _films(study: Study) -> str:
    return ", ".join(part.name for part in study.parts)


def _messages(prompts: Prompts, text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "system", "content": prompts.words["system"]}, {"role": "user", "content": text})
