"""transformers' common processor tests on PedCLIP's."""

import unittest

from transformers import BertTokenizer, ProcessorMixin
from transformers_tests.test_processing_common import ProcessorTesterMixin

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["low", "##er", "new", "upper", "old", "long", "string", "the", "chest", "of", "a", "child"]


class PedCLIPProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = PedCLIPProcessor

    @classmethod
    def _setup_image_processor(cls):
        return PedCLIPImageProcessor(size={"height": 18, "width": 18})

    @classmethod
    def _setup_tokenizer(cls):
        return BertTokenizer(vocab={token: index for index, token in enumerate(SPECIAL_TOKENS + PIECES)})

    @staticmethod
    def does_processor_return_mm_offsets(processor_class, method_name):
        # The original compares with the first base class, which here is not ProcessorMixin.
        return getattr(processor_class, method_name) is not getattr(ProcessorMixin, method_name)
