"""Finds the anatomy that a text names, by lexicon.yaml: where it stands, and which of the 23 body parts it means."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize

import yaml

TABLE = Path(__file__).with_name("lexicon.yaml")
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\d+(?:\.\d+)?")
LEVEL = re.compile(r"([CTLS])(1[0-2]|[1-9])")  # C7, T12, L5, S1
SPINE = {"c": "cervical_spine", "t": "thoracic_spine", "l": "lumbar_spine", "s": "lumbar_spine"}
HIGHEST = {"c": 8, "t": 12, "l": 6, "s": 5}
REACH = 5  # words before a bone in which "distal" or "shaft" still speaks of it
LONG = 6  # letters of a word that may be misspelt

Tiers = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Entry:
    """What a word means: experts by tier, best first."""

    tiers: Tiers
    name: bool = False  # it calls the part itself
    weak: bool = False  # it counts only where nothing else says where
    together: bool = False  # it means all of its tier, whatever was spoken of last
    bone: str | None = None


@dataclass(frozen=True)
class Token:
    """A word of a text, as the lexicon looks it up."""

    word: str
    start: int
    end: int
    plural: bool


@dataclass(frozen=True)
class Mention:
    """A place in a text that names anatomy; `first` and `last` number its words, both included."""

    entry: Entry
    first: int
    last: int
    both: bool = False  # a plural of what each side has one of: "the femoral heads"
    level: bool = False  # a vertebra by letter and number
    bone_whole: bool = False  # a long bone of which no end is named
    words: frozenset[str] = frozenset()


@dataclass
class _Node:
    next: dict[str, "_Node"] = field(default_factory=dict)
    entry: Entry | None = None


@dataclass(frozen=True)
class Lexicon:
    """lexicon.yaml, ready to be searched."""

    version: str
    root: _Node
    bones: Mapping[str, Mapping[str, Tiers]]
    adjectives: frozenset[str]
    regions: Mapping[str, str]  # word -> distal, proximal, shaft
    neighbours: Mapping[str, Tiers]  # groups, best first
    limbs: Mapping[str, tuple[str, ...]]
    toes: frozenset[str]  # words of toes, which have no expert of their own
    titles: frozenset[str]  # the words of the parts' own names
    subtitles: frozenset[str]
    paired: frozenset[str]
    vocabulary: frozenset[str]
    mended: frozenset[str]  # long words that are entries by themselves: what a misspelt word may be meant for


def tokens(text: str) -> list[Token]:
    """The words of a text in lower case, American spelling, singular and, where one letter is wrong, mended."""
    found = []
    for match in WORD.finditer(text):
        word, plural = _normal(match[0].lower())
        found.append(Token(word, match.start(), match.end(), plural))
    return found


def mentions(text: str, words: list[Token]) -> list[Mention]:
    """Every place that names anatomy, the longest entry first, none within another."""
    table = lexicon()
    found: list[Mention] = []
    at = 0
    while at < len(words):
        last, entry = _longest(table.root, words, at)
        if entry is not None and words[at].word in ENDS and _of_a_bone(text, words, at, last, found):
            entry = None
        if entry is None:
            level = _level(text, words, at)
            if level is not None:
                found.append(level)
            at += 1
            continue
        if not entry.tiers:
            at = last + 1
            continue
        placed = _placed(table, entry, words, at, last)
        paired = entry.name or entry.bone is not None or " ".join(w.word for w in words[at : last + 1]) in table.paired
        both = paired and any(word.plural for word in words[at : last + 1])
        whole = entry.bone is not None and placed.tiers == entry.tiers
        said = frozenset(word.word for word in words[at : last + 1])
        found.append(Mention(placed, at, last, both, bone_whole=whole, words=said))
        at = last + 1
    return found


def _longest(root: _Node, words: list[Token], at: int) -> tuple[int, Entry | None]:
    node, last, entry = root, at, None
    for number in range(at, len(words)):
        step = node.next.get(words[number].word)
        if step is None:
            break
        node = step
        if node.entry is not None:
            last, entry = number, node.entry
    return last, entry


def _placed(table: Lexicon, entry: Entry, words: list[Token], first: int, last: int) -> Entry:
    """A long bone's entry by the end of it that is meant."""
    if entry.bone is None:
        return entry
    region = _region(table, words, first, last, entry.bone)
    after = _joined(table, words, last) + 1
    hurt = any(word.word in ("injury", "fracture", "lesion") for word in words[after : after + 3])
    weak = region == "whole" and words[first].word in table.adjectives and not hurt
    return _bone_entry(entry.bone, region, weak, entry.name and region in ("whole", "shaft"))


def _region(table: Lexicon, words: list[Token], first: int, last: int, bone: str) -> str:
    last = _joined(table, words, last)
    shaft = False
    for number in range(first - 1, max(first - 1 - REACH, -1), -1):
        region = table.regions.get(words[number].word)
        if words[number + 1].word == "third" and (region == "proximal" or bone in ("tibia", "fibula")):
            return "shaft"
        if region in ("distal", "proximal"):
            return "shaft" if shaft or _shaft_follows(table, words, last) else region
        if region == "shaft":
            shaft = True
        elif words[number].word in ("the", "of", "and", "to") or number == first - 1:
            continue
        elif (words[number].word in BREAKS) or shaft:
            break
    if shaft or _shaft_follows(table, words, last):
        return "shaft"
    following = [table.regions.get(word.word) for word in words[last + 1 : last + 3]]
    return next((region for region in following if region in ("distal", "proximal")), "whole")


def _joined(table: Lexicon, words: list[Token], last: int) -> int:
    """The last word of "femoral and tibial" (shaft fractures)."""
    joins = last + 2 < len(words) and words[last + 1].word in ("and", "or")
    return last + 2 if joins and {words[last].word, words[last + 2].word} <= table.adjectives else last


ENDS = frozenset(("head", "neck"))
BREAKS = frozenset("with but is are was were without no normal fracture show demonstrate".split())


def _shaft_follows(table: Lexicon, words: list[Token], last: int) -> bool:
    return any(table.regions.get(word.word) == "shaft" and word.word != "mid" for word in words[last + 1 : last + 2])


@cache
def _bone_entry(bone: str, region: str, weak: bool, name: bool) -> Entry:
    return Entry(lexicon().bones[bone][region], name=name, weak=weak)


def _level(text: str, words: list[Token], at: int) -> Mention | None:
    """A vertebra by letter and number: "L5", "T5-T11"."""
    word = words[at]
    letter = word.word
    if letter not in SPINE or at + 1 >= len(words) or words[at + 1].start != word.end or text[word.start] == letter:
        return None
    number = words[at + 1].word
    if not number.isdigit() or not 1 <= int(number) <= HIGHEST[letter]:
        return None
    return Mention(_level_entry(letter), at, at + 1, level=True)


def _of_a_bone(text: str, words: list[Token], at: int, last: int, found: list[Mention]) -> bool:
    """ "The fifth metacarpal neck" and "the head of the fibula" are no neck and no head; "chest, neck" is."""
    if last > at:
        return False
    if last + 1 < len(words) and words[last + 1].word == "of":
        return True
    return bool(found and found[-1].last == at - 1 and text[words[at - 1].end : words[at].start].isspace())


@cache
def _level_entry(letter: str) -> Entry:
    return Entry(((SPINE[letter],),), weak=True)


@cache
def table_of_words() -> dict[str, Any]:
    """lexicon.yaml as it stands, read once."""
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))


@cache
def lexicon() -> Lexicon:
    """Reads lexicon.yaml; raises ValueError where an entry stands twice with two meanings."""
    table = table_of_words()
    root, vocabulary, titles = _Node(), set(), set()
    for phrase, entry in _entries(table):
        words = _plain(phrase)
        vocabulary.update(words)
        if entry.name:
            titles.update(words)
        node = root
        for word in words:
            node = node.next.setdefault(word, _Node())
        if node.entry not in (None, entry):
            raise ValueError(f"{TABLE.name} gives {phrase!r} two meanings; keep one")
        node.entry = entry
    regions = {
        word: region
        for region, phrases in table["region_words"].items()
        for phrase in phrases
        if len(words := _plain(phrase)) == 1
        for word in words
    }
    return Lexicon(
        version=table["version"],
        root=root,
        bones={bone: {key: _tiers(row[key]) for key in row if key != "words"} for bone, row in table["bones"].items()},
        adjectives=frozenset(table["adjectives"]),
        regions=regions,
        neighbours={part: _groups(others) for part, others in table["neighbours"].items()},
        limbs={word: tuple(parts) for word, parts in table["limbs"].items()},
        toes=frozenset(word for phrase in table["toes"] for word in _plain(phrase)),
        titles=frozenset(titles - {"of", "the", "and"} | {*table["limbs"], "limb", "extremity"}),
        subtitles=frozenset(" ".join(_plain(phrase)) for phrase in table["subtitles"]),
        paired=frozenset(" ".join(_plain(phrase)) for phrase in table["paired"]),
        vocabulary=frozenset(vocabulary | set(regions)),
        mended=frozenset(
            word
            for word in {*root.next, *regions}
            if len(word) >= LONG and (word in regions or ((one := root.next[word].entry) is not None and not one.weak))
        ),
    )


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    for part, kinds in table["parts"].items():
        for kind in ("names", "words", "weak"):
            for phrase in kinds.get(kind, ()):
                if not any(phrase in row["words"] for row in table["bones"].values()):
                    yield phrase, Entry(((part,),), name=kind == "names", weak=kind == "weak")
    for row in table["shared"]:
        for phrase in row["words"]:
            yield phrase, Entry(_tiers(row["tiers"]), weak=row.get("weak", False), together=row.get("together", False))
    for phrase in table["nowhere"]:
        yield phrase, Entry(())
    for bone, row in table["bones"].items():
        for phrase in row["words"]:
            yield phrase, Entry(_tiers(row["whole"]), bone=bone, name=_is_name(table, phrase))


def _is_name(table: Mapping[str, Any], phrase: str) -> bool:
    return any(phrase in kinds["names"] for kinds in table["parts"].values())


def _tiers(rows: list[list[str]]) -> Tiers:
    return tuple(tuple(row) for row in rows)


def _groups(others: list[Any]) -> Tiers:
    return _tiers(others) if isinstance(others[0], list) else (tuple(others),)


def _plain(phrase: str) -> list[str]:
    irregular = _spelling()[1]
    return [irregular.get(word) or _singular(_american(word))[0] for word in phrase.lower().split()]


@cache
def _spelling() -> tuple[list[tuple[str, str]], dict[str, str], frozenset[str]]:
    table = table_of_words()
    return [tuple(pair) for pair in table["spelling"]], table["irregular"], frozenset(table["not_misspelt"])


def _american(word: str) -> str:
    for british, american in _spelling()[0]:
        word = word.replace(british, american)
    return word


def _plain_letters(word: str) -> str:
    """Without marks: Köhler as Kohler."""
    return (
        "".join(letter for letter in normalize("NFKD", word) if not combining(letter)) if not word.isascii() else word
    )


def _singular(word: str) -> tuple[str, bool]:
    word = re.sub(r"['\u2019]s$|['\u2019]$", "", word).replace("\u2019", "'")
    irregular = _spelling()[1]
    if word in irregular:
        return irregular[word], True
    if len(word) > 5 and word.endswith("ies") and word not in ("series", "species"):
        return word[:-3] + "y", True  # extremities
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1], True
    return word, False


@lru_cache(maxsize=50_000)
def _normal(word: str) -> tuple[str, bool]:
    irregular = _spelling()[1]
    if word in irregular:
        return irregular[word], True
    word, plural = _singular(_american(_plain_letters(word)))
    vocabulary = lexicon().vocabulary
    if len(word) < LONG or word in vocabulary or word in _spelling()[2]:
        return word, plural
    near = {known for key in _shorter(word) for known in _by_shorter().get(key, ())}
    near = {known for known in near if abs(len(known) - len(word)) <= 1 and _one_apart(word, known)}
    return (near.pop() if len(near) == 1 else word), plural


def _shorter(word: str) -> set[str]:
    return {word} | {word[:at] + word[at + 1 :] for at in range(len(word))}


@cache
def _by_shorter() -> dict[str, set[str]]:
    """Each long word of the lexicon under itself and itself less a letter."""
    table: dict[str, set[str]] = {}
    for word in lexicon().mended:
        for key in _shorter(word):
            table.setdefault(key, set()).add(word)
    return table


def _one_apart(word: str, known: str) -> bool:
    """One letter more, less or other, or two beside each other swapped; the first letter is right."""
    if word[0] != known[0]:
        return False
    if len(word) == len(known):
        differ = [at for at in range(len(word)) if word[at] != known[at]]
        if len(differ) == 1:
            return True
        return (
            len(differ) == 2
            and differ[1] == differ[0] + 1
            and word[differ[0]] == known[differ[1]]
            and word[differ[1]] == known[differ[0]]
        )
    longer, shorter = (word, known) if len(word) > len(known) else (known, word)
    return shorter in {longer[:at] + longer[at + 1 :] for at in range(len(longer))}
