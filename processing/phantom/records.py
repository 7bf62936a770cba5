"""A phantom study: patient, exams of body parts, findings, and a report whose every sentence is known."""

from dataclasses import dataclass, field

ARTHRITIS_CONCEPTS = (
    "inflammation",
    "bony change",
    "erosion",
    "joint space narrowing",
    "soft tissue swelling",
    "joint effusion",
)  # the paper's six
CHEST_FINDINGS = (
    "consolidation",
    "pleural effusion",
    "pneumothorax",
    "cardiomegaly",
    "atrial septal defect",
    "ventricular septal defect",
    "patent ductus arteriosus",
)
FINDINGS = ("fracture", *ARTHRITIS_CONCEPTS, *CHEST_FINDINGS, "scoliosis", "hip dysplasia")
# They change an outline that a thumbnail shows, as they do in the clinic, so no test asks that a thumbnail miss them.
GROSS_SHAPES = (
    "cardiomegaly",
    "atrial septal defect",
    "ventricular septal defect",
    "patent ductus arteriosus",
    "scoliosis",
    "hip dysplasia",
)
FRACTURE_KINDS = ("transverse", "oblique", "spiral", "buckle", "greenstick", "Salter-Harris II")


@dataclass(frozen=True)
class Patient:
    """A child that never lived."""

    patient_id: str
    age_months: int  # 0 to 215
    sex: str  # "female" or "male"
    bone_age_months: float  # what the growth plates show: the age and a deviation of some months
    build: float  # standard deviations of soft tissue thickness
    stature: float  # standard deviations of length for age


@dataclass(frozen=True)
class Finding:
    """Something that differs from the normal twin, with its truth."""

    name: str  # one of FINDINGS
    severity: float  # above 0, at most 1
    place: str  # the bone, joint or zone in words: "distal radius", "knee joint", "left lower zone"
    kind: str | None = None  # of a fracture, one of FRACTURE_KINDS; else None
    # which joint, bone and position in it, for the renderer: seeds the finding's own shape
    seed: int = 0


@dataclass(frozen=True)
class Exam:
    """One body part of one side, seen in one or more views."""

    body_part: str  # one of the 23
    laterality: str | None  # "left", "right"; None for the trunk, the head and the pelvis
    views: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """left knee"""
        words = self.body_part.replace("_", " ")
        return f"{self.laterality} {words}" if self.laterality else words


@dataclass(frozen=True)
class Sentence:
    """A sentence of a report and its truth."""

    text: str
    exams: tuple[int, ...]  # the exams of the study it speaks of, by number; () for none
    # history, comparison, technique, irrelevant; finding, hedged finding, negation, normal, impression; heading
    kind: str
    findings: tuple[str, ...] = ()  # names that it affirms or denies


@dataclass(frozen=True)
class Report:
    """The consolidated report of a study."""

    text: str  # the sentences and headings as a radiologist lays them out
    sentences: tuple[Sentence, ...]
    wording: str  # "a" or "b": the set of phrasings
    radiologist: int

    def text_of(self, exam: int) -> str:
        """The sentences that speak of one exam, in the report's order: what curation should find."""
        return " ".join(sentence.text for sentence in self.sentences if exam in sentence.exams)


@dataclass(frozen=True)
class Study:
    """One patient, one or more body parts, one report."""

    study_id: str
    patient: Patient
    exams: tuple[Exam, ...]
    report: Report
    dose: float = 1.0  # of the usual exposure
    seed: int = field(default=0, repr=False)  # of everything the images draw: pose, texture, noise
