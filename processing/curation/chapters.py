"""Reports that are several in one: "LEFT KNEE", its findings and impression, then "LEFT ANKLE" with its own."""

from collections.abc import Callable, Sequence

from .schema import Sentence
from .splitting import section_of
from .titles import is_title

NO_TEXT = ("history", "comparison", "technique")


def chapters(
    sentences: Sequence[Sentence], named: Callable[[str], frozenset[int] | None], everything: frozenset[int]
) -> dict[int, frozenset[int]]:
    """The parts of the chapter that each sentence lies in, by its number; empty for a report that is one whole.

    A chapter begins with a title right above a section's heading, or with a technique that names its part; without
    text on the films between them two beginnings are one. `named` says which parts a title means.
    """
    found: list[tuple[int, frozenset[int]]] = []
    spoken = True
    for at, sentence in enumerate(sentences):
        parts = named(sentence.text) if _begins(sentences, at) else None
        if parts:
            if spoken:
                found.append((sentence.number, parts))
            else:
                found[-1] = (found[-1][0], found[-1][1] | parts)
            spoken = False
        elif not sentence.heading and sentence.section not in NO_TEXT:
            spoken = True
    if len(found) < 2 or any(parts == everything for _, parts in found):
        return {}
    ends = [start for start, _ in found[1:]] + [len(sentences)]
    return {number: parts for (start, parts), end in zip(found, ends, strict=True) for number in range(start, end)}


def _begins(sentences: Sequence[Sentence], at: int) -> bool:
    sentence = sentences[at]
    if not sentence.heading:
        return sentence.section == "technique"
    following = sentences[at + 1] if at + 1 < len(sentences) else None
    return (
        following is not None
        and following.heading
        and section_of(following.text) is not None
        and section_of(sentence.text) is None
        and is_title(sentence.text)
    )
