"""The config: the paper's defaults, the names of the body parts, and what it says to values that cannot work."""

import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BertConfig, DistilBertConfig

from pedclip import PedCLIPConfig, PedCLIPVisionConfig

BODY_PARTS = [
    *("abdomen", "ankle", "cervical_spine", "chest", "clavicle", "elbow", "face", "femur", "finger", "foot"),
    *("forearm", "hand", "hip", "humerus", "knee", "lower_leg", "lumbar_spine", "pelvis", "shoulder", "skull"),
    *("thoracic_spine", "whole_spine", "wrist"),
]


def test_the_default_is_vit_b_16_with_23_experts_in_the_last_layer():
    vision = PedCLIPVisionConfig()

    assert (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads) == (768, 12, 12)
    assert (vision.intermediate_size, vision.image_size, vision.patch_size) == (3072, 224, 16)
    assert vision.mobe_layers == [11]
    assert vision.num_experts == 23
    assert vision.expert_intermediate_size == 3072
    assert PedCLIPConfig().vision_config.to_dict() == vision.to_dict()


def test_the_default_text_tower_is_bert_base_and_the_shared_space_as_wide():
    config = PedCLIPConfig()

    assert isinstance(config.text_config, BertConfig)
    assert config.projection_dim is None
    assert config.shared_dim == config.text_config.hidden_size == config.vision_config.hidden_size == 768
    assert not config.mask_identical_texts  # off in the paper's recipe


def test_the_body_parts_are_these_23_in_this_order():
    assert len(BODY_PARTS) == 23
    assert PedCLIPConfig().body_parts == BODY_PARTS


def test_two_configs_do_not_share_their_lists():
    first, second = PedCLIPConfig(), PedCLIPConfig()
    first.body_parts[0] = "tail"
    first.vision_config.mobe_layers.append(3)

    assert second.body_parts == BODY_PARTS
    assert second.vision_config.mobe_layers == [11]
    assert PedCLIPConfig().body_parts == BODY_PARTS


def test_expert_width_follows_the_mlps_unless_given():
    assert PedCLIPVisionConfig(intermediate_size=64).expert_intermediate_size == 64
    assert PedCLIPVisionConfig(intermediate_size=64, expert_intermediate_size=16).expert_intermediate_size == 16


def test_an_empty_list_of_layers_is_a_plain_vit():
    assert PedCLIPVisionConfig(mobe_layers=[]).mobe_layers == []


def test_a_distilbert_text_config_knows_its_width():
    config = PedCLIPConfig(text_config={"model_type": "distilbert", "dim": 48, "n_heads": 4})

    assert isinstance(config.text_config, DistilBertConfig)
    assert config.shared_dim == 48


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_attention_heads": 0}, r"num_attention_heads is 0; it must be at least 1"),
        ({"hidden_dropout_prob": 2.0}, r"hidden_dropout_prob is 2.0; it is a probability"),
        ({"mobe_layers": [12]}, r"mobe_layers holds \[12\], but the tower has 12 layers.* from 0 to 11"),
        ({"mobe_layers": [-1, 3]}, r"mobe_layers holds \[-1\]"),
        ({"num_hidden_layers": 4}, r"mobe_layers holds \[11\], but the tower has 4 layers.*mobe_layers=\[3\]"),
        ({"mobe_layers": [3, 3]}, r"mobe_layers is \[3, 3\]; name each layer once"),
        ({"num_experts": 0}, "num_experts is 0; .* at least 1 expert"),
        ({"expert_intermediate_size": 0}, "expert_intermediate_size is 0; give at least 1, or None"),
        ({"hidden_size": 100}, "hidden_size is 100 and num_attention_heads is 12; .* multiple"),
        ({"image_size": 230}, "image_size is 230 and patch_size is 16; .* for example image_size=224"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"num_experts": "many"}, "num_experts"),
        ({"hidden_size": 76.8}, "hidden_size"),
    ],
)
def test_a_vision_config_that_cannot_work_says_why(fields, message):
    with pytest.raises(StrictDataclassError, match=f"(?s){message}"):
        PedCLIPVisionConfig(**fields)


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            {"body_parts": ["hand", "foot"]},
            "body_parts has 2 names and vision_config.num_experts is 23; .*num_experts=2",
        ),
        ({"vision_config": {"num_experts": 5}}, r"body_parts has 23 names .* is 5; .*body_parts=\[...\] with 5 names"),
        (
            {"body_parts": ["hand", "hand"], "vision_config": {"num_experts": 2}},
            r"body_parts holds \['hand'\] more than once",
        ),
        ({"projection_dim": 0}, "projection_dim is 0; give at least 1, or None"),
        ({"logit_scale_init_value": 5.0}, "logit_scale_init_value is 5.0, above logit_scale_max"),
        ({"gate_loss_weight": -1.0}, "gate_loss_weight is -1.0; lambda must not be negative"),
        ({"vision_config": {"mobe_layers": [12]}}, r"mobe_layers holds \[12\]"),
        ({"mask_identical_texts": "yes"}, "mask_identical_texts"),
    ],
)
def test_a_config_that_cannot_work_says_why(fields, message):
    with pytest.raises(StrictDataclassError, match=f"(?s){message}"):
        PedCLIPConfig(**fields)


def test_a_config_made_wrong_later_is_not_saved(tmp_path):
    config = PedCLIPConfig()
    config.body_parts = config.body_parts[:-1]

    with pytest.raises(StrictDataclassError, match="body_parts has 22 names"):
        config.save_pretrained(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        PedCLIPConfig(
            vision_config={"mobe_layers": (3, 11), "num_experts": 2, "expert_intermediate_size": 128},
            text_config={"model_type": "roberta", "vocab_size": 77},
            body_parts=("hand", "foot"),
            projection_dim=64,
            mask_identical_texts=True,
            num_labels=3,
        ),
        PedCLIPVisionConfig(mobe_layers=[0, 5], num_experts=4, qkv_bias=False),
    ],
    ids=["whole", "vision"],
)
def test_a_config_comes_back_from_its_file_and_its_file_says_how_to_open_it(config, tmp_path):
    config.save_pretrained(tmp_path)
    again = type(config).from_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())

    assert again.to_dict() == config.to_dict()
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_text() == (tmp_path / "config.json").read_text()
    assert written["auto_map"]["AutoConfig"] == f"configuration_pedclip.{type(config).__name__}"
    assert written["auto_map"] == config.auto_map
    assert type(AutoConfig.from_pretrained(tmp_path)) is type(config)  # known without trust_remote_code


def test_the_whole_models_file_names_a_class_for_each_auto_class():
    assert PedCLIPConfig().auto_map == {
        "AutoConfig": "configuration_pedclip.PedCLIPConfig",
        "AutoModel": "modeling_pedclip.PedCLIPModel",
        "AutoModelForZeroShotImageClassification": "modeling_pedclip.PedCLIPModel",
        "AutoModelForImageClassification": "modeling_pedclip.PedCLIPForImageClassification",
    }


def test_a_further_auto_map_entry_is_kept_beside_ours(tmp_path):
    PedCLIPConfig(auto_map={"AutoModelForCausalLM": "other.Other"}).save_pretrained(tmp_path)
    auto_map = PedCLIPConfig.from_pretrained(tmp_path).auto_map

    assert auto_map["AutoModelForCausalLM"] == "other.Other"
    assert auto_map["AutoModel"] == "modeling_pedclip.PedCLIPModel"


def test_the_vision_config_is_found_inside_the_whole_models_file(tmp_path):
    PedCLIPConfig(vision_config={"mobe_layers": [2]}).save_pretrained(tmp_path)

    assert PedCLIPVisionConfig.from_pretrained(tmp_path).mobe_layers == [2]
