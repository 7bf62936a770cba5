"""Loads and checks the phrasings of reports: phrases_a.yaml and phrases_b.yaml."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from .applicable import APPLICABLE
from .records import ARTHRITIS_CONCEPTS, FINDINGS, FRACTURE_KINDS

# What a normal statement's tags mean: the findings it would contradict.
UNUSUAL_BONE_AGE = "unusual bone age"  # no finding, yet growth plates "normal for age" would be untrue
_HEART = ("cardiomegaly", "atrial septal defect", "ventricular septal defect", "patent ductus arteriosus")
CONTRADICTED_BY: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "any": (*FINDINGS, UNUSUAL_BONE_AGE),
    "bone": ("fracture", "bony change", "erosion", "inflammation", "hip dysplasia"),
    "joint": (*ARTHRITIS_CONCEPTS, "hip dysplasia"),
    "soft": ("soft tissue swelling", "joint effusion", "inflammation"),
    "alignment": ("fracture", "scoliosis", "hip dysplasia"),
    "plates": ("fracture", "bony change", "hip dysplasia", UNUSUAL_BONE_AGE),
    "lungs": ("consolidation", "pneumothorax", "pleural effusion"),
    "pleura": ("pneumothorax", "pleural effusion"),
    "heart": _HEART,
    "curve": ("scoliosis",),
    "hips": ("hip dysplasia",),
}

_FINDING = {"part", "place", "space", "severity", "severely", "kind"}
_PATIENT = {"age", "aged", "short_age", "sex", "female", "f", "she", "her", "part", "old"}
# Where a template stands and the placeholders it may use. The keys of word lists stand here too: they may use none.
PLACEHOLDERS: dict[str, set[str]] = {
    "headings.*": set(),
    "part_heading": {"part"},
    "severity.*": set(),
    "severely.*": set(),
    "kinds.*": set(),
    "frames.*": {"part", "rest"},
    "both.*": {"plural", "finding"},
    "both_findings.*": set(),
    "findings.*.severity.*": set(),
    "findings.*.at": {"place"},
    "findings.*.absent": set(),
    "findings.*.core": {"severity", "kind"},
    "findings.*.full": _FINDING,
    "findings.*.terse": _FINDING,
    "together.*": {"found", "place", "part"},
    "hedges.*": {"noun", "a_noun"},
    "hedged_core": {"core"},
    "negations.full": {"absent", "part"},
    "negations.terse": {"absent", "part"},
    "negations.several": {"absent", "parts"},
    "fixed_negations": set(),
    "normal.several": {"parts", "names", "rest"},
    "normal.all_normal": {"parts", "names"},
    "normal.shared.*": {"part", "bones"},
    "normal.parts.*.bones": set(),
    "normal.parts.*.own": {"part"},
    "impression.finding": {"found"},
    "impression.normal": {"part"},
    "impression.several": {"parts"},
    "history": _PATIENT,
    "technique": {"coverage", "were"},
    "comparison": {"date", "iso", "ago"},
    "old": {"old"},
    "irrelevant": {"time"},
}
# Words that both sets may share.
_WORD_LISTS = ("severity.*", "severely.*", "kinds.*", "findings.*.severity.*", "findings.*.at")


@cache
def load_phrases(wording: str) -> dict[str, Any]:
    """The phrasings of a set, checked. Lists of templates are tuples; rows of [template, tags ...] too."""
    if wording not in ("a", "b"):
        raise ValueError(f'wording is "{wording}"; there are "a" and "b"')
    return read_phrases(Path(__file__).with_name(f"phrases_{wording}.yaml"))


def read_phrases(path: Path) -> dict[str, Any]:
    phrases = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, text in _leaves(phrases):
        allowed = _allowed(key)
        if allowed is None:
            raise ValueError(f"{path.name}: nothing reads {key}; the keys stand in phrases.py")
        for _, name, _, _ in Formatter().parse(text):
            if name is not None and name not in allowed:
                may = ", ".join(sorted(allowed)) or "none"
                raise ValueError(f"{path.name}: {key} uses the unknown placeholder {{{name}}}; it may use: {may}")
    for table, names in (("findings", FINDINGS), ("kinds", FRACTURE_KINDS)):
        _expect(path, table, phrases[table], names)
    _expect(path, "normal.parts", phrases["normal"]["parts"], tuple(APPLICABLE))
    normal = phrases["normal"]
    for rows in (*normal["shared"].values(), *(part["own"] for part in normal["parts"].values())):
        for row in rows:
            unknown = set(row[1].split()) - set(CONTRADICTED_BY)
            if unknown:
                raise ValueError(f"{path.name}: {row[0]!r} has the unknown tags {sorted(unknown)}")
            row[1] = frozenset(name for tag in row[1].split() for name in CONTRADICTED_BY[tag])
    return _frozen(phrases)


def templates(phrases: dict[str, Any]) -> set[str]:
    """Every template of a set, without the lists of words."""
    return {text for key, text in _leaves(phrases) if not any(fnmatchcase(key, words) for words in _WORD_LISTS)}


def fill(template: str, **values: str) -> str:
    """The template in words, with "a" and "an" set right."""
    return _ARTICLE.sub(_article, template.format_map(values))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def bare(noun: str) -> str:
    """subtle fracture, of "a subtle fracture"."""
    return _LEADING_ARTICLE.sub("", noun)


def listed(words: list[str], last: str = "and") -> str:
    """a, b and c"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


_ARTICLE = re.compile(r"\b([Aa])n? (?=(\S+))")
_LEADING_ARTICLE = re.compile(r"^an? ")
_VOWEL = re.compile(r"[aeio]|u(?!ni[ft]|s)|8|1[18]\b|x-", re.IGNORECASE)


def _article(match: re.Match[str]) -> str:
    return f"{match[1]}{'n' if _VOWEL.match(match[2]) else ''} "


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every template and where it stands. Of a row [template, tags ...] only the template."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield key, child if isinstance(child, str) else child[0]
    else:
        yield key, str(node)


def _allowed(key: str) -> set[str] | None:
    depth = key.count(".")
    for pattern, allowed in PLACEHOLDERS.items():
        if pattern.count(".") == depth and fnmatchcase(key, pattern):
            return allowed
    return None


def _expect(path: Path, table: str, found: dict[str, Any], names: tuple[str, ...]) -> None:
    if set(found) != set(names):
        odd = sorted(set(found) ^ set(names))
        raise ValueError(f"{path.name}: {table} lacks or should not have {odd}")


def _frozen(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _frozen(child) for name, child in node.items()}
    return tuple(_frozen(child) for child in node) if isinstance(node, list) else node
