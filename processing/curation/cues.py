"""Whether a sentence speaks of no film: history, comparison, technique, advice, the office."""

from .cue_words import (
    ASKS_FIRST,
    COMPARES,
    HISTORY_CERTAIN,
    HISTORY_LIKELY,
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
from .lexicon import mentions, tokens
from .schema import Reason


def reason_of(text: str, *, headed: bool, seen: bool) -> Reason | None:
    """Why a sentence under no telling heading speaks of no film, or None where it may.

    `headed`: it stands below findings or an impression, or says itself of which part it speaks. `seen`: something
    above spoke of the films; before that, and where it shows nothing itself, a word of complaint is enough.
    """
    if IRRELEVANT.search(text) or _recommends(text):
        return "irrelevant"
    shows = SHOWS.search(text) is not None
    if COMPARES.search(text) and not (shows and STILL_SHOWS.search(text)):
        return "comparison"
    if not shows and TECHNIQUE.search(text):
        return "technique"
    states = not text.startswith("?") and STATES.search(text)
    if HISTORY_CERTAIN.search(text) and not states:
        return "history"
    if (
        not headed
        and not (seen and shows)
        and HISTORY_LIKELY.search(text)
        and not states
        and not RADIOLOGIC.search(text)
    ):
        return "history"
    rest = OFFICES.sub(" ", text)
    if any(words.search(rest) for words in (SHOWS, PATHOLOGY, OF_FILMS, RADIOLOGIC)) or mentions(rest, tokens(rest)):
        return None
    if not headed and not seen:
        return "history"
    return None if MODIFIERS.search(text) else "irrelevant"


def says_finding(text: str, *, in_history: bool) -> bool:
    """Whether a sentence below a heading that says otherwise speaks of the films after all."""
    if in_history and HISTORY_LIKELY.search(text):
        return False
    return STATES.search(text) is not None and reason_of(text, headed=True, seen=True) is None


def names_a_view(text: str) -> bool:
    """Whether a title says how it was filmed: "AP and lateral left knee"."""
    return VIEWED.search(text) is not None


def _recommends(text: str) -> bool:
    """Advice alone. "Healing fracture, follow-up is advised" speaks of the film."""
    cue = RECOMMENDS.search(text)
    if cue is None or (SHOWN.search(text) and not WISHED.search(text)):
        return False
    if ASKS_FIRST.match(text) is not None:
        return True
    if PATHOLOGY.search(text, 0, cue.start()):
        return False
    told, comma, _ = text[: cue.start()].partition(",")  # "Suspected NEC, surgical consult advised"
    return not (comma and mentions(told, tokens(told)))
