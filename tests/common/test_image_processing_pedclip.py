"""transformers' common image processor tests on PedCLIP's."""

import subprocess
import unittest
from unittest.mock import patch

from transformers_tests.test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin

from pedclip import PedCLIPImageProcessor


class PedCLIPImageProcessingTester(ImageProcessingTester):
    def __init__(self, parent, **kwargs):
        kwargs.setdefault("size", {"height": 18, "width": 18})
        super().__init__(parent, **kwargs)

    def _get_image_processing_classes(self):
        return {"pil": PedCLIPImageProcessor}


class PedCLIPImageProcessingTest(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = PedCLIPImageProcessingTester

    def test_pil_can_run_without_torchvision(self):
        run = subprocess.run

        def run_knowing_pedclip(command, **kwargs):
            python, option, script, *rest = command
            without_torchvision = "import sys; sys.modules['torchvision'] = None; import pedclip.auto"
            return run([python, option, f"{without_torchvision}\n{script}", *rest], **kwargs)

        with patch("subprocess.run", run_knowing_pedclip):
            super().test_pil_can_run_without_torchvision()

    @unittest.skip(reason="PedCLIP's image processor is PIL's on purpose: torchvision is not needed to use it")
    def test_new_models_require_torchvision_backend(self):
        pass


class PedCLIPImageProcessingKeepAspectRatioTester(PedCLIPImageProcessingTester):
    def __init__(self, parent, **kwargs):
        super().__init__(parent, keep_aspect_ratio=True, size={"height": 18, "width": 24}, **kwargs)


class PedCLIPImageProcessingKeepAspectRatioTest(PedCLIPImageProcessingTest):
    image_processor_tester_class = PedCLIPImageProcessingKeepAspectRatioTester
