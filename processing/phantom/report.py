"""Writes the consolidated report of a phantom study, and knows what each sentence speaks of.

The phrasings are data: phrases_a.yaml and phrases_b.yaml. This file knows who is allowed to say what, and when.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .applicable import APPLICABLE, GROUPS
from .phrases import UNUSUAL_BONE_AGE, bare, capital, fill, listed, load_phrases
from .radiologist import HEDGED, STYLES, Words, make_sentence
from .records import ARTHRITIS_CONCEPTS, Exam, Finding, Patient, Report, Sentence
from .report_context import Context

PLURALS = {"foot": "feet", "femur": "femurs", "humerus": "humeri"}


@dataclass(frozen=True)
class Draft:
    """A sentence whose part may still have to be named."""

    template: str
    exams: tuple[int, ...]
    kind: str
    findings: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    terse: bool = False


def write_report(
    patient: Patient, exams: Sequence[Exam], *, wording: str = "a", radiologist: int, random: np.random.Generator
) -> Report:
    """One report on all exams of a study. The same arguments and state of the generator write the same report."""
    if not exams:
        raise ValueError("a report needs at least one exam")
    style = STYLES[radiologist % len(STYLES)]
    words = Words(load_phrases(wording), style, random)
    sections = Context(patient, exams, words).sections()  # first, so that no draw for it depends on the findings
    body = Body(patient, exams, words)
    sections["findings"] += body.sentences()
    sections["impression"] = body.impression() if style.impression else []
    sentences: list[Sentence] = []
    lines: list[str] = []
    for name in style.order.split():
        section = sections[name]
        if not section:
            continue
        line = ""
        if style.headings:
            heading = words.pick(words.phrases["headings"][name])
            sentences.append(words.heading(heading))
            line = sentences[-1].text
        number = 0
        for sentence in section:
            if sentence.kind == "heading":
                lines.append(line)
                line = sentence.text
            elif style.numbered and name in ("findings", "impression") and sentence.exams:
                number += 1
                lines.append(line)
                line = f"{number}. {sentence.text}"
            else:
                line = f"{line} {sentence.text}".lstrip()
        sentences += section
        lines.append(line)
    text = "\n".join(line for line in lines if line)
    return Report(text=text, sentences=tuple(sentences), wording=wording, radiologist=radiologist)


class Body:
    """The sentences that speak of the exams."""

    def __init__(self, patient: Patient, exams: Sequence[Exam], words: Words):
        self.exams = exams
        self.words = words
        self.style = words.style
        self.phrases = words.phrases
        unusual = {UNUSUAL_BONE_AGE} if abs(patient.bone_age_months - patient.age_months) > 12 else set()
        self.present = [{finding.name for finding in exam.findings} for exam in exams]
        self.contradicting = [present | unusual for present in self.present]
        self.denied: list[set[str]] = [set() for _ in exams]
        self.said: list[set[Any]] = [set() for _ in exams]  # normal statements, by template and by what they claim
        self.hedged: set[tuple[int, Finding]] = set()
        self.with_headings = bool(self.style.headings) and self.style.part_headings and len(exams) > 1

    def sentences(self) -> list[Sentence]:
        merges = len(self.exams) > 1 and not self.with_headings
        in_both, both = self._in_both_sides() if merges else (set(), [])
        several = [draft for draft in [self._several()] if draft] if merges else []
        positives: list[list[Draft]] = []
        quiets: list[list[Draft]] = []
        for i, exam in enumerate(self.exams):
            findings = [finding for finding in exam.findings if (i, finding) not in in_both]
            positives.append(self._positives(i, findings))
            said = len(positives[i]) + sum(i in draft.exams for draft in (*both, *several))
            wanted = self.words.pick(range(self.style.sentences[0], self.style.sentences[1] + 1))
            quiets.append(self._quiets(i, max(wanted - said - self.style.impression, 0 if said else 1)))
        if self.with_headings:
            return [
                sentence
                for i, exam in enumerate(self.exams)
                for sentence in (
                    self.words.heading(fill(self.words.pick(self.phrases["part_heading"]), part=exam.name)),
                    *self._in_order(self._arranged(positives[i], quiets[i])),
                )
            ]
        if self.style.by_exam:
            middle = [draft for i in range(len(self.exams)) for draft in self._arranged(positives[i], quiets[i])]
            return self._in_order([*both, *middle, *several])
        flat = [[draft for drafts in kinds for draft in drafts] for kinds in (positives, quiets)]
        return self._in_order(self._arranged([*both, *flat[0]], [*flat[1], *several]))

    def impression(self) -> list[Sentence]:
        """One sentence an exam with findings; those without share one."""
        drafts = []
        for i, exam in enumerate(self.exams):
            worst = sorted(exam.findings, key=lambda finding: -finding.severity)[:2]
            if worst:
                template = fill(self.words.pick(self.phrases["impression"]["finding"]), found=self._found(i, worst))
                names = tuple(dict.fromkeys(finding.name for finding in worst))
                places = tuple(finding.place for finding in worst)
                drafts.append(Draft(template, (i,), "impression", names, places=places, terse=True))
        normal = [i for i, present in enumerate(self.contradicting) if not present - {UNUSUAL_BONE_AGE}]
        if len(normal) == 1:
            template = self.words.pick(self.phrases["impression"]["normal"])
            drafts.append(Draft(template, (normal[0],), "impression", terse=True))
        elif normal:
            template = self.words.pick(self.phrases["impression"]["several"])
            drafts.append(Draft(template, tuple(normal), "impression", values=self._names(normal)))
        alone = len(self.exams) == 1
        return [self._render(draft, named=not alone) for draft in drafts]

    def _positives(self, i: int, findings: list[Finding]) -> list[Draft]:
        drafts = []
        rest = self.words.take(findings, len(findings))
        while rest:
            finding = rest.pop()
            partner = next((other for other in rest if _one_joint(finding, other)), None)
            if partner and self.words.chance(0.4):
                rest.remove(partner)
                drafts.append(self._together(i, finding, partner))
            else:
                drafts.append(self._single(i, finding))
        return drafts

    def _single(self, i: int, finding: Finding) -> Draft:
        terse, register = self._register()
        level, severity, severely = self.words.severity(finding)
        if self.words.chance(HEDGED[level] * self.style.hedging):
            self.hedged.add((i, finding))
            noun = self._noun(finding, hedged=True)
            template = fill(self.words.pick(self.phrases["hedges"][register]), noun=bare(noun), a_noun=noun)
            return Draft(template, (i,), "hedged finding", (finding.name,), places=(finding.place,), terse=terse)
        told = finding.place == "heart" or self.exams[i].body_part.replace("_", " ") in finding.place
        template = self.words.pick(
            [
                template
                for template in self.phrases["findings"][finding.name][register]
                if (finding.kind or "{kind}" not in template)
                and (told or "{place}" in template or "{space}" in template)
            ]
        )
        values = {"severity": severity, "severely": severely, "kind": self._kind(finding)}
        return Draft(template, (i,), "finding", (finding.name,), values, (finding.place,), terse)

    def _together(self, i: int, *findings: Finding) -> Draft:
        terse, register = self._register()
        cores = [self._core(finding) for finding in findings]
        found = listed([bare(core) for core in cores] if terse else cores)
        template = self.words.pick(self.phrases["together"][register])
        names = tuple(finding.name for finding in findings)
        return Draft(template, (i,), "finding", names, {"found": found}, (findings[0].place,), terse)

    def _in_both_sides(self) -> tuple[set[tuple[int, Finding]], list[Draft]]:
        """Findings of a joint in both sides, one sentence for two. Returns the findings, with their exams, too."""
        for j in range(len(self.exams)):
            for i, first in enumerate(self.exams[:j]):
                if not self._bilateral((i, j)) or not self.words.chance(self.style.merging):
                    continue
                for name in ARTHRITIS_CONCEPTS:
                    pair = [(k, finding) for k in (i, j) for finding in self.exams[k].findings if finding.name == name]
                    if [k for k, _ in pair] == [i, j] and all(first.body_part in finding.place for _, finding in pair):
                        terse, register = self._register()
                        noun = self.words.pick(self.phrases["both_findings"][name])
                        values = {"plural": _plural(first), "finding": noun}
                        template = self.words.pick(self.phrases["both"][register])
                        return set(pair), [Draft(template, (i, j), "finding", (name,), values, terse=terse)]
        return set(), []

    def _several(self) -> Draft | None:
        """A denial or a normal statement that is true of several exams."""
        if not self.words.chance(self.style.merging):
            return None
        ids = sorted(self.words.take(range(len(self.exams)), 2 + self.words.chance(0.2)))
        names = self._names(ids)
        absent = [name for name in APPLICABLE[self.exams[ids[0]].body_part] if self._absent_in(ids, name)]
        if absent and self.words.chance(0.6):
            chosen = self.words.take(absent, 1 + self.words.chance(0.5))
            for i in ids:
                self.denied[i].update(chosen)
            values = {"parts": names["either"], "absent": self._nouns(chosen)}
            template = self.words.pick(self.phrases["negations"]["several"])
            return Draft(template, tuple(ids), "negation", tuple(chosen), values)
        normal = self.phrases["normal"]
        if not any(self.contradicting[i] for i in ids):
            return Draft(self.words.pick(normal["all_normal"]), tuple(ids), "normal", values=names)
        groups = {GROUPS[self.exams[i].body_part] for i in ids}
        rows = list(normal["shared"].get(groups.pop(), ())) if len(groups) == 1 else []
        found = set().union(*(self.contradicting[i] for i in ids))
        rows = [row for row in rows if "{" not in row[0] and not found & row[1]]
        if not rows:
            return None
        row = self.words.pick(rows)
        for i in ids:
            self.said[i].update((row[0], row[1]))
        values = {**names, "rest": row[0]}
        return Draft(self.words.pick(normal["several"]), tuple(ids), "normal", values=values)

    def _quiets(self, i: int, count: int) -> list[Draft]:
        """Denials and normal statements; at least one of an exam that has nothing else."""
        normals = 0
        drafts = []
        for _ in range(count):
            denies = normals >= self.style.normals or self.words.chance(0.5)
            draft = (self._negation(i) if denies else None) or self._normal(i)
            if draft:
                normals += draft.kind == "normal"
                drafts.append(draft)
        return drafts

    def _negation(self, i: int) -> Draft | None:
        body_part = self.exams[i].body_part
        absent = [name for name in APPLICABLE[body_part] if self._absent_in([i], name)]
        if not absent:
            return None
        terse, register = self._register()
        fixed = [
            row
            for row in self.phrases["fixed_negations"]
            if row[2] in ("any", GROUPS[body_part]) and all(name in absent for name in row[1])
        ]
        if fixed and self.words.chance(0.35):
            template, chosen, _ = self.words.pick(fixed)
            values = {}
        else:
            chosen = self.words.take(absent, self.words.pick((1, 1, 2, 2, 3)))
            template = self.words.pick(self.phrases["negations"][register])
            values = {"absent": self._nouns(chosen)}
        self.denied[i].update(chosen)
        return Draft(template, (i,), "negation", tuple(chosen), values, terse=terse)

    def _normal(self, i: int) -> Draft | None:
        exam = self.exams[i]
        normal = self.phrases["normal"]
        part = normal["parts"][exam.body_part]
        rows = [*part["own"], *normal["shared"].get(GROUPS[exam.body_part], ())]
        if "joint effusion" in APPLICABLE[exam.body_part]:
            rows += normal["shared"]["joint"]
        said = self.said[i]
        rows = [row for row in rows if not row[1] & self.contradicting[i] and row[0] not in said]
        rows = [row for row in rows if row[1] not in said] or rows  # rather something new than the same in other words
        if not rows:
            return None
        template, claims = self.words.pick(rows)
        said.update((template, claims) if claims else (template,))
        terse = self._register()[0]
        return Draft(template, (i,), "normal", values={"bones": part.get("bones", "")}, terse=terse)

    def _arranged(self, positives: list[Draft], quiets: list[Draft]) -> list[Draft]:
        return [*positives, *quiets] if self.style.positives_first else [*quiets, *positives]

    def _in_order(self, drafts: list[Draft]) -> list[Sentence]:
        free = len(self.exams) == 1 or self.with_headings
        before: tuple[int, ...] = ()
        sentences = []
        for draft in drafts:
            follows = self.style.follow_on and draft.exams == before
            named = not free and not follows
            sentences.append(self._render(draft, named))
            before = draft.exams
        return sentences

    def _render(self, draft: Draft, named: bool) -> Sentence:
        if len(draft.exams) > 1:
            return make_sentence(draft.template, draft.kind, draft.exams, draft.findings, **draft.values)
        exam = self.exams[draft.exams[0]]
        names_part = "{part}" in draft.template
        sided = not names_part and (named or self.words.chance(0.3))
        text = self._worded(draft, exam, sided)
        if named and exam.name not in text:
            frames = self.phrases["frames"]["terse" if draft.terse else "full"]
            rest = self._worded(draft, exam, sided=False)
            text = fill(self.words.pick(frames), part=exam.name, rest=rest)
        return Sentence(capital(text) + ".", draft.exams, draft.kind, draft.findings)

    def _worded(self, draft: Draft, exam: Exam, sided: bool) -> str:
        places = [_on_side(place, exam) if sided else place for place in draft.places]
        values = {f"place{number}": place for number, place in enumerate(places)}
        if places:
            space = f"{places[0]} space" if places[0].endswith("joint") else f"{places[0]} joint space"
            values |= {"place": places[0], "space": space}
        return fill(draft.template, part=exam.name, **values, **draft.values)

    def _register(self) -> tuple[bool, str]:
        terse = self.words.chance(self.style.terse)
        return terse, "terse" if terse else "full"

    def _kind(self, finding: Finding) -> str:
        return self.words.pick(self.phrases["kinds"][finding.kind]) if finding.kind else ""

    def _core(self, finding: Finding, hedged: bool = False) -> str:
        cores = self.phrases["findings"][finding.name]["core"]
        core = self.words.pick([core for core in cores if finding.kind or "{kind}" not in core])
        level, severity, _ = self.words.severity(finding)
        if hedged and level != "mild":
            core, severity = core.replace("{severity} ", ""), ""  # no "possible obvious fracture"
        return fill(core, severity=severity, kind=self._kind(finding))

    def _noun(self, finding: Finding, number: int = 0, hedged: bool = False) -> str:
        """a mild scoliosis of the {place0}: the place is filled in when it is known whether it needs its side"""
        at = self.phrases["findings"][finding.name]["at"].replace("{place}", f"{{place{number}}}")
        return f"{self._core(finding, hedged)} {at}".rstrip()

    def _found(self, i: int, findings: Sequence[Finding]) -> str:
        """In an impression: as sure as the sentence before."""
        nouns = []
        for number, finding in enumerate(findings):
            hedged = (i, finding) in self.hedged
            noun = bare(self._noun(finding, number, hedged))
            hedge = self.words.pick(self.phrases["hedged_core"]) if hedged else "{core}"
            nouns.append(hedge.replace("{core}", noun))
        return listed(nouns)

    def _nouns(self, names: Sequence[str]) -> str:
        nouns = [self.words.pick(self.phrases["findings"][name]["absent"]) for name in names]
        nouns.sort(key=lambda noun: " of " in noun)  # "swelling of the soft tissues or effusion" misleads
        return listed(nouns, "or")

    def _absent_in(self, ids: Sequence[int], name: str) -> bool:
        return all(
            name in APPLICABLE[self.exams[i].body_part] and name not in self.present[i] | self.denied[i] for i in ids
        )

    def _bilateral(self, ids: Sequence[int]) -> bool:
        exams = [self.exams[i] for i in ids]
        one_part = len({exam.body_part for exam in exams}) == 1
        return one_part and sorted(str(exam.laterality) for exam in exams) == ["left", "right"]

    def _names(self, ids: Sequence[int]) -> dict[str, str]:
        first = self.exams[ids[0]]
        if self._bilateral(ids):
            both = f"both {_plural(first)}"
            return {"parts": both, "names": both, "either": f"either {first.body_part.replace('_', ' ')}"}
        names = [self.exams[i].name for i in ids]
        return {"parts": f"the {listed(names)}", "names": listed(names), "either": f"the {listed(names, 'or')}"}


def _plural(exam: Exam) -> str:
    words = exam.body_part.replace("_", " ")
    return PLURALS.get(words, f"{words}s")


def _on_side(place: str, exam: Exam) -> str:
    """left distal radius; midshaft of the left clavicle"""
    if not exam.laterality or "left " in place or "right " in place:
        return place
    front, of, bone = place.rpartition(" of the ")
    return f"{front}{of}{exam.laterality} {bone}"


def _one_joint(first: Finding, second: Finding) -> bool:
    joint = first.place == second.place and first.name != second.name
    return joint and first.name in ARTHRITIS_CONCEPTS and second.name in ARTHRITIS_CONCEPTS
