"""Reads prompts.yaml: which images a question is about, which class each belongs to, and how the classes are said."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..processing.data.sample import Sample

FOLDER = Path(__file__).parent
PROMPTS = FOLDER / "prompts.yaml"
FIELDS = {"asks", "column", "rows", "min_images", "classes", "words", "prompts"}
COLUMNS = ("body_part", "findings")


@dataclass(frozen=True)
class Question:
    """One task of prompts.yaml."""

    name: str
    asks: str
    column: str  # body_part or findings, of the sample
    rows: Mapping[str, Sequence[Any]]
    min_images: int
    classes: Mapping[str, Mapping[str, Sequence[str]]] | None  # None: every value that the images have
    words: Mapping[str, str]
    prompts: Sequence[str]

    def select(self, samples: Sequence[Sample], where: Mapping[str, Sequence[Any]] | None = None) -> "Selection":
        """The images the question is about, narrowed further by `where`, and the class of each."""
        rows = {**self.rows, **(where or {})}
        matching = [
            index
            for index, sample in enumerate(samples)
            if all(_holds(sample, column, values) for column, values in rows.items())
        ]
        labels = {index: label for index in matching if (label := self.label(samples[index])) is not None}
        names = list(self.classes) if self.classes is not None else sorted(set(labels.values()))
        return Selection(list(labels), list(labels.values()), names, len(matching) - len(labels))

    def label(self, sample: Sample) -> str | None:
        if self.classes is None:
            return sample.body_part
        if self.names_body_part and sample.body_part is None:
            return None
        held = _values(sample, self.column)
        fitting = [name for name, rule in self.classes.items() if _fits(rule, held)]
        return fitting[0] if len(fitting) == 1 else None

    def names_in_data(self, label: str) -> list[str]:
        """The values of the column that make an image one of this class, or by their absence do."""
        if self.classes is None:
            return [label]
        rule = self.classes[label]
        return list(rule["is"] if "is" in rule else rule["without"])

    def words_of(self, label: str) -> list[str]:
        """The words that stand for a class, without the sentences around them."""
        if self.classes is None:
            return [self.words[label]] if label in self.words else []
        return list(self.classes[label]["words"])

    @property
    def names_body_part(self) -> bool:
        """Whether the sentences say which body part the image shows, so that each part has its own."""
        return any("{body_part}" in prompt for prompt in self.prompts)

    def prompts_of(
        self, label: str, body_part_words: Mapping[str, str] | None = None, *, body_part: str | None = None
    ) -> list[str]:
        """The sentences that stand for a class, of images of a body part; without one, its place stays open."""
        if self.classes is None:
            words = [self.words.get(label) or _in_words(label, body_part_words)]
        else:
            words = list(self.classes[label]["words"])
        part = "{body_part}" if body_part is None else _in_words(body_part, body_part_words)
        return [prompt.format(words=word, body_part=part) for word in words for prompt in self.prompts]


@dataclass(frozen=True)
class Selection:
    """The images that a question is asked about."""

    indices: list[int]
    labels: list[str]  # one for each index
    classes: list[str]
    left_out: int  # images that match the rows and hold none of the classes, or two


def question_file(name: str) -> Path:
    """The questions called `name` here (prompts, phantom_prompts), or a YAML file of one's own."""
    own = Path(name)
    path = own if own.suffix in (".yaml", ".yml") else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*prompts.yaml")))
        raise FileNotFoundError(f"there are no questions {name!r}; give {known}, or a YAML file of that form")
    return path


@cache
def questions(path: Path = PROMPTS) -> dict[str, Question]:
    """All questions of the file by name; a mistake in it is an error that names the place."""
    found = {}
    for name, fields in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for key in set(fields) - FIELDS:
            close = difflib.get_close_matches(key, FIELDS, n=1) or sorted(FIELDS)
            raise ValueError(f"{path.name}: {name} has an unknown key {key!r}; did you mean {close[0]!r}?")
        for key in ("asks", "column", "prompts", "classes"):
            if key not in fields:
                raise ValueError(f"{path.name}: {name} lacks {key!r}")
        if fields["column"] not in COLUMNS:
            raise ValueError(f"{path.name}: {name} has column {fields['column']!r}; choose one of {COLUMNS}")
        classes = None if fields["classes"] == "all" else fields["classes"]
        if classes is not None and len(classes) < 2:
            raise ValueError(f"{path.name}: {name} has {len(classes)} class; a question needs two answers at least")
        for label, rule in (classes or {}).items():
            if ("is" in rule) == ("without" in rule) or "words" not in rule:
                raise ValueError(f"{path.name}: {name}, class {label!r}, needs words, and either is or without")
        if fields["column"] == "body_part" and any("{body_part}" in prompt for prompt in fields["prompts"]):
            raise ValueError(
                f"{path.name}: {name} asks for the body part, and its prompts give it away: {{body_part}}"
            )
        if classes is None and fields["column"] != "body_part":
            raise ValueError(f"{path.name}: {name} has classes: all, which only the column body_part can have")
        found[name] = Question(
            name=name,
            asks=fields["asks"],
            column=fields["column"],
            rows=fields.get("rows") or {},
            min_images=fields.get("min_images", 1),
            classes=classes,
            words=fields.get("words") or {},
            prompts=fields["prompts"],
        )
    return found


def _in_words(body_part: str, words: Mapping[str, str] | None) -> str:
    return (words or {}).get(body_part) or body_part.replace("_", " ")


def _fits(rule: Mapping[str, Sequence[str]], held: set[Any]) -> bool:
    return bool(held.intersection(rule["is"])) if "is" in rule else not held.intersection(rule["without"])


def _values(sample: Sample, column: str) -> set[Any]:
    """What a sample holds in a column; body part, findings and patient under their own names whatever the data say."""
    if column == "findings":
        return set(sample.findings)
    if column in ("body_part", "patient_id", "split"):
        return {{"body_part": sample.body_part, "patient_id": sample.patient_id, "split": sample.split}[column]}
    value = sample.row.get(column)
    return set(value) if isinstance(value, list | tuple) else {value}


def _holds(sample: Sample, column: str, values: Sequence[Any]) -> bool:
    return bool(_values(sample, column).intersection(values))
