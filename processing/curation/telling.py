"""Which of the anatomy that a sentence names says where: a bone's end before the bone, a vertebra before the spine."""

from collections.abc import Sequence

from .lexicon import Mention, Token
from .walk_words import CLAUSE, ON_FILM

SPINES = frozenset(("whole_spine", "cervical_spine", "thoracic_spine", "lumbar_spine"))
TRUNK = frozenset(("chest", "abdomen"))


def telling_of(found: list[Mention], words: Sequence[Token]) -> list[Mention]:
    """The mentions that decide; weak ones only where there are no others."""
    telling = _without_outer_bones([mention for mention in found if not mention.entry.weak], words) or found
    return _with_levels(telling, found)


def _with_levels(telling: list[Mention], found: list[Mention]) -> list[Mention]:
    """ "Wedging of T6" speaks of that vertebra's film: of words for any spine, those that name a level decide."""
    levels = [mention for mention in found if mention.level]
    if any(mention.entry.together for mention in telling):
        return telling
    if not all(_experts(mention) <= SPINES for mention in telling):
        of_trunk = any(TRUNK.intersection(mention.entry.tiers[0]) for mention in telling)  # a tube's tip at T4
        return telling if of_trunk else [*telling, *(mention for mention in levels if mention not in telling)]
    exact = [m for m in found if not m.level and len(_experts(m) - {"whole_spine"}) == 1 and _experts(m) <= SPINES]
    return exact or levels or telling


def _experts(mention: Mention) -> set[str]:
    return {expert for tier in mention.entry.tiers for expert in tier}


def _without_outer_bones(found: list[Mention], words: Sequence[Token]) -> list[Mention]:
    """ "Supracondylar fracture of the humerus" speaks of the elbow: a bone that says whose end it is, is left out."""
    kept = []
    for at, mention in enumerate(found):
        if len(mention.entry.tiers) > 1 and at and mention.bone_whole:
            inner = found[at - 1]
            between = [word.word for word in words[inner.last + 1 : mention.first]]
            beside = words[mention.first].start == words[inner.last].end + 1  # not "the shoulder, humerus or elbow"
            linked = (not between and beside) or ("of" in between and len(between) <= 4)
            if linked and set(inner.entry.tiers[0]) & set(mention.entry.tiers[1]):
                continue
        kept.append(mention)
    return kept


def on_film(text: str, words: Sequence[Token], telling: list[Mention]) -> list[Mention]:
    """What names the film in "... is seen on the spine film", where the sentence speaks of nothing else."""
    found = list(ON_FILM.finditer(text))
    if len(found) != 1:
        return []
    start, end = found[0].span()
    cuts = [cut.start() for cut in CLAUSE.finditer(text)]
    first = max((cut for cut in cuts if cut < start), default=-1)
    last = min((cut for cut in cuts if cut >= end), default=len(text))
    if any(not first < words[m.first].start < last for m in telling):
        return []
    return [m for m in telling if start < words[m.first].start < end]
