"""What is known about one film, as a plain row: the same columns in the folder, the dataset and the evaluation."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...configuration.data import SplitsConfig
from ..data.splits import split_of_patient
from .records import ARTHRITIS_CONCEPTS, Study
from .render import SIDE, Film, build_anatomy, render
from .study import TWIN, Clinic, normal_twin, studies_of

AGE_BANDS = {"0-2": 3, "3-6": 7, "7-11": 12, "12-17": 18}  # name -> years, the upper end left out


def films_of(
    study: Study, *, side: int = SIDE, dose: float | None = None, masks: bool = False
) -> Iterator[tuple[dict[str, Any], Film]]:
    """Every film of a study with its row; an exam's anatomy is built once for all its views."""
    for number, exam in enumerate(study.exams):
        anatomy = build_anatomy(study.patient, exam, study.seed)
        for view in exam.views:
            film = render(study, number, view, side=side, dose=dose, masks=masks, anatomy=anatomy)
            yield row_of(study, number, film), film


def row_of(study: Study, number: int, film: Film) -> dict[str, Any]:
    """`text` is what the report says about this exam: the triplet's text."""
    exam, patient = study.exams[number], study.patient
    names = [finding.name for finding in exam.findings]
    return {
        "file_name": f"images/{study.study_id}-{number + 1}-{film.view.replace(' ', '_')}.png",
        "pair_id": f"{study.study_id.removesuffix(TWIN)}-{exam.name}-{film.view}",
        "text": study.report.text_of(number),
        "body_part": exam.body_part,
        "findings": names,
        "concepts": [name for name in names if name in ARTHRITIS_CONCEPTS],
        "severity": [round(finding.severity, 4) for finding in exam.findings],
        "places": [finding.place for finding in exam.findings],
        "age_months": patient.age_months,
        "age_band": next(band for band, oldest in AGE_BANDS.items() if patient.age_months < 12 * oldest),
        "bone_age_months": round(patient.bone_age_months, 2),
        "sex": patient.sex,
        "patient_id": patient.patient_id,
        "study_id": study.study_id,
        "laterality": exam.laterality,
        "view": film.view,
        "dose": film.dose,
        "mm_per_pixel": round(film.mm_per_pixel, 4),
    }


def study_row(study: Study) -> dict[str, Any]:
    """The report with the truth of each sentence: `exams` are the numbers of the exams that it speaks of."""
    return {
        "study_id": study.study_id,
        "patient_id": study.patient.patient_id,
        "age_months": study.patient.age_months,
        "sex": study.patient.sex,
        "dose": study.dose,
        "radiologist": study.report.radiologist,
        "wording": study.report.wording,
        "report": study.report.text,
        "exams": [
            {
                "body_part": exam.body_part,
                "laterality": exam.laterality,
                "views": list(exam.views),
                "findings": [
                    {"name": one.name, "severity": round(one.severity, 4), "place": one.place, "kind": one.kind}
                    for one in exam.findings
                ],
            }
            for exam in study.exams
        ],
        "sentences": [
            {"text": one.text, "exams": list(one.exams), "kind": one.kind, "findings": list(one.findings)}
            for one in study.report.sentences
        ],
    }


def studies_in(
    patients: Sequence[int],
    seed: int,
    clinic: Clinic,
    splits: SplitsConfig,
    split: str | None = None,
    twins: bool = False,
) -> Iterator[tuple[str, Study]]:
    """Studies with the split that their patient belongs to, of one split alone where one is named.

    With `twins` each sick training study is followed by its normal twin.
    """
    for number in patients:
        for study in studies_of(seed, number, clinic):
            where = split_of_patient(study.patient.patient_id, splits)
            if split in (None, where):
                yield where, study
                if twins and where == "train" and (twin := normal_twin(study, clinic.wording)) is not None:
                    yield where, twin
