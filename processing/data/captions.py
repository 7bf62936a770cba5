"""Captions: the report's text where there is one, a sentence made from the labels where there is none (ours)."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ...configuration.data import DataConfig
from ..curation.licences import models_in
from .sample import Sample


class Captions:
    """Says a sample's caption. The order of what is tried stands at CaptionsConfig.

    Images with equal labels share one text under one template number. A batch uses one number, so that two such images
    are seen to have the same caption instead of becoming each other's negatives.
    """

    def __init__(self, config: DataConfig):
        self.config = config.captions
        self.body_part_words = config.body_part_words

    def caption(self, sample: Sample, template: int = 0) -> str | None:
        """The caption, or None where neither a text nor a template fits. Any number is a template number (modulo)."""
        says_text = self.config.source != "labels"
        if self.config.source == "alternating":
            says_text, template = template % 100 < 100 * self.config.text_share, template // 100
        if says_text and sample.text:
            return sample.text
        if self.config.source == "text":
            return None
        body_part = sample.body_part and self.words_of(sample.body_part)
        narrow, broad = self.named_findings(sample.findings)
        for templates in (self.config.findings_templates if narrow else [], self.config.templates):
            usable = [text for text in templates if body_part or "{body_part}" not in text]
            if usable:
                return usable[template % len(usable)].format(
                    body_part=body_part, findings=", ".join(narrow), broad_findings=", ".join(broad)
                )
        return None

    def words_of(self, body_part: str) -> str:
        """foot_ankle is said "foot ankle" unless the recipe has better words."""
        return self.body_part_words.get(body_part, body_part.replace("_", " "))

    def named_findings(self, findings: Sequence[str]) -> tuple[list[str], list[str]]:
        """The findings a caption says, in words: the narrowest names, and the broadest ones."""
        kept = [name for name in findings if not any(fnmatchcase(name, pattern) for pattern in self.config.left_out)]
        implied = {broader for name in kept for broader in self._broader_than(name)}
        narrow = [name for name in kept if name not in implied]
        broad = [[name, *self._broader_than(name)][-1] for name in narrow]
        say = self.config.finding_words
        return [say.get(name, name) for name in narrow], list(dict.fromkeys(say.get(name, name) for name in broad))

    def training_labels(self, samples: Iterable[Sample]) -> dict[str, Any]:
        """What a model trained on these samples has seen; decides whether an evaluation may be called zero-shot.

        Findings that captions leave out were not seen. A row's findings count as seen even where its caption is a
        report's text, which may or may not say them.
        """
        samples = list(samples)
        findings = {name for sample in samples for name in sample.findings}
        left_out = {name for name in findings if any(fnmatchcase(name, p) for p in self.config.left_out)}
        texts = {sample.text for sample in samples if self.config.source != "labels" and sample.text}
        return {
            "body_part": sorted({sample.body_part for sample in samples if sample.body_part}),
            "findings": sorted(findings - left_out),
            # templates do not count: they are ways to say one caption
            "captions": len({self.caption(sample) for sample in samples}),
            "captions_from_text": len(texts),
            # models that assigned those texts to films: their licences go with what is trained on them
            "curated_with": [list(one) for one in models_in(sample.row for sample in samples if sample.text in texts)],
        }

    def _broader_than(self, name: str) -> list[str]:
        """[pneumonia] for bacterial pneumonia; broader ones follow. The config makes sure that it ends."""
        chain: list[str] = []
        while name in self.config.broader:
            name = self.config.broader[name]
            chain.append(name)
        return chain


def template_number(seed: int, epoch: int, batch: int) -> int:
    """One number for all captions of a batch, the same in every process and after a resumed run."""
    return int(np.random.SeedSequence([seed, epoch, batch]).generate_state(1)[0])
