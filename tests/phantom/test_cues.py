"""Nothing cheap gives a finding away: not where things lie on the film, not how bright it is."""

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from pedclip.processing.phantom.applicable import APPLICABLE
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.processing.phantom.records import FINDINGS, GROSS_SHAPES

LIMIT = 0.65
PATIENTS = 1500


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Films of the shipped clinic: thumbnails, histograms and rows."""
    import json

    out = tmp_path_factory.mktemp("cues") / "films"
    write_folder(out, FolderSettings(patients=PATIENTS, seed=11, side=64))
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    pictures = [Image.open(out / row["file_name"]) for row in rows]
    thumbnails = np.stack([np.asarray(one.resize((16, 16), Image.Resampling.BOX), float).ravel() for one in pictures])
    histograms = np.stack([np.histogram(np.asarray(one), 32, (0, 256))[0] for one in pictures]).astype(float)
    return rows, {"thumbnail": thumbnails, "histogram": histograms}


@pytest.mark.parametrize("feature", ["thumbnail", "histogram"])
@pytest.mark.parametrize("name", [name for name in FINDINGS if name not in GROSS_SHAPES])
def test_a_ridge_on_what_is_cheap_hardly_finds_it(films, name, feature):
    rows, features = films
    able = [n for n, row in enumerate(rows) if name in APPLICABLE[row["body_part"]]]
    truth = np.array([name in rows[n]["findings"] for n in able])
    patients = np.array([rows[n]["patient_id"] for n in able])
    fold = np.array([hash_of(patient) % 3 for patient in patients])
    x = features[feature][able]
    best = 0.0
    for alpha in (10.0, 1000.0, 10000.0):
        scores = np.empty(len(able))
        with threadpool_limits(1):
            for held_out in range(3):
                fitted = make_pipeline(StandardScaler(), RidgeClassifier(alpha=alpha))
                fitted.fit(x[fold != held_out], truth[fold != held_out])
                scores[fold == held_out] = fitted.decision_function(x[fold == held_out])
        best = max(best, roc_auc_score(truth, scores))
    assert truth.sum() > 25
    assert best <= LIMIT, f"{name} by {feature}: AUC {best:.3f}"


def hash_of(patient: str) -> int:
    return int(patient.rsplit("-", 1)[1])
