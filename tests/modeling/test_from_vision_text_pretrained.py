"""Starting from a pretrained ViT and BERT: at step 0 both towers are those two, whatever the gate says."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from pedclip import PedCLIPModel

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "hidden_act": "gelu_new",  # not the default: what differs must come along
    "layer_norm_eps": 1e-5,
}
BERT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
DISTILBERT = {"vocab_size": 64, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
PIXELS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
WORDS = torch.randint(5, 64, (3, 7), generator=torch.Generator().manual_seed(0))


def save(model, folder, dtype=torch.float32):
    """Writes a source as the Hub would hold it, with every parameter away from its initial value."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.to(dtype).save_pretrained(folder)
    return folder


@pytest.fixture
def vit_folder(tmp_path):
    torch.manual_seed(1)
    return save(ViTModel(ViTConfig(**VIT)), tmp_path / "vit")


@pytest.fixture
def bert_folder(tmp_path):
    torch.manual_seed(2)
    return save(BertModel(BertConfig(**BERT)), tmp_path / "bert")


def randomize_gates(model, strength=30.0):
    for name, parameter in model.named_parameters():
        if ".gate." in name:
            torch.nn.init.normal_(parameter, std=strength)


def assert_image_tower_equals(model, vit):
    """Before and after the gates say something strong, and with labels in their place; every token."""
    expected = vit.eval()(PIXELS).last_hidden_state
    labels = torch.tensor([model.config.vision_config.num_experts - 1, 0, -100])
    for _ in range(2):
        torch.testing.assert_close(model.vision_model(PIXELS).last_hidden_state, expected, rtol=0, atol=1e-5)
        forced = model.vision_model(PIXELS, forced_experts=labels).last_hidden_state
        torch.testing.assert_close(forced, expected, rtol=0, atol=1e-5)
        short = model.vision_model(PIXELS, img_token_only=True).pooler_output
        torch.testing.assert_close(short, expected[:, 0], rtol=0, atol=1e-5)
        randomize_gates(model)


@pytest.mark.parametrize("mobe_layers", [None, [0, 2], []])
def test_the_image_tower_begins_as_the_vit_whatever_the_gate_says(vit_folder, bert_folder, mobe_layers):
    chosen = {} if mobe_layers is None else {"vision_mobe_layers": mobe_layers}
    model = PedCLIPModel.from_vision_text_pretrained(vit_folder, bert_folder, **chosen)

    assert not model.training
    assert model.config.vision_config.mobe_layers == ([2] if mobe_layers is None else mobe_layers)
    assert model.config.vision_config.num_experts == 23
    assert_image_tower_equals(model, ViTModel.from_pretrained(vit_folder))


def test_a_vit_with_a_classifier_and_the_hubs_old_parameter_names_is_read_too(tmp_path, bert_folder):
    torch.manual_seed(1)
    folder = save(ViTForImageClassification(ViTConfig(**VIT, num_labels=4)), tmp_path / "classifier")

    assert "vit.encoder.layer.0.attention.attention.query.weight" in load_file(folder / "model.safetensors")
    model = PedCLIPModel.from_vision_text_pretrained(folder, bert_folder)

    assert model.config.num_labels == 2  # the source's classes are not ours
    assert_image_tower_equals(model, ViTForImageClassification.from_pretrained(folder).vit)


def test_a_vit_without_query_biases_and_with_other_patches_fits(tmp_path, bert_folder):
    torch.manual_seed(1)
    folder = save(ViTModel(ViTConfig(**VIT | {"qkv_bias": False, "patch_size": 16})), tmp_path / "vit")

    assert_image_tower_equals(
        PedCLIPModel.from_vision_text_pretrained(folder, bert_folder), ViTModel.from_pretrained(folder)
    )


@pytest.mark.parametrize(
    "text_class, config",
    [
        (BertModel, BertConfig(**BERT)),
        (RobertaModel, RobertaConfig(**BERT | {"pad_token_id": 1, "max_position_embeddings": 66})),
        (DistilBertModel, DistilBertConfig(**DISTILBERT)),
    ],
    ids=["bert", "roberta", "distilbert"],
)
def test_the_text_tower_begins_as_its_source(tmp_path, vit_folder, text_class, config):
    torch.manual_seed(2)
    folder = save(text_class(config), tmp_path / "text")
    model = PedCLIPModel.from_vision_text_pretrained(vit_folder, folder)
    source = text_class.from_pretrained(folder).eval()
    mask = (torch.arange(7)[None] < torch.tensor([7, 4, 5])[:, None]).long()

    expected = source(WORDS, attention_mask=mask).last_hidden_state
    features = model.get_text_features(WORDS, attention_mask=mask)
    torch.testing.assert_close(features.last_hidden_state, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(features.pooler_output, expected[:, 0], rtol=0, atol=1e-6)
    assert not [name for name, _ in model.named_parameters() if "pooler" in name]


def test_a_real_bert_of_another_width_gets_a_projection_on_the_image_side_only(vit_folder, minilm_folder):
    model = PedCLIPModel.from_vision_text_pretrained(vit_folder, minilm_folder)
    source = AutoModel.from_pretrained(minilm_folder).eval()
    words = torch.tensor([[101, 2450, 1060, 4097, 102], [101, 3108, 102, 0, 0]])

    expected = source(words, attention_mask=words.ne(0).long()).last_hidden_state[:, 0]
    features = model.get_text_features(words, attention_mask=words.ne(0).long()).pooler_output
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)
    assert tuple(model.visual_projection.weight.shape) == (384, 32)
    assert isinstance(model.text_projection, torch.nn.Identity)
    assert_image_tower_equals(model, ViTModel.from_pretrained(vit_folder))


def test_towers_of_one_width_get_no_projection(vit_folder, bert_folder):
    model = PedCLIPModel.from_vision_text_pretrained(vit_folder, bert_folder)

    assert isinstance(model.visual_projection, torch.nn.Identity)
    assert isinstance(model.text_projection, torch.nn.Identity)


@pytest.mark.parametrize("vision_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("text_dtype", [torch.float32, torch.float16])
def test_sources_saved_in_half_precision_open_in_float32(tmp_path, vision_dtype, text_dtype):
    vision = save(ViTModel(ViTConfig(**VIT)), tmp_path / "vit", vision_dtype)
    text = save(BertModel(BertConfig(**BERT)), tmp_path / "bert", text_dtype)
    model = PedCLIPModel.from_vision_text_pretrained(vision, text)

    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model(input_ids=WORDS, pixel_values=PIXELS).logits_per_image.isfinite().all()


def test_without_a_vit_the_image_tower_is_new_and_of_the_size_that_was_asked_for(bert_folder):
    small = {f"vision_{key}": value for key, value in VIT.items()}
    model = PedCLIPModel.from_vision_text_pretrained(None, bert_folder, **small, vision_mobe_layers=[1])

    assert model.config.vision_config.num_hidden_layers == 3
    assert model(input_ids=WORDS, pixel_values=PIXELS).logits_per_image.shape == (3, 3)
    source = BertModel.from_pretrained(bert_folder).eval()
    torch.testing.assert_close(model.get_text_features(WORDS).pooler_output, source(WORDS).last_hidden_state[:, 0])


def test_fields_of_the_whole_model_and_of_either_tower_can_be_chosen(vit_folder, bert_folder):
    model = PedCLIPModel.from_vision_text_pretrained(
        vit_folder,
        bert_folder,
        vision_num_experts=2,
        body_parts=["hand", "foot"],
        text_hidden_dropout_prob=0.3,
        projection_dim=8,
        mask_identical_texts=True,
    )

    assert model.config.body_parts == ["hand", "foot"]
    assert model.config.text_config.hidden_dropout_prob == 0.3
    assert model.config.mask_identical_texts
    assert model(input_ids=WORDS, pixel_values=PIXELS).image_embeds.shape == (3, 8)


def test_what_was_started_can_be_saved_and_opened_again(vit_folder, bert_folder, tmp_path):
    model = PedCLIPModel.from_vision_text_pretrained(vit_folder, bert_folder)
    model.save_pretrained(tmp_path / "pedclip")
    again = PedCLIPModel.from_pretrained(tmp_path / "pedclip")

    expected = model(input_ids=WORDS, pixel_values=PIXELS).logits_per_image
    torch.testing.assert_close(
        again(input_ids=WORDS, pixel_values=PIXELS).logits_per_image, expected, rtol=0, atol=5e-6
    )


def test_sources_of_the_wrong_kind_are_refused_by_name(vit_folder, bert_folder):
    with pytest.raises(ValueError, match=r"is a 'bert', and the image tower starts from a 'vit'"):
        PedCLIPModel.from_vision_text_pretrained(bert_folder, vit_folder)
    with pytest.raises(ValueError, match=r"text tower is a 'vit', which does not read text"):
        PedCLIPModel.from_vision_text_pretrained(vit_folder, vit_folder)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"vision_hidden_size": 64}, r"of the ViT is \(.*\) and does not fit .* hidden_size"),
        ({"vision_expert_intermediate_size": 20}, r"fc1.* of the ViT is \(48, 32\) and does not fit \(23, 20, 32\)"),
        ({"vision_image_size": 64}, r"position_embeddings of the ViT is \(1, 17, 32\) and does not fit \(1, 65, 32\)"),
        ({"vision_num_hidden_layers": 4}, "the ViT has 3 layers and the image tower 4"),
        ({"vision_num_hidden_layers": 2, "vision_mobe_layers": [1]}, "the ViT has 3 layers and the image tower 2"),
        ({"vision_qkv_bias": False}, r"q_proj.bias of the ViT is \(32,\) and has no place"),
        ({"vision_num_experts": 4}, "body_parts has 23 names and vision_config.num_experts is 4"),
        ({"vision_mobe_layers": [3]}, r"mobe_layers holds \[3\], but the tower has 3 layers"),
    ],
)
def test_fields_that_do_not_fit_the_vit_are_refused_with_the_way_out(vit_folder, bert_folder, fields, message):
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        PedCLIPModel.from_vision_text_pretrained(vit_folder, bert_folder, **fields)


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("vision_mobe_layer", "did you mean 'vision_mobe_layers'"),
        ("text_hidden_droput_prob", "did you mean 'text_hidden_dropout_prob'"),
        ("projection_dims", "did you mean 'projection_dim'"),
    ],
)
def test_a_misspelt_field_is_refused_and_not_silently_kept(bert_folder, field, hint):
    with pytest.raises(ValueError, match=hint):
        PedCLIPModel.from_vision_text_pretrained(None, str(bert_folder), **{field: 1})


def test_a_vit_that_says_its_size_for_both_sides_is_taken_over(bert_folder, tmp_path):
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}
    ViTModel(ViTConfig(**sizes, image_size=[16, 16], patch_size=8)).save_pretrained(tmp_path)
    model = PedCLIPModel.from_vision_text_pretrained(str(tmp_path), str(bert_folder))
    assert model.config.vision_config.image_size == 16
