"""The reason for the lowest transformers release that PedCLIP supports; run.py runs this on the release below it."""

import numpy as np
import torch
from PIL import Image

from pedclip import PedCLIPImageProcessor


def test_a_grey_tensor_gives_the_same_pixels_as_the_same_picture():
    """Needs image backends that make a tensor an array before they turn one channel into three.

    Older ones hand the tensor itself to `convert_to_rgb`, which knows PIL images and arrays. Radiographs are grey.
    """
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    processor = PedCLIPImageProcessor(size={"height": 32, "width": 32})
    from_tensor = processor(torch.from_numpy(grey), return_tensors="pt").pixel_values
    assert from_tensor.shape == (1, 3, 32, 32)
    torch.testing.assert_close(from_tensor, processor(Image.fromarray(grey), return_tensors="pt").pixel_values)
