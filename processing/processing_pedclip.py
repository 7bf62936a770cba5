# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""The processor: PedCLIP's image transform and a BERT tokenizer, saved and loaded as one."""

from transformers.processing_utils import ProcessingKwargs, ProcessorMixin
from transformers.utils import auto_docstring

from ..configuration.hub_folder_pedclip import SelfContainedMixin
from .image_processing_pedclip import PedCLIPImageProcessor
from .pipeline_pedclip import PedCLIPZeroShotImageClassificationPipeline  # so that it is saved again with the rest


class PedCLIPProcessorKwargs(ProcessingKwargs, total=False):
    # The paper pads its texts to at most 120 tokens; padding to the batch's longest gives the same embeddings. A
    # tokenizer whose own settings name a max_length goes by that: transformers' rule.
    _defaults = {"text_kwargs": {"padding": True, "truncation": True, "max_length": 120}}


@auto_docstring
class PedCLIPProcessor(SelfContainedMixin, ProcessorMixin):
    valid_processor_kwargs = PedCLIPProcessorKwargs

    def __init__(self, image_processor=None, tokenizer=None, **kwargs):
        super().__init__(image_processor, tokenizer, **kwargs)
        self.auto_map = {
            "AutoProcessor": "processing_pedclip.PedCLIPProcessor",
            "AutoImageProcessor": "image_processing_pedclip.PedCLIPImageProcessor",
        }


__all__ = ["PedCLIPImageProcessor", "PedCLIPProcessor", "PedCLIPZeroShotImageClassificationPipeline"]
