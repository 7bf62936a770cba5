"""transformers' common image processor tests on PedCLIP's."""

import subprocess
import unittest
from importlib.metadata import version
from unittest.mock import patch

from transformers_tests.test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin

from pedclip import PedCLIPImageProcessor


class PedCLIPImageProcessingTester(ImageProcessingTester):
    def __init__(self, parent, **kwargs):
        kwargs.setdefault("size", {"height": 18, "width": 18})
        super().__init__(parent, **kwargs)

    def _get_image_processing_classes(self):
        return {"pil": PedCLIPImageProcessor}


def run_knowing_pedclip(command, *args, run=subprocess.run, **kwargs):
    """Has a fresh `python -c` import pedclip.auto first, as classes inside transformers are known without it."""
    python, option, script, *rest = command
    before = "import sys; sys.modules['torchvision'] = None; import pedclip.auto"
    return run([python, option, f"{before}\n{script}", *rest], *args, **kwargs)


class PedCLIPImageProcessingTest(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = PedCLIPImageProcessingTester

    def setUp(self):
        super().setUp()
        self.enterContext(patch("subprocess.run", run_knowing_pedclip))

    @unittest.skip(reason="PedCLIP's image processor is PIL's on purpose: torchvision is not needed to use it")
    def test_new_models_require_torchvision_backend(self):
        pass

    if version("transformers").startswith(("5.20.", "5.21.")):

        @unittest.skip(
            reason="It reloads the class from a module of transformers' own; later releases run it anywhere"
        )
        def test_pil_can_load_without_torchvision(self):
            pass


class PedCLIPImageProcessingKeepAspectRatioTester(PedCLIPImageProcessingTester):
    def __init__(self, parent, **kwargs):
        super().__init__(parent, keep_aspect_ratio=True, size={"height": 18, "width": 24}, **kwargs)


class PedCLIPImageProcessingKeepAspectRatioTest(PedCLIPImageProcessingTest):
    image_processor_tester_class = PedCLIPImageProcessingKeepAspectRatioTester
