"""What a phantom report says beside the images: its history, technique, comparison, and what matters to nobody."""

from collections.abc import Sequence

from .applicable import GROUPS
from .phrases import listed
from .radiologist import Words, make_sentence
from .records import Exam, Patient, Sentence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MONTHS = "January February March April May June July August September October November December".split()
OLD_BONES = ("radius", "clavicle", "tibia", "humerus", "fifth metacarpal")


class Context:
    """Sees of the exams only their names and views, so that nothing here can depend on the findings."""

    def __init__(self, patient: Patient, exams: Sequence[Exam], words: Words):
        self.patient = patient
        self.exams = exams
        self.words = words

    def sections(self) -> dict[str, list[Sentence]]:
        words, phrases = self.words, self.words.phrases
        chance, pick = words.chance, words.pick
        sections: dict[str, list[Sentence]] = {"history": [], "technique": [], "comparison": [], "findings": []}
        old = f"{pick(('left', 'right'))} {pick(OLD_BONES)}"
        if chance(0.95):
            sections["history"].append(self._history())
        if chance(0.8):
            sections["technique"].append(self._technique())
        if chance(0.7):
            sections["comparison"].append(self._comparison())
        if chance(0.06) and self.patient.age_months >= 48:
            name = pick(("history", "comparison"))
            sections[name].append(make_sentence(pick(phrases["old"]), name, old=old))
        for template in words.take(phrases["irrelevant"], chance(0.45) + chance(0.15)):
            time = f"{8 + int(words.random.random() * 14):02d}:{int(words.random.random() * 60):02d}"
            name = pick(("technique", "comparison", "findings"))
            section = sections[name] or sections["findings"]  # alone under such a heading it would read oddly
            section.append(make_sentence(template, "irrelevant", time=time))
        return sections

    def _history(self) -> Sentence:
        exam = self.words.pick(self.exams)
        group, age, female = GROUPS[exam.body_part], self.patient.age_months, self.patient.sex == "female"
        rows = self.words.phrases["history"]
        usable = [row[0] for row in rows if row[2] <= age < row[3] and (row[1] == "any" or group in row[1].split())]
        count, unit = (age, "month") if age < 24 else (age // 12, "year")
        return make_sentence(
            self.words.pick(usable),
            "history",
            age=f"{count}-{unit}-old" if age else "newborn",
            aged=f"aged {count} {unit}{'s' * (count != 1)}" if age else "newborn",
            short_age=f"{count} {unit[0]}",
            sex="girl" if female else "boy",
            female=self.patient.sex,
            f="F" if female else "M",
            she="she" if female else "he",
            her="her" if female else "his",
            part=exam.name,
        )

    def _technique(self) -> Sentence:
        by_name = self.words.chance(0.5)
        coverage = listed([f"{_views(exam.views, by_name)} of the {exam.name}" for exam in self.exams])
        were = "was" if len(self.exams) == 1 and len(self.exams[0].views) == 1 else "were"
        return make_sentence(
            self.words.pick(self.words.phrases["technique"]), "technique", coverage=coverage, were=were
        )

    def _comparison(self) -> Sentence:
        young = self.patient.age_months < 48  # a date could fall before birth, or on it
        rows = self.words.phrases["comparison"]
        draw = self.words.random.random
        day, month, year = 1 + int(draw() * 28), int(draw() * 12), 2022 + int(draw() * 3)
        weeks = self.words.pick((2, 3, 4, 6, 8))
        return make_sentence(
            self.words.pick([row for row in rows if not young or "{" not in row]),
            "comparison",
            date=f"{day} {MONTHS[month]} {year}",
            iso=f"{year}-{month + 1:02d}-{day:02d}",
            ago=f"{NUMBERS[weeks]} weeks",
        )


def _views(views: Sequence[str], by_name: bool) -> str:
    """two views; AP and lateral views"""
    if by_name and views:
        names = [view.upper() if len(view) == 2 else view.replace("_", " ") for view in views]
        return f"{listed(names)} views" if len(names) > 1 else f"a {names[0]} view"
    return f"{NUMBERS[len(views)]} view{'s' * (len(views) != 1)}"
