"""Phantom chests in the layouts of VinDr-PCXR and CHD-CXR."""

from dataclasses import replace
from pathlib import Path

from .anatomy.chest_findings import PLACES
from .dicom import film_as_dicom, hashed
from .official_tree import box_of, drawn, write_table
from .records import Finding, Study
from .render import render
from .study import Clinic

VINDR_LABELS = (
    "No finding", "Bronchitis", "Brocho-pneumonia", "Other disease", "Bronchiolitis", "Situs inversus", "Pneumonia",
    "Pleuro-pneumonia", "Diagphramatic hernia", "Tuberculosis", "Congenital emphysema", "CPAM",
    "Hyaline membrane disease", "Mediastinal tumor", "Lung tumor",
)  # fmt: skip
VINDR_LABEL_COLUMNS = ("image_id", "rad_ID", *VINDR_LABELS)  # the misspellings are the data set's
VINDR_BOX_COLUMNS = ("image_id", "rad_ID", "class_name", "x_min", "y_min", "x_max", "y_max")
# Its 36 local findings and "No finding", misspellings included, so that no stand-in below can be a name it lacks
VINDR_CLASSES = (
    "No finding", "Anterior mediastinal mass", "Aortic enlargement", "Atelectasis", "Boot-shaped heart",
    "Bronchectasis", "Bronchial thickening", "Calcification", "Cardiomegaly", "Chest wall mass", "Clavicle fracture",
    "Consolidation", "Dextro cardia", "Diffuse aveolar opacity", "Edema", "Egg on string sign", "Emphysema",
    "Enlarged PA", "Expanded edges of the anterior ribs", "Infiltration", "Interstitial lung disease - ILD",
    "Intrathoracic digestive structure", "Lung cavity", "Lung cyst", "Lung hyperinflation", "Mediastinal shift",
    "Other lesion", "Other nodule/mass", "Other opacity", "Paraveterbral mass",
    "Peribronchovascular interstitial opacity", "Pleural effusion", "Pleural thickening", "Pneumothorax",
    "Pulmonary fibrosis", "Reticulonodular opacity", "Stomach on the right side",
)  # fmt: skip
# The first four have their own name there. The heart defects do not: their boxes stand under the sign that fits best.
VINDR_CLASS_OF = {
    "consolidation": "Consolidation",
    "pleural effusion": "Pleural effusion",
    "pneumothorax": "Pneumothorax",
    "cardiomegaly": "Cardiomegaly",
    "atrial septal defect": "Enlarged PA",
    "ventricular septal defect": "Cardiomegaly",
    "patent ductus arteriosus": "Aortic enlargement",
}
VINDR_TEST_ONE_IN = 4
CHD_CLASSES = {
    "ASD": "atrial septal defect",
    "VSD": "ventricular septal defect",
    "PDA": "patent ductus arteriosus",
    "Normal": None,
}
CHD_COLUMNS = ("image_path", "label", "sample_id")
CHEST = Clinic(parts={"chest": 1.0}, exams=(1.0,), second_study=0.0)
# healthy, and then every class in turn is given its defect
HEARTS = replace(CHEST, findings=(1.0,), severity=(0.4, 1.0))


def write_vindr_pcxr(new: Path, patients: int, seed: int, side: int, clinic: Clinic = CHEST) -> int:
    """train/ and test/ of <image_id>.dicom, image labels and boxes. One film a child: nobody is named."""
    labels: dict[str, list] = {"train": [], "test": []}
    boxes: dict[str, list] = {"train": [], "test": []}
    for split in labels:
        (new / split).mkdir()
    for number, study in drawn(patients, seed, clinic):
        split = "test" if number % VINDR_TEST_ONE_IN == 1 else "train"
        image_id = hashed("vindr-pcxr", study.study_id)
        reader = f"R{study.report.radiologist + 1}"
        film = render(study, 0, study.exams[0].views[0], side=side, masks=True)
        # what this film does not show is not labelled on it either
        shown = {one.name: box for one in study.exams[0].findings if (box := box_of(film.marks.get(one.name)))}
        label = vindr_label(set(shown))
        labels[split].append([image_id, reader, *(int(name == label) for name in VINDR_LABELS)])
        found = [[VINDR_CLASS_OF[name], *box] for name, box in shown.items()] or [["No finding", "", "", "", ""]]
        boxes[split] += [[image_id, reader, *row] for row in found]
        one = film_as_dicom(study, 0, film)
        for keyword in ("PatientID", "PatientName", "StudyDescription", "BodyPartExamined", "ViewPosition"):
            setattr(one, keyword, "")  # as a de-identified file has them
        one.save_as(new / split / f"{image_id}.dicom", enforce_file_format=True)
    for split in labels:
        write_table(new / f"image_labels_{split}.csv", VINDR_LABEL_COLUMNS, labels[split])
        write_table(new / f"annotations_{split}.csv", VINDR_BOX_COLUMNS, boxes[split])
    return patients


def vindr_label(names: set[str]) -> str:
    """The one diagnosis that stands in for a phantom's findings; it has no bronchitis and no hernia to show."""
    if not names:
        return "No finding"
    if "consolidation" in names:
        return "Pleuro-pneumonia" if "pleural effusion" in names else "Pneumonia"
    return "Other disease"


def write_chd_cxr(new: Path, patients: int, seed: int, side: int, clinic: Clinic = HEARTS) -> int:
    """{ASD,VSD,PDA,Normal}/*.dcm and labels.csv: the classes take turns, so that few patients show them all."""
    rows = []
    for label in CHD_CLASSES:
        (new / label).mkdir()
    for number, study in drawn(patients, seed, clinic):
        label, defect = list(CHD_CLASSES.items())[number % len(CHD_CLASSES)]
        if defect is not None:
            study = _with_defect(study, defect, *clinic.severity)
        film = render(study, 0, study.exams[0].views[0], side=side)
        path = f"{label}/{number + 1:04d}.dcm"
        film_as_dicom(study, 0, film).save_as(new / path, enforce_file_format=True)
        rows.append([path, label, f"{number + 1:04d}"])
    write_table(new / "labels.csv", CHD_COLUMNS, rows)
    return len(rows)


def _with_defect(study: Study, name: str, least: float, most: float) -> Study:
    share = study.seed % 1000 / 999
    finding = Finding(name, least + (most - least) * share, PLACES[name][0], seed=study.seed % 2**31)
    return replace(study, exams=(replace(study.exams[0], findings=(finding,)),))
