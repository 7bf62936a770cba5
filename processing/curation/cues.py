"""Whether a sentence speaks of no film: history, comparison, technique, advice, the office."""

import re

from .cue_words import (
    ASKS_FIRST,
    COMPARES,
    IRRELEVANT,
    MODIFIERS,
    OF_FILMS,
    OFFICES,
    PATHOLOGY,
    RADIOLOGIC,
    RECOMMENDS,
    SHOWN,
    SHOWS,
    STATES,
    STILL_SHOWS,
    TECHNIQUE,
    VIEWED,
    WISHED,
)
from .history_words import HISTORY_CERTAIN, HISTORY_LIKELY
from .lexicon import mentions, tokens
from .schema import Reason

CLAUSES = re.compile(r"[,;:] |\s(?:but|although|though|and)\s")
CONCEDES = re.compile(r"(?:although|though|despite|even though|while)\b")
HEALED = re.compile(r"\b(?:heal|unit)ed\b")


def reason_of(text: str, *, headed: bool, seen: bool) -> Reason | None:
    """Why a sentence under no telling heading speaks of no film, or None where it may.

    `headed`: it stands below findings or an impression, or says itself of which part it speaks. `seen`: something
    above spoke of the films; before that, and where it shows nothing itself, a word of complaint is enough, and so is
    saying nothing that reports say of films.
    """
    low = text.lower()
    office = IRRELEVANT.search(low)
    if (office and not _tells_beside(low, office)) or _recommends(low):
        return "irrelevant"
    shows = SHOWS.search(low) is not None
    if COMPARES.search(low) and not (shows and STILL_SHOWS.search(low)):
        return "comparison"
    if not shows and TECHNIQUE.search(low):
        return "technique"
    if low.startswith("?") or not STATES.search(low):
        if HISTORY_CERTAIN.search(low):
            return "history"
        complaint = not headed and not (seen and shows) and HISTORY_LIKELY.search(low)
        if complaint and not RADIOLOGIC.search(low):
            return "history"
    rest = OFFICES.sub(" ", low)
    if any(words.search(rest) for words in (SHOWS, PATHOLOGY, OF_FILMS, RADIOLOGIC)):
        return None
    told = text if rest == low else rest
    if mentions(told, tokens(told)):
        return None
    if not headed and not seen:
        return "history"
    return None if MODIFIERS.search(low) else "irrelevant"


def says_finding(text: str, *, in_history: bool) -> bool:
    """Whether a sentence below a heading that says otherwise speaks of the films after all."""
    low = text.lower()
    if in_history and HISTORY_LIKELY.search(low):
        return False
    return STATES.search(low) is not None and reason_of(text, headed=True, seen=True) is None


def names_a_view(text: str) -> bool:
    """Whether a title says how it was filmed: "AP and lateral left knee"."""
    return VIEWED.search(text.lower()) is not None


def _recommends(low: str) -> bool:
    """Advice alone. "Healing fracture, follow-up is advised" speaks of the film."""
    cue = RECOMMENDS.search(low)
    if cue is None or (SHOWN.search(low) and not WISHED.search(low)):
        return False
    told = low[: cue.start()]
    if (shown := SHOWN.search(told)) and PATHOLOGY.search(told, shown.end()):
        return False
    if ASKS_FIRST.match(low) is not None:  # "Repeat views: the fracture has healed"
        tells = not WISHED.search(low) and PATHOLOGY.search(low, cue.end())
        return not (tells and (":" in low or RADIOLOGIC.search(low) or HEALED.search(low)))
    if PATHOLOGY.search(told):
        return False
    first = told.partition(",")[0] if "," in told else told if cue[0] in ("is suggested", "are suggested") else ""
    return not (first and mentions(first, tokens(first)))  # "Suspected NEC, surgical consult advised"


def _tells_beside(low: str, office: re.Match[str]) -> bool:
    """Whether another clause tells a finding: "tension pneumothorax, discussed with ..."."""
    if CONCEDES.match(low) and PATHOLOGY.search(low) and mentions(low, tokens(low)):
        return True
    at = 0
    for cut in [*CLAUSES.finditer(low), None]:
        end = cut.start() if cut else len(low)
        clause = low[at:end]
        beside = end <= office.start() or at >= office.end()
        tells = beside and PATHOLOGY.search(clause) and not IRRELEVANT.search(clause)
        if tells and (clause.startswith(("no ", "there is")) or mentions(clause, tokens(clause))):
            return True
        at = cut.end() if cut else end
    return False
