"""transformers' common model and config tests on PedCLIP's models."""

import unittest
from unittest.mock import patch

import torch
from transformers import BertConfig
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES
from transformers_tests.test_configuration_common import ConfigTester
from transformers_tests.test_modeling_common import ModelTesterMixin, floats_tensor, ids_tensor, random_attention_mask

from pedclip import (
    PedCLIPConfig,
    PedCLIPForImageClassification,
    PedCLIPModel,
    PedCLIPVisionConfig,
    PedCLIPVisionModel,
)

BODY_PARTS = ["chest", "elbow", "hand", "wrist"]
EACH_TOWER = (
    "PedCLIPModel has no hidden states or attentions of its own; those of its towers are checked by "
    "PedCLIPVisionModelTest and test_get_text_features_*"
)


class VisionModelTester:
    is_training = True
    batch_size = 4
    image_size = 16
    patch_size = 4
    hidden_size = 32
    num_hidden_layers = 2
    num_attention_heads = 4
    seq_length = (image_size // patch_size) ** 2 + 1

    def __init__(self, parent):
        self.parent = parent

    def get_config(self):
        return PedCLIPVisionConfig(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=37,
            expert_intermediate_size=24,
            image_size=self.image_size,
            patch_size=self.patch_size,
            mobe_layers=[1],
            num_experts=len(BODY_PARTS),
        )

    def prepare_config_and_inputs_for_common(self):
        pixel_values = floats_tensor([self.batch_size, 3, self.image_size, self.image_size])
        return self.get_config(), {"pixel_values": pixel_values}


class ImageInputMixin:
    """For models whose inputs are embedded by a convolution over patches, not by a table of tokens."""

    test_resize_embeddings = False

    def test_model_get_set_embeddings(self):
        config, _ = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            model = model_class(config)
            self.assertIsInstance(model.get_input_embeddings(), torch.nn.Conv2d)

            replacement = torch.nn.Conv2d(1, 1, 1)
            model.set_input_embeddings(replacement)
            self.assertIs(model.get_input_embeddings(), replacement)
            self.assertIsNone(model.get_output_embeddings())


class PedCLIPVisionModelTest(ImageInputMixin, ModelTesterMixin, unittest.TestCase):
    all_model_classes = (PedCLIPVisionModel,)

    def setUp(self):
        self.model_tester = VisionModelTester(self)
        self.config_tester = ConfigTester(
            self, config_class=PedCLIPVisionConfig, has_text_modality=False, hidden_size=36, mobe_layers=[0, 11]
        )

    def test_config(self):
        self.config_tester.run_common_tests()


class ModelTester:
    # the sizes are the text tower's; the image tower has a tester of its own
    is_training = True
    batch_size = VisionModelTester.batch_size
    seq_length = 7
    hidden_size = 32
    num_hidden_layers = 2
    num_attention_heads = 4
    vocab_size = 99

    def __init__(self, parent):
        self.vision_model_tester = VisionModelTester(parent)

    def get_config(self):
        text_config = BertConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=37,
            max_position_embeddings=64,
        )
        return PedCLIPConfig(
            vision_config=self.vision_model_tester.get_config(),
            text_config=text_config,
            projection_dim=24,
            body_parts=BODY_PARTS,
        )

    def prepare_config_and_inputs_for_common(self):
        _, inputs = self.vision_model_tester.prepare_config_and_inputs_for_common()
        inputs["input_ids"] = ids_tensor([self.batch_size, self.seq_length], self.vocab_size)
        inputs["attention_mask"] = random_attention_mask([self.batch_size, self.seq_length])
        return self.get_config(), inputs


class PedCLIPModelTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (PedCLIPModel,)
    additional_model_inputs = ["pixel_values"]
    _is_composite = True

    def setUp(self):
        self.model_tester = ModelTester(self)
        self.config_tester = ConfigTester(
            self,
            config_class=PedCLIPConfig,
            has_text_modality=False,
            common_properties=["projection_dim", "logit_scale_init_value", "body_parts"],
            projection_dim=24,
            mask_identical_texts=True,
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        if return_labels:
            inputs["return_loss"] = True
            inputs["body_part"] = torch.arange(self.model_tester.batch_size) % len(BODY_PARTS)
        return inputs

    # The training tests pass base models by, because those have no loss. This one has: it is no base model there.
    def test_training(self):
        with patch.dict(MODEL_MAPPING_NAMES, {"pedclip": None}):
            super().test_training()

    def check_training_gradient_checkpointing(self, gradient_checkpointing_kwargs=None):
        with patch.dict(MODEL_MAPPING_NAMES, {"pedclip": None}):
            super().check_training_gradient_checkpointing(gradient_checkpointing_kwargs)

    @unittest.skip(reason=EACH_TOWER)
    def test_hidden_states_output(self):
        pass

    @unittest.skip(reason=EACH_TOWER)
    def test_attention_outputs(self):
        pass

    @unittest.skip(reason=EACH_TOWER)
    def test_retain_grad_hidden_states_attentions(self):
        pass


class VolumeModelTester(ModelTester):
    """Studies of three slices through the slice pooling adapter."""

    def get_config(self):
        config = super().get_config()
        config.volume_pooling = "attention"
        return config

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        inputs["pixel_values"] = floats_tensor([self.batch_size, 3, 3, *inputs["pixel_values"].shape[-2:]])
        return config, inputs


class PedCLIPVolumeModelTest(PedCLIPModelTest):
    def setUp(self):
        super().setUp()
        self.model_tester = VolumeModelTester(self)


class ImageClassificationTester(VisionModelTester):
    def get_config(self):
        return PedCLIPConfig(vision_config=super().get_config(), body_parts=BODY_PARTS, num_labels=3)


class PedCLIPForImageClassificationTest(ImageInputMixin, ModelTesterMixin, unittest.TestCase):
    all_model_classes = (PedCLIPForImageClassification,)
    _is_composite = True

    def setUp(self):
        self.model_tester = ImageClassificationTester(self)
