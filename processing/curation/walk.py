"""One report, read from above: what was spoken of last, which heading rules, and so what each sentence speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .chapters import chapters
from .cues import names_a_view, reason_of
from .filmed import SURE, Filmed
from .lexicon import ENDS, Mention, mentions, tokens
from .memory import Memory
from .schema import Reason, Sentence, Study
from .sides import OTHER_SIDE, Sided
from .splitting import section_of
from .telling import TRUNK, on_film, telling_of
from .titles import is_subtitle, is_title, unfit
from .walk_words import (
    ALL_PARTS,
    BONES,
    BOTH_SIDES,
    DENIES,
    EVERYWHERE,
    FRAME,
    GENERAL,
    LABEL,
    NOT_IN_VIEW,
    SIDE_TITLE,
    THROUGHOUT,
)


@dataclass
class _Place:
    """What was spoken of last, since the section began."""

    heading: frozenset[int] | None = None  # the parts of a heading that rules; empty: a part that was not filmed
    current: frozenset[int] | None = None
    inline: bool = False  # the heading stands before text on its line, and may rule that line alone
    spoken: tuple[frozenset[int], ...] = ()  # all that was spoken of, in turn


@dataclass
class Answer:
    parts: dict[int, tuple[frozenset[int], str]] = field(default_factory=dict)
    dropped: dict[int, Reason] = field(default_factory=dict)


class Walk:
    """One report, read from above; the impression last, because it sums up what may stand below it."""

    def __init__(self, study: Study, sentences: Sequence[Sentence]):
        self.report = study.report
        self.sentences = sentences
        self.filmed = Filmed(study.parts)
        self.found = Answer()
        self.place = _Place()
        self.later = False  # below "Signed by:" or "Recommendation:"
        self.seen = False  # something above spoke of the films
        self.memory = Memory()
        self.spread = False  # the sentence that is read says "throughout"
        self.recalled: frozenset[int] = frozenset()  # of whose findings a sentence of the impression has words
        self.said: frozenset[str] = frozenset()  # the anatomy's words in the sentence that is read
        labels = [match for one in sentences if (match := LABEL.match(one.text)) is not None]
        self.views = len({view for label in labels if (view := self.filmed.of_view(label[1])) is not None}) > 1
        several = len(study.parts) > 1
        self.chapters = chapters(sentences, self._named, self.filmed.all) if several else {}

    def answer(self) -> Answer:
        runs: list[list[Sentence]] = [[]]
        for sentence in self.sentences:
            if sentence.heading and section_of(sentence.text) is not None:
                runs.append([])
            runs[-1].append(sentence)
        for run in sorted(runs, key=lambda run: bool(run) and run[0].section == "impression"):
            self._run(run)
        return self.found

    def _run(self, run: list[Sentence]) -> None:
        chapter = self.chapters.get(run[0].number) if run else None
        self.place, self.later = _Place(chapter, chapter), False
        before: Sentence | None = None
        for sentence in run:
            if sentence.heading:
                self.found.dropped[sentence.number] = "heading"
                self._heading(sentence)
            else:
                self._sentence(sentence, before)
            before = sentence
            if sentence.section in ("findings", "impression"):
                self.seen = True

    def _heading(self, sentence: Sentence) -> None:
        opens = section_of(sentence.text)
        if opens is not None:
            self.later = opens == "later"
            return
        parts = self._named(sentence.text)
        if parts is None:
            parts = self.filmed.of_view(sentence.text, self.place.current or frozenset())
        if parts is None:
            parts = self._side_named(sentence.text)
        if parts is not None:
            line_ends = self.report.find("\n", sentence.end)
            rest = self.report[sentence.end : line_ends if line_ends >= 0 else len(self.report)]
            self._rule(parts, inline=bool(rest.strip()))

    def _rule(self, parts: frozenset[int], *, inline: bool) -> None:
        """A heading's parts rule what follows; a title that names all of them rules nothing."""
        whole = parts == self.filmed.all and len(parts) > 1
        self.place.heading = None if whole else parts
        self.place.current = None if whole else parts
        self.place.inline = inline
        self.place.spoken += (parts,)

    def _named(self, text: str) -> frozenset[int] | None:
        """The parts that a title names; empty where it names only others, None where it names none."""
        words = tokens(text)
        found = mentions(text, words)
        if not found:
            return None
        sided = Sided(text, words, found)
        parts: frozenset[int] = frozenset()
        for mention in found:
            side = sided.of(mention)
            hit = self.filmed.find(mention.entry, side.side, frozenset())
            if hit is None and not side.close:
                hit = self.filmed.find(mention.entry, None, frozenset())
            parts |= hit.parts if hit is not None else frozenset()
        return parts

    def _side_named(self, text: str) -> frozenset[int] | None:
        """The parts below "RIGHT:", those of that side that are like what was spoken of."""
        match = SIDE_TITLE.fullmatch(text)
        if match is None:
            return None
        side = "left" if match[1].lower().startswith("l") else "right"
        experts = {self.filmed.experts[n] for n in self.place.current or self.filmed.sided}
        alike = frozenset(n for n in self.filmed.sided if self.filmed.experts[n] in experts)
        return self.filmed.of_side(alike, side) or None

    def _sentence(self, sentence: Sentence, before: Sentence | None) -> None:
        text = " ".join(sentence.text.split())
        reason = self._reason(sentence, text)
        if reason is None and is_title(text):
            self.found.dropped[sentence.number] = "technique" if names_a_view(text) else "heading"
            parts = self._named(text)
            if parts is not None:
                self._rule(parts, inline=False)
            return
        if reason is not None:
            self.found.dropped[sentence.number] = reason
            return
        self.seen = True
        parts, how = self._parts(sentence, text, before)
        if not parts:
            self.found.dropped[sentence.number] = "unassigned"
            return
        self.found.parts[sentence.number] = (parts, how)
        self.place.current = parts
        self.place.spoken += (parts,)
        if sentence.section != "impression" and not DENIES.search(text):
            self.memory.add(text, parts)

    def _reason(self, sentence: Sentence, text: str) -> Reason | None:
        if self.later:
            return "irrelevant"
        if sentence.section in ("history", "comparison", "technique"):
            return sentence.section  # type: ignore[return-value]
        headed = sentence.section is not None or self._labelled(text)
        return reason_of(text, headed=headed, seen=self.seen)

    def _labelled(self, text: str) -> bool:
        label = LABEL.match(text)
        return label is not None and is_title(label[1])

    def _parts(self, sentence: Sentence, text: str, before: Sentence | None) -> tuple[frozenset[int], str]:
        label = LABEL.match(text)
        labelled = False
        view = self.filmed.of_view(label[1], self.place.current or frozenset()) if label is not None else None
        if view and not self.views:
            return view, "heading"
        if label is not None and (view or is_title(label[1]) or SIDE_TITLE.fullmatch(label[1])):
            named = view or self._named(label[1])
            if named is None:
                named = self._side_named(label[1])
            if named is not None:
                labelled = True
                self._rule(named, inline=True)
                if named == self.filmed.all and len(named) > 1:
                    return named, "heading"
                text = text[label.end() :]
        line_of_all = EVERYWHERE.search(text) or (label is not None and is_subtitle(label[1]))
        if line_of_all and not labelled and self.place.inline and self._begins_anew(sentence, before):
            self.place.heading = self.place.current = None
        words = tokens(text)
        found = mentions(text, words)
        sided = Sided(text, words, found)
        self.said = frozenset().union(*(mention.words for mention in found))
        found = [m for m in found if not sided.is_masked(words[m.first])]
        telling = telling_of(found, words)
        self.spread = THROUGHOUT.search(text) is not None
        sums_up = sentence.section == "impression" and not DENIES.search(text)
        self.recalled = self.memory.parts_like(text, least=2) if sums_up else frozenset()
        if self.place.heading is not None:
            answer = self._under_heading(self.place.heading, text, telling, sided, labelled)
            if answer is not None:
                return answer
        elif telling:
            frame = FRAME.match(text)
            framed = [m for m in telling if frame and m.entry.name and words[m.last].end <= frame.end()]
            there = on_film(text, words, telling)
            if there:
                framed, telling = there, [*there, *(m for m in telling if m not in there)]
            hit = self._by_mentions(text, framed, telling, sided)
            if hit is not None:
                return hit
        return self._unnamed(sentence, text, sided, before)

    def _under_heading(
        self, heading: frozenset[int], text: str, telling: list[Mention], sided: Sided, labelled: bool
    ) -> tuple[frozenset[int], str] | None:
        others: frozenset[int] = frozenset()
        own: frozenset[int] = frozenset()
        strange = False
        hits = [
            (mention, side := sided.of(mention), self._find(mention, side.side, side.close)) for mention in telling
        ]
        for mention, side, hit in hits:
            if hit is None or hit[1] != "name":
                continue
            if hit[0] & heading:
                own |= hit[0] if mention.both or side.side == "both" else hit[0] & heading
            elif not (labelled and any(self.filmed.shows(n, mention.entry) for n in heading)):
                others |= hit[0]
        for mention, side, hit in hits:
            if (hit is not None and hit[1] == "name") or any(self.filmed.shows(n, mention.entry) for n in others):
                continue
            showing = frozenset(n for n in heading if self.filmed.shows(n, mention.entry))
            showing = self.filmed.of_side(showing, side.side) or (showing if not side.close else frozenset())
            if showing:
                own |= showing
            elif hit is not None and hit[1] != "neighbour":
                others |= hit[0]
            elif mention.entry.name and not mention.words <= ENDS:
                strange = True
        if others and not own:
            self.place.heading = None
            return others, "name"
        if own or others:
            return own | others, "heading"
        if strange and not NOT_IN_VIEW.search(text):
            return frozenset(), "heading"
        if not heading:
            return heading, "heading"
        if BOTH_SIDES.search(text):
            experts = {self.filmed.experts[n] for n in heading}
            return frozenset(n for n in self.filmed.all if self.filmed.experts[n] in experts), "heading"
        sides = sided.told() - {"both"}
        chosen = self.filmed.of_side(heading, next(iter(sides))) if len(sides) == 1 else heading
        return chosen or heading, "heading"

    def _find(
        self, mention: Mention, side: str | None, close: bool, beside: frozenset[int] = frozenset()
    ) -> tuple[frozenset[int], str] | None:
        """The parts of one mention; `beside`: those of others in its sentence.

        A singular without a side is on the side that was spoken of.
        """
        called = self.filmed.called(mention.words)
        if called:
            return self.filmed.of_side(called, side) or called, "name"
        spoken_of = frozenset() if self.spread else beside or self.recalled or self.place.current or frozenset()
        hit = self.filmed.find(mention.entry, side, spoken_of)
        if hit is None and side is not None and not close:
            hit = self.filmed.find(mention.entry, None, spoken_of)
        if hit is None:
            return None
        parts = self.filmed.named_best(hit.parts, self.said)
        if side is None and len(parts) > 1 and not mention.both:
            sides = {self.filmed.parts[n].laterality for n in spoken_of if n in self.filmed.sided}
            same = parts & spoken_of
            if same and len({self.filmed.experts[n] for n in parts}) == 1:
                parts = same
            elif len(sides) == 1:
                parts = self.filmed.of_side(parts, next(iter(sides))) or parts
        return parts, hit.how

    def _by_mentions(
        self, text: str, framed: list[Mention], telling: list[Mention], sided: Sided
    ) -> tuple[frozenset[int], str] | None:
        hits = []
        frame: frozenset[int] = frozenset()
        plain: frozenset[int] = frozenset()  # parts of what has but one place, for what has several: "toe ... phalanx"
        for mention in telling:
            if len(mention.entry.tiers[0]) == 1 and len(mention.entry.tiers) == 1:
                side = sided.of(mention)
                hit = self._find(mention, side.side, side.close)
                plain |= hit[0] if hit is not None and hit[1] != "neighbour" else frozenset()
        for mention in telling:
            side = sided.of(mention)
            hit = self._find(mention, side.side, side.close, plain)
            if hit is None:
                continue
            if mention in framed and hit[1] != "neighbour":
                frame |= hit[0]
            elif any(self.filmed.shows(number, mention.entry) for number in frame):
                continue
            hits.append((mention, hit))
        if hits:
            for other in sided.left_over():
                again = self.filmed.find(hits[0][0].entry, other, frozenset())
                if again is not None and again.how == hits[0][1][1]:
                    hits.append((hits[0][0], (again.parts, again.how)))
            sure = frozenset(part for _, hit in hits if hit[1] != "neighbour" for part in hit[0])
            near = [
                hit
                for mention, hit in hits
                if hit[1] != "neighbour" or not any(self.filmed.shows(part, mention.entry) for part in sure)
            ]
            parts = frozenset(part for numbers, _ in near for part in numbers)
            return parts, min((how for _, how in near), key=SURE.__getitem__)
        if all(mention.entry.weak or mention.words <= ENDS for mention in telling) or NOT_IN_VIEW.search(text):
            return None
        return frozenset(), "name"

    def _unnamed(
        self, sentence: Sentence, text: str, sided: Sided, before: Sentence | None
    ) -> tuple[frozenset[int], str]:
        """The parts of a sentence that names no anatomy."""
        everything = self.filmed.all
        if len(everything) == 1:
            return everything, "only"
        if ALL_PARTS.search(text):
            return everything, "all"
        current = self.place.current
        if sentence.section == "impression" and not DENIES.search(text):
            remembered = self.memory.parts_like(text)
            if remembered:
                return remembered, "remembered"
        if current is None:
            sides = sided.told()
            if len(sides) == 1 and "both" not in sides:
                one_side = self.filmed.of_side(self.filmed.sided, next(iter(sides)))
                if one_side:
                    return one_side, "all"
            return self._possible(text), "all"
        if self.spread and self.place.heading is None and GENERAL.search(text):
            return everything, "all"
        if sentence.section is None and not DENIES.search(text):
            remembered = self.memory.parts_like(text, least=2)
            if remembered and not remembered & current:
                return remembered, "remembered"
        current = self._fitting(text, current)
        experts = {self.filmed.experts[n] for n in current}
        alike = frozenset(n for n in everything if self.filmed.experts[n] in experts)
        sides = sided.told()
        if "both" in sides or {"left", "right"} <= sides:
            return alike, "carried"
        if OTHER_SIDE.search(text) and alike - current:
            return alike - current, "carried"
        if sides:
            side = next(iter(sides))
            same = self.filmed.of_side(alike, side)
            return same or self.filmed.of_side(self.filmed.sided, side) or self._last_of(side) or current, "carried"
        spoken = frozenset().union(*self.place.spoken)
        if self._begins_anew(sentence, before) and EVERYWHERE.search(text) and spoken == everything:
            return everything, "all"
        if BONES.search(text) and experts <= TRUNK and TRUNK.issuperset(self.filmed.experts):
            return everything, "all"  # bones are no part of the chest's or the abdomen's own
        return current, "carried"

    def _last_of(self, side: str) -> frozenset[int]:
        """What was spoken of last and has that side: a pelvis has a right one, a left hip has none."""
        of_side = (self.filmed.of_side(parts, side) for parts in reversed(self.place.spoken))
        return next((parts for parts in of_side if parts), frozenset())

    def _possible(self, text: str) -> frozenset[int]:
        """All parts that a text without anatomy can speak of."""
        cannot = unfit(text)
        return frozenset(n for n in self.filmed.all if self.filmed.experts[n] not in cannot) or self.filmed.all

    def _fitting(self, text: str, current: frozenset[int]) -> frozenset[int]:
        """What was spoken of last and can be meant: a knee has no diaphysis, a shaft no loose body."""
        fits = self._possible(text)
        if current & fits:
            return current
        recent = (parts & fits for parts in reversed(self.place.spoken))
        return next((parts for parts in recent if parts), fits) or current

    def _begins_anew(self, sentence: Sentence, before: Sentence | None) -> bool:
        return before is not None and not before.heading and "\n" in self.report[before.end : sentence.start]
