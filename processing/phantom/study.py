"""Draws patients and their studies: which parts are filmed, what is found, and the report on it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from .anatomy.chest_findings import PLACES
from .anatomy.solids import Anatomy
from .applicable import APPLICABLE
from .findings import fitting_places
from .growth import OLDEST_MONTHS, draw_patient
from .parts import FREQUENCY, PARTS
from .records import CHEST_FINDINGS, FRACTURE_KINDS, Exam, Finding, Patient, Study
from .render import build_anatomy
from .report import write_report

RADIOLOGISTS = 12
TWIN = "-twin"  # ends the id of a normal twin's study
# Where one finding is all that there can be, it is drawn more rarely, a fracture as rarely as beside the six findings
# of a joint: otherwise the part alone would tell.
ALONE = {"fracture": 1 / 7, "scoliosis": 0.35, "hip dysplasia": 0.35}
HEART = CHEST_FINDINGS[3:]  # one heart has one of these shapes


@dataclass(frozen=True)
class Clinic:
    """How a phantom clinic's studies are drawn; what stands here is the shipped one."""

    parts: Mapping[str, float] = field(default_factory=lambda: dict(FREQUENCY))  # shares, up to a factor
    exams: tuple[float, ...] = (0.62, 0.28, 0.10)  # chance that a study has one, two or three
    findings: tuple[float, ...] = (0.40, 0.45, 0.15)  # chance that an exam has none, one or two
    severity: tuple[float, float] = (0.3, 1.0)  # drawn evenly between the two
    second_study: float = 0.25  # chance that a patient comes back
    single_view: float = 0.2  # chance that the frontal view alone was taken
    doses: tuple[float, ...] = (1.0,)  # drawn evenly
    wording: str = "a"

    def __post_init__(self):
        unknown = sorted(set(self.parts) - set(PARTS))
        if unknown:
            raise ValueError(f"parts names {', '.join(unknown)}; the phantom has {', '.join(PARTS)}")
        if not 0 < self.severity[0] <= self.severity[1] <= 1:
            raise ValueError(f"severity is {self.severity}; give two numbers above 0 and at most 1, in order")
        if min(self.doses) <= 0:
            raise ValueError(f"doses are {self.doses}; a film needs a dose above 0")


def studies_of(seed: int, number: int, clinic: Clinic | None = None) -> Iterator[Study]:
    """The studies of one patient. The same seed and number give the same child whatever else is drawn."""
    clinic = clinic or Clinic()
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
    patient = draw_patient(f"phantom-{seed}-{number:06d}", random)
    visits = 1 + int(random.random() < clinic.second_study)
    for visit in range(visits):
        if visit:
            patient = _older(patient, int(random.integers(3, 25)))
        yield _study(f"{patient.patient_id}-{visit + 1}", patient, clinic, random)


def normal_twin(study: Study, wording: str = "a") -> Study | None:
    """The sick exams of a study, each in the same pose and exposure but without its findings, and their report.

    None where nothing is sick. The exams' numbers change, as the healthy ones are left out.
    """
    exams = tuple(replace(exam, findings=()) for exam in study.exams if exam.findings)
    if not exams:
        return None
    random = np.random.Generator(np.random.PCG64([study.seed, 1]))
    report = write_report(study.patient, exams, wording=wording, radiologist=study.report.radiologist, random=random)
    return replace(study, study_id=study.study_id + TWIN, exams=exams, report=report)


def _older(patient: Patient, months: int) -> Patient:
    months = min(months, OLDEST_MONTHS - patient.age_months)
    return replace(
        patient, age_months=patient.age_months + months, bone_age_months=patient.bone_age_months + float(months)
    )


def _study(study_id: str, patient: Patient, clinic: Clinic, random: np.random.Generator) -> Study:
    seed = int(random.integers(2**62))
    count = 1 + int(random.choice(len(clinic.exams), p=np.array(clinic.exams) / sum(clinic.exams)))
    names = list(clinic.parts)
    shares = np.array([clinic.parts[name] for name in names], float)
    exams: dict[str, Exam] = {}
    for _ in range(count):
        exam = _exam(names[int(random.choice(len(names), p=shares / shares.sum()))], patient, clinic, seed, random)
        exams.setdefault(exam.name, exam)
    dose = clinic.doses[int(random.integers(len(clinic.doses)))]
    found = tuple(exams.values())
    radiologist = int(random.integers(RADIOLOGISTS))
    report = write_report(patient, found, wording=clinic.wording, radiologist=radiologist, random=random)
    return Study(study_id, patient, found, report, dose, seed)


def _exam(name: str, patient: Patient, clinic: Clinic, seed: int, random: np.random.Generator) -> Exam:
    part = PARTS[name]
    side = ("left", "right")[int(random.integers(2))]
    views = tuple(view.name for view in part.views)
    if random.random() < clinic.single_view:
        views = views[:1]
    exam = Exam(name, side if part.sided else None, views)
    count = int(random.choice(len(clinic.findings), p=np.array(clinic.findings) / sum(clinic.findings)))
    chosen: list[Finding] = []
    if APPLICABLE.get(name):
        anatomy = cache(lambda: build_anatomy(patient, exam, seed))  # a chest's places are known without it
        for _ in range(count):
            one = _finding(exam, anatomy, chosen, clinic, random)
            if one is not None:
                chosen.append(one)
    return replace(exam, findings=tuple(chosen))


def _finding(
    exam: Exam, anatomy: Callable[[], Anatomy], chosen: list[Finding], clinic: Clinic, random: np.random.Generator
) -> Finding | None:
    first, *others = APPLICABLE[exam.body_part]
    if not others and random.random() > ALONE[first]:
        return None
    places = {name: _places(exam, anatomy, name) for name in APPLICABLE[exam.body_part] if _goes_with(name, chosen)}
    names = [name for name, where in places.items() if where]
    if not names:
        return None
    name = names[int(random.integers(len(names)))]
    place = places[name][int(random.integers(len(places[name])))]
    kind = None
    if name == "fracture":
        kinds: tuple[str, ...] = FRACTURE_KINDS if anatomy().sites[place].physis else FRACTURE_KINDS[:-1]
        if exam.body_part in ("skull", "face"):
            kinds = ("transverse", "oblique")
        kind = kinds[int(random.integers(len(kinds)))]
    return Finding(name, float(random.uniform(*clinic.severity)), place, kind, seed=int(random.integers(2**31)))


def places_of(patient: Patient, exam: Exam, name: str, seed: int) -> list[str]:
    """Where this patient can have a finding."""
    return _places(exam, lambda: build_anatomy(patient, exam, seed), name)


def _places(exam: Exam, anatomy: Callable[[], Anatomy], name: str) -> list[str]:
    if name in PLACES:
        return list(PLACES[name])
    if name == "scoliosis":
        return ["spine" if exam.body_part == "whole_spine" else exam.body_part.replace("_", " ")]
    if name == "hip dysplasia":
        return ["hip joint"] if exam.body_part == "hip" else ["left hip", "right hip"]
    part = PARTS[exam.body_part]  # other bones and joints may be in the picture too, half off the film
    return [place for place in fitting_places(anatomy(), name) if place in (*part.joints, *part.fractures)]


def _goes_with(name: str, chosen: list[Finding]) -> bool:
    """No finding twice, one heart shape, and no second joint finding that hides the first."""
    names = {finding.name for finding in chosen}
    if name in names or (name in HEART and names & set(HEART)):
        return False
    hiding = ({"joint effusion", "soft tissue swelling"}, {"erosion", "bony change", "inflammation"})
    return not any(name in pair and names & pair for pair in hiding)
