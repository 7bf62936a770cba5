"""Cuts a report into sentences and headings, each a span of the report: `report[start:end]` is its text.

Every character that is no blank lies in exactly one piece. A heading (FINDINGS:, LEFT KNEE, the "2." of a list) is a
piece of its own with `heading` set, so that what is left are sentences. "Left knee: normal." stays whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from .cues import says_finding
from .lexicon import lexicon, table_of_words
from .schema import Sentence
from .titles import is_subtitle, is_title

LINE = re.compile(r"[^\n\r\v\f\x85\u2028\u2029]+")
MARKER = re.compile(
    r"(?:\(?\d{1,2}[.)](?!\d)|\(?[a-hA-H]\)|\((?:i{1,3}|iv|v)\)|(?:i{1,3}|iv)[.)](?=\s+[A-Z])|[-\u2013\u2014*•·‣▪●○>]+)(?=\s)|"
    r"\d{1,2}[.)](?=[A-Z][a-z])|[•·‣▪●○](?=\S)"
)
INLINE_MARKER = re.compile(
    r"\(?\d{1,2}[.)](?=\s*[A-Z(\"“])|\(?[b-h]\)(?=\s)"
)  # in running text, where a sentence may begin
GLUED_ITEM = re.compile(r"\d{1,2}[.)]\s*[A-Z]")
LABEL = re.compile(
    r"[*#_\[<=\s]*([^\W\d_][^:.;?!]{0,60}?)[*_\]>=\s]*(?::+[*_]*|\s[-\u2013\u2014]+)(?=\s|$|[A-Z]|\d[.)])"
)
BARE_LABEL = re.compile(r"[*#_\[<=\s]*([^:.;?!]{1,40}?)[*_\]>=\s.]*$")
STOP = re.compile(r"[.?!…]+[\"'”\u2019)\]]*|;")
TITLES = frozenset("dr drs mr mrs ms prof st vs e.g eg i.e ie cf fig figs approx ca viz resp dept".split())
BEFORE_NUMBER = frozenset(
    "no nos nr fig figs vol ref tel ext jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
ALONE = frozenset(  # of one word, these open a section without a colon too: "Report There is ..."
    "findings impression conclusion report opinion history indication technique comparison summary result "
    "results".split()
)
JOINING = frozenset(
    "a an the of and or with without at in on to from for by no is are was were which that than as into over under "
    "near within through between both left right distal proximal mild moderate severe small large there not measuring "
    "measures approximately".split()
)
SHORT = frozenset(
    "be it is up me us so go do".split()
)  # words of two letters that end a sentence, where others shorten one
GRADED = frozenset(
    "grade type stage class group zone level vitamin category herring weber catterall gartland waldenstrom stulberg "
    "lodwick graf tonnis crowe bado lenke ficat langenskiöld langenskiold sanders delbet salter-harris milch mason "
    "jakob".split()
)
OPENING = frozenset("There The No A An This These Two Three".split())
EDGE = 50  # characters of a line that a page's edge may have ended
PASSING = ("history", "comparison", "technique")
PARENTHESIS = 150  # characters within which an opened one has to close


def split(report: str) -> list[Sentence]:
    """The pieces of a report in its order, numbered from 0; an empty report has none."""
    pieces = [piece for block in _blocks(report) for piece in _pieces(report, block)]
    last_findings = max((number for number, piece in enumerate(pieces) if piece.opens == "findings"), default=-1)
    found = []
    section: str | None = None
    opened = False  # a section of those that end with their paragraph is open
    inline = filled = False  # it has text on its heading's line; it has text
    heading_block = -1
    for number, piece in enumerate(pieces):
        heading = piece.heading
        if piece.opens is not None:
            section = None if piece.opens == "later" else piece.opens
            opened, inline, heading_block = section in PASSING, False, piece.block
            filled = False
        elif opened:
            over = filled and piece.starts_block and (inline or piece.after_blank)
            if over and number > last_findings:
                section, opened = None, False
            elif filled and not heading and number > last_findings:
                text = report[piece.start : piece.end]
                if says_finding(text, in_history=section == "history"):  # "Comparison: None. There is no fracture."
                    section, opened = None, False
            elif section == "technique" and heading and not piece.marker:
                heading = False  # "EXAM:" and below it "XR left knee": what was filmed, not what comes next
            if not heading:
                inline = inline or piece.block == heading_block
                filled = True
        found.append(Sentence(number, piece.start, piece.end, report[piece.start : piece.end], section, heading))
    return found


@dataclass(frozen=True)
class _Block:
    """A line, or lines that only a page's edge has parted."""

    start: int
    end: int
    number: int
    after_blank: bool


@dataclass(frozen=True)
class _Piece:
    start: int
    end: int
    block: int
    starts_block: bool
    after_blank: bool
    heading: bool = False
    marker: bool = False
    opens: str | None = None  # the section that a heading opens


@cache
def _table() -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    table = table_of_words()
    sections = {name: section for section, names in table["sections"].items() for name in names}
    return sections, frozenset(table["abbreviations"]), frozenset(table["units"])


def section_of(label: str) -> str | None:
    """The section that a heading opens: history, comparison, technique, findings, impression, later; else None."""
    match = LABEL.match(label) or BARE_LABEL.match(label)
    if match is None:
        return None
    words = " ".join(match[1].lower().split())
    sections = _table()[0]
    if words in sections:
        return sections[words]
    words = re.sub(r"\(s\)", "s", words)
    words = re.sub(r"\s*\([^)]*\)", "", words)
    return sections.get(re.sub(r"\s*(?:/|&|\band\b)\s*", " and ", words)) or sections.get(words)


def _blocks(report: str) -> Iterator[_Block]:
    lines = []
    for match in LINE.finditer(report):
        text = match[0].strip()
        if text:
            start = match.start() + len(match[0]) - len(match[0].lstrip())
            lines.append((start, start + len(text), text))
    edge = max((len(text) for _, _, text in lines), default=0)
    low_style = sum(text[0].islower() for _, _, text in lines) * 2 > len(lines)
    start = end = number = 0
    after_blank = False
    held: str | None = None
    for begin, stop, text in lines:
        blank = report.count("\n", end, begin) > 1 or report.count("\r", end, begin) > 1 + report.count(
            "\n", end, begin
        )
        if held is not None and not blank and _joins(held, text, edge, low_style):
            end, held = stop, text
            continue
        if held is not None:
            yield _Block(start, end, number, after_blank)
            number += 1
        start, end, held, after_blank = begin, stop, text, blank
    if held is not None:
        yield _Block(start, end, number, after_blank)


def _joins(before: str, line: str, edge: int, low_style: bool) -> bool:
    """Whether a line goes on with the sentence of the one before."""
    if MARKER.match(line) or _is_heading_line(line) or _is_heading_line(before):
        return False
    label = LABEL.match(line)
    if label is not None and (section_of(label[0]) is not None or is_title(label[1])):
        return False
    last = before.split()[-1]
    word = last.lower().lstrip("(")
    if word.endswith("."):
        return word[:-1] in TITLES and word not in ("st.", "ca.")
    if before[-1] in ".?!;:":
        return False
    if before[-1] in ",-/(&+" or word in JOINING or before.rfind("(") > before.rfind(")"):
        return True
    full = edge >= EDGE and len(before) + 1 + len(line.split()[0]) > edge
    if line[0].islower():
        return full or not low_style
    return full and not (line[0].isupper() and len(before) == edge and before.isupper())


def _is_heading_line(line: str) -> bool:
    if len(line) > 90 or line.lower().startswith("the "):
        return False
    if line.endswith(":") and ":" not in line[:-1] and len(line.split()) <= 8 and not re.search(r"[.;?!]\s", line):
        return True
    bare = BARE_LABEL.match(line)
    if bare is not None and section_of(line) is not None and LABEL.match(line) is None:
        return True
    return is_title(line) or is_subtitle(line)


def _pieces(report: str, block: _Block) -> Iterator[_Piece]:
    at = block.start
    first = True

    def piece(start: int, end: int, **kind: object) -> _Piece:
        return _Piece(start, end, block.number, first, block.after_blank, **kind)  # type: ignore[arg-type]

    listed = ""  # the next item of the list
    while at < block.end:
        marker = (MARKER if first else INLINE_MARKER).match(report, at, block.end)
        if marker is not None:
            yield piece(at, marker.end(), heading=True, marker=True)
            first, at = False, _skip(report, marker.end(), block.end)
            whole_line = True
            listed = _next_item(marker[0])
        else:
            whole_line = first
        if at >= block.end:
            return
        length, opens = _heading(report, at, block.end, whole_line)
        if length:
            yield piece(at, at + length, heading=True, opens=opens)
            first, at = False, _skip(report, at + length, block.end)
            continue
        end = _sentence_end(report, at, block.end)
        if listed:  # "1. Clear lungs 2. Normal heart"
            unstopped = re.compile(rf"\s+(?=\(?{listed}\s+[A-Z])").search(report, at, block.end)
            end = min(end, unstopped.start()) if unstopped else end
        empty = not any(letter.isalnum() for letter in report[at:end])
        yield piece(at, end, heading=empty, marker=empty)
        first, at = False, _skip(report, end, block.end)


def _next_item(marker: str) -> str:
    """A pattern of what follows "1." or "a)" in its list; empty where nothing counts."""
    digits, letter = re.search(r"\d+", marker), re.search(r"[a-g](?=\))", marker)
    if digits:
        return rf"{int(digits[0]) + 1}[.)]"
    return rf"{chr(ord(letter[0]) + 1)}\)" if letter else ""


def _skip(report: str, at: int, end: int) -> int:
    while at < end and report[at].isspace():
        at += 1
    return at


def _heading(report: str, at: int, end: int, whole_line: bool) -> tuple[int, str | None]:
    """How many characters from `at` on are a heading, and the section it opens; 0 where a sentence begins."""
    label = LABEL.match(report, at, min(end, at + 90))
    if label is not None:
        opens = section_of(label[0])
        colon = ":" in label[0]
        if opens is not None and (colon or label[1].isupper()):
            return label.end() - at, opens
        rest = report[label.end() : end]
        if colon and not rest.strip() and whole_line:
            return label.end() - at, None
        if colon and label[1].isupper() and not _is_capitals(rest) and is_title(label[1]):
            return label.end() - at, None
    if not whole_line:
        return 0, None
    line = report[at:end]
    if _is_heading_line(line):
        return end - at, section_of(line)
    return _bare_heading(line)


def _bare_heading(line: str) -> tuple[int, str | None]:
    """A section's name before text, without a colon: "FINDINGS The lungs", "Clinical details Hip pain"."""
    words = [match for _, match in zip(range(5), re.finditer(r"\S+", line), strict=False)]
    sections = _table()[0]
    for count in range(min(4, len(words) - 1), 0, -1):
        name = line[: words[count - 1].end()]
        opens = sections.get(" ".join(name.lower().split()))
        if opens in (None, "later") or not (line[words[count].start()].isupper() or not name.isupper()):
            continue
        following = words[count][0]
        in_capitals = name.isupper() and not _is_capitals(line[len(name) :])
        by_words = name[0].isupper() and following[0].isupper() and (count > 1 or name.lower() in ALONE)
        if (in_capitals and len(name) > 2) or (by_words and not name.isupper()):
            return len(name), opens
    for count in range(min(4, len(words) - 1), 0, -1):
        if words[count][0] in OPENING and line[0].isupper() and is_title(line[: words[count - 1].end()]):
            return words[count - 1].end(), None  # "Left knee There is no effusion"
    return 0, None


def _is_capitals(text: str) -> bool:
    letters = [letter for letter in text[:80] if letter.isalpha()]
    return sum(letter.isupper() for letter in letters) > 0.7 * len(letters)


def _sentence_end(report: str, start: int, end: int) -> int:
    for stop in STOP.finditer(report, start, end):
        at = stop.end()
        if at >= end:
            return end
        if _ends_sentence(report, start, stop.start(), at, end) and not _in_parenthesis(report, start, at, end):
            return at
    return end


def _in_parenthesis(report: str, start: int, at: int, end: int) -> bool:
    opened = report.count("(", start, at) > report.count(")", start, at)
    return opened and ")" in report[at : min(end, at + PARENTHESIS)]


def _ends_sentence(report: str, start: int, stop: int, at: int, end: int) -> bool:
    sign = report[stop]
    following = report[at]
    words_before = report[start:stop].split()
    if not words_before:
        return False
    if sign == ";":
        return len(words_before) > 1 and len(report[at:end].split()) > 1
    if not following.isspace():
        word = words_before[-1]  # "normal.No fracture"
        if sign != "." or at != stop + 1:
            return False
        if GLUED_ITEM.match(report, at):  # "effusion.2.Right hip"
            return word.isalpha() and len(word) > 2
        whole = len(word) > 2 or word in _table()[2]
        return following.isupper() and whole and word[-2:].islower()
    if sign == "?" and report[stop - 1].isspace():
        return False  # "? fracture"
    upcoming = report[_skip(report, at, end) : end]
    following = upcoming[0]
    if sign != ".":
        return sign != "…" or not following.islower()
    if report.startswith("...", stop):
        return not following.islower()
    return _period_ends(words_before, upcoming)


def _period_ends(words: list[str], upcoming: str) -> bool:
    token = words[-1].lstrip("([\"'")
    word = token.lower()
    following = upcoming[0]
    _, abbreviations, units = _table()
    if not word:  # "( . left"
        return following.isupper()
    if word in TITLES:
        return False
    if word in BEFORE_NUMBER and following.isdigit():
        return False
    if word in abbreviations or word in units or ("." in word.strip(".") and not word[-1].isdigit()):
        if len(word) == 1 and word not in "lr":
            return _after_initial(words, following)
        if word in ("l", "r", "lt", "rt", "ant", "post", "prox", "dist", "lat", "med", "sup", "inf", "ap", "pa"):
            next_word = re.match(r"\w+", upcoming)
            known = next_word is not None and next_word[0].lower().rstrip("s") in lexicon().vocabulary
            return following.isupper() and not (known and following.isupper())
        return following.isupper() or following in '"“(-•'
    if len(token) == 1 and token.isalpha():
        return _after_initial(words, following)
    if token.isdigit():
        return not following.isdigit() and not following.islower()
    if following.islower():
        return (len(word) > 2 and word[-1].isalpha()) or word in SHORT or word[-1] in ")%°"
    return True


def _after_initial(words: list[str], following: str) -> bool:
    """ "grade A. No" ends a sentence, "signed by: J. Doe" does not."""
    before = words[-2] if len(words) > 1 else ""
    if before.lower() in GRADED:
        return following.isupper()
    is_name = not before or before[-1] in ".:," or before[0].isupper() or before.lower() in ("by", "and", "with")
    return following.isupper() and not is_name
