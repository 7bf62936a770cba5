"""Fine-tuning: the image tower and a linear head, trained together on pixels."""

# Shapes: N images, C labels
import numpy as np
from torch import nn

from .asked import Answer, Asked
from .label_auc import label_answer, macro_auc
from .probe import STRENGTHS, fit_probes
from .questions import ProbeTask, labels_of
from .tuning import Tuning, tune


def finetune(asked: Asked, task: ProbeTask, settings: Tuning | None = None) -> Answer:
    """AUC by label and macro after tuning a copy of the tower; the model itself stays as it is.

    The head begins as the linear probes, so the first of `validation_by_epoch` is theirs. Each label has its own
    binary cross-entropy; the epoch with the best macro AUC on validation is measured.
    """
    settings = settings or Tuning()
    train, validation = asked.splits["train"], asked.splits["validation"]
    truth, of_validation = (labels_of(task, images.samples)[0] for images in (train, validation))
    probes = fit_probes(train.embeds, truth, validation.embeds, of_validation, STRENGTHS)
    learned = np.flatnonzero(probes.learned)
    tuned = tune(
        asked,
        (probes.weights[learned], probes.bias[learned]),
        truth[:, learned].astype(np.float32),
        nn.functional.binary_cross_entropy_with_logits,
        lambda outputs: macro_auc(of_validation[:, learned], outputs),
        settings,
    )
    scores = np.full((len(asked.splits["test"].samples), len(probes.learned)), np.nan)
    scores[:, learned] = tuned.outputs
    about = {"kind": "fine-tuning of the image tower with a linear head", **tuned.about(settings)}
    return label_answer(asked, task, [scores], probes.learned, about)
