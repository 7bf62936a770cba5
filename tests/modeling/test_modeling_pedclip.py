"""Ways through the model that must not change its answer: fewer tokens, other attention, less memory or precision."""

import pytest
import torch

from pedclip import PedCLIPForImageClassification, PedCLIPVisionModel

EXACT = {"rtol": 1e-9, "atol": 1e-12}


def gradients(model) -> dict[str, torch.Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_same_gradients(model, expected: dict, **tolerance):
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], **tolerance, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("mobe_layers", [[1], [0], [0, 1], []])
@pytest.mark.parametrize("forced", [None, [2, -100, 0]])
def test_the_last_layer_for_the_img_token_alone_equals_the_whole_layer(make_model, attention, mobe_layers, forced):
    model = make_model(dtype=torch.float64, vision={"mobe_layers": mobe_layers}).vision_model
    model.set_attn_implementation(attention)
    torch.manual_seed(3)
    pixels = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    labels = None if forced is None else torch.tensor(forced)

    def run(img_token_only):
        model.zero_grad()
        output = model(pixels, forced_experts=labels, img_token_only=img_token_only)
        readings = [output.pooler_output, *output.router_logits]
        sum((reading * reading.detach().sin()).sum() for reading in readings).backward()
        return output, gradients(model)

    whole, expected = run(img_token_only=False)
    short, _ = run(img_token_only=True)

    assert whole.last_hidden_state.shape == (3, 17, 32)
    assert short.last_hidden_state.shape == (3, 1, 32)
    torch.testing.assert_close(short.pooler_output, whole.pooler_output, **EXACT)
    torch.testing.assert_close(short.router_logits, whole.router_logits, **EXACT)
    assert_same_gradients(model, expected, **EXACT)


def test_the_loss_takes_the_short_way_and_equals_the_long_one_with_all_gradients(make_model, make_batch):
    model, batch = make_model(dtype=torch.float64), make_batch(dtype=torch.float64)

    def run(**asked):
        model.zero_grad()
        output = model(**batch, return_loss=True, **asked)
        output.loss.backward()
        return output, gradients(model)

    long, expected = run(output_hidden_states=True)  # whoever asks for all tokens gets them
    short, _ = run()

    assert long.vision_model_output.hidden_states[-1].shape[1] == 17
    assert short.vision_model_output.last_hidden_state.shape[1] == 1
    torch.testing.assert_close(short.loss, long.loss, **EXACT)
    assert_same_gradients(model, expected, **EXACT)


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("teacher_forcing", [False, True])
def test_gradient_checkpointing_changes_no_gradient_not_even_the_gates(
    make_model, make_batch, use_reentrant, teacher_forcing
):
    model, batch = make_model(dtype=torch.float64).train(), make_batch(dtype=torch.float64)

    def run():
        model.zero_grad()
        output = model(**batch, return_loss=True, teacher_forcing=teacher_forcing)
        output.loss.backward()
        return output, gradients(model)

    plain, expected = run()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": use_reentrant})
    checkpointed, _ = run()

    assert model.is_gradient_checkpointing
    assert expected["vision_model.layers.1.mlp.gate.proj.weight"].any()
    torch.testing.assert_close(checkpointed.loss, plain.loss, **EXACT)
    torch.testing.assert_close(checkpointed.router_logits, plain.router_logits, **EXACT)
    assert_same_gradients(model, expected, **EXACT)


def test_sdpa_equals_eager_with_all_gradients(make_model, make_batch):
    model, batch = make_model(dtype=torch.float64), make_batch(dtype=torch.float64)

    def run(attention):
        model.set_attn_implementation(attention)
        assert model.vision_model.config._attn_implementation == attention
        model.zero_grad()
        output = model(**batch, return_loss=True)
        output.loss.backward()
        return output, gradients(model)

    eager, expected = run("eager")
    sdpa, _ = run("sdpa")

    torch.testing.assert_close(sdpa.logits_per_image, eager.logits_per_image, **EXACT)
    assert_same_gradients(model, expected, **EXACT)


@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_bf16_trains_and_stays_close(make_model, make_batch, how):
    model, batch = make_model(), make_batch()
    expected = model(**batch, return_loss=True)
    if how == "weights":
        model = model.bfloat16()  # pixel_values stay float32: the model takes them as they come

    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        output = model(**batch, return_loss=True)
    output.loss.backward()

    cosine = torch.nn.functional.cosine_similarity
    for name in ("image_embeds", "text_embeds"):
        assert cosine(output[name].float(), expected[name]).min() > 0.998, name
    torch.testing.assert_close(output.loss.float(), expected.loss, rtol=0.03, atol=0)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_every_parameter_gets_a_gradient_and_one_step_lowers_the_loss(make_model, make_batch):
    model, batch = make_model(), make_batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    before = model(**batch, return_loss=True)
    before.loss.backward()
    # a key's bias adds the same to all scores of a query, and so never has a gradient
    unreached = [name for name, g in gradients(model).items() if g is None or not g.any()]
    optimizer.step()

    assert [name for name in unreached if "k_proj.bias" not in name and "key.bias" not in name] == []
    assert model(**batch, return_loss=True).loss < before.loss


def test_the_text_tower_reads_its_cls_token_and_no_padding(make_model, make_batch):
    model, batch = make_model(), make_batch()
    padded = {key: torch.nn.functional.pad(batch[key], (0, 5)) for key in ("input_ids", "attention_mask")}
    features = model.get_text_features(batch["input_ids"], attention_mask=batch["attention_mask"])

    torch.testing.assert_close(model.get_text_features(**padded).pooler_output, features.pooler_output)
    torch.testing.assert_close(features.pooler_output, features.last_hidden_state[:, 0])  # as wide as the shared space


def test_logits_are_the_cosine_of_the_features_over_the_temperature(make_model, make_batch):
    model, batch = make_model(), make_batch()
    labels = batch.pop("body_part")
    images = model.get_image_features(batch["pixel_values"]).pooler_output
    texts = model.get_text_features(batch["input_ids"], batch["attention_mask"]).pooler_output
    cosine = torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=-1)

    output = model(**batch)
    torch.testing.assert_close(output.logits_per_image, cosine / 0.07, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.logits_per_text, output.logits_per_image.T)
    torch.testing.assert_close(output.image_embeds.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(model(**batch, body_part=labels).logits_per_image, output.logits_per_image)


def test_teacher_forcing_by_label_equals_an_image_tower_with_that_expert_alone(make_model, make_batch):
    model, batch = make_model(), make_batch()
    forced = model(**batch, teacher_forcing=True)
    labels = batch.pop("body_part")
    stacks = list(model.vision_model.layers[1].mlp.experts.parameters())
    originals = [stack.detach().clone() for stack in stacks]

    for image, label in enumerate(labels.tolist()):
        with torch.no_grad():  # all experts become the label's
            for stack, original in zip(stacks, originals, strict=True):
                stack.copy_(original if label == -100 else original[label].expand_as(original))
        alone = model(**batch)
        torch.testing.assert_close(forced.image_embeds[image], alone.image_embeds[image])
    torch.testing.assert_close(forced.text_embeds, alone.text_embeds)


def test_a_tuple_begins_with_the_loss_as_it_does_in_transformers(make_model, make_batch):
    model, batch = make_model(), make_batch()
    named = model(**batch, return_loss=True)
    plain = model(**batch, return_loss=True, return_dict=False)

    assert next(iter(named.keys())) == "loss"
    assert isinstance(plain, tuple)
    torch.testing.assert_close(plain[0], named.loss)
    torch.testing.assert_close(named[0], named["loss"])
    torch.testing.assert_close(model(**batch, return_dict=False)[0], named.logits_per_image)


@pytest.mark.parametrize(
    "widths, image, text",
    [
        ({"projection_dim": None}, "Linear", "Identity"),  # 32 and 24 wide: the texts' width is the shared one
        ({"projection_dim": 32}, "Identity", "Linear"),
        ({"projection_dim": 10}, "Linear", "Linear"),
        ({"projection_dim": None, "text": {"hidden_size": 32}}, "Identity", "Identity"),
    ],
)
def test_a_tower_is_projected_only_where_its_width_differs(make_model, make_batch, widths, image, text):
    model = make_model(**widths)

    assert type(model.visual_projection).__name__ == image
    assert type(model.text_projection).__name__ == text
    assert model(**make_batch()).image_embeds.shape == (4, model.config.shared_dim)
    for projection in (model.visual_projection, model.text_projection):
        assert "bias" not in dict(projection.named_parameters())


@pytest.mark.parametrize(
    "text_config",
    [
        {"model_type": "distilbert", "dim": 24, "n_layers": 1, "n_heads": 2, "hidden_dim": 30, "vocab_size": 64},
        {"model_type": "roberta", "pad_token_id": 1, "max_position_embeddings": 40},
        {"model_type": "electra", "embedding_size": 12},
        {"model_type": "mpnet"},
        {"model_type": "deberta-v2"},
    ],
    ids=lambda config: config["model_type"],
)
def test_any_bert_family_text_tower_builds_and_trains_all_of_its_parameters(make_model, make_batch, text_config):
    model = make_model(text=text_config, mask_identical_texts=True)
    batch = make_batch() | {
        "token_type_ids": torch.zeros(4, 6, dtype=torch.long)
    }  # pipelines pass what tokenizers give
    output = model(**batch, return_loss=True)
    output.loss.backward()

    assert model.config.text_config.model_type == text_config["model_type"]
    assert output.text_embeds.shape == (4, 24)
    assert [name for name, gradient in gradients(model).items() if gradient is None] == []


def test_a_text_tower_that_reads_no_text_is_refused(make_config):
    from pedclip import PedCLIPConfig, PedCLIPModel

    config = PedCLIPConfig(
        vision_config=make_config().vision_config, text_config={"model_type": "vit"}, body_parts=list("abcde")
    )
    with pytest.raises(ValueError, match="text tower is a 'vit', which does not read text"):
        PedCLIPModel(config)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"pixel_values": None}, "pixel_values is missing; .* get_text_features"),
        ({"input_ids": None}, "input_ids is missing; .* get_text_features"),
        ({"body_part": None, "teacher_forcing": True}, "teacher_forcing=True needs body_part"),
        ({"pixel_values": torch.zeros(3, 3, 32, 32)}, "needs pairs, but there are 3 images and 4 texts"),
        ({"pixel_values": torch.zeros(4, 1, 32, 32)}, "1 channels and the model takes 3"),
        ({"pixel_values": torch.zeros(4, 3, 32, 40)}, "32 x 40 and the model takes 32 x 32"),
    ],
)
def test_wrong_inputs_are_refused_with_the_way_out(make_model, make_batch, change, message):
    with pytest.raises(ValueError, match=message):
        make_model()(**(make_batch() | {"return_loss": True} | change))


def test_positions_are_resampled_for_another_image_size_and_kept_for_the_own(make_model):
    tower = make_model().vision_model
    pixels = torch.randn(2, 3, 32, 32)

    assert tower(torch.randn(2, 3, 48, 40), interpolate_pos_encoding=True).last_hidden_state.shape == (2, 31, 32)
    torch.testing.assert_close(
        tower(pixels, interpolate_pos_encoding=True).pooler_output, tower(pixels).pooler_output, rtol=1e-5, atol=1e-5
    )


def test_hidden_states_attentions_and_gates_are_recorded_when_asked_for(make_model, make_batch):
    model = make_model(vision={"mobe_layers": [0, 1]})
    model.set_attn_implementation("eager")
    asked = {"output_hidden_states": True, "output_attentions": True}
    vision = model(**make_batch(), return_loss=True, **asked).vision_model_output

    assert [state.shape for state in vision.hidden_states] == [(4, 17, 32)] * 3
    assert [weights.shape for weights in vision.attentions] == [(4, 4, 17, 17)] * 2
    torch.testing.assert_close(vision.attentions[0].sum(-1), torch.ones(4, 4, 17))
    assert [logits.shape for logits in vision.router_logits] == [(4, 5)] * 2


def test_the_model_compiles_into_one_graph(make_model, make_batch):
    model, batch = make_model(mask_identical_texts=True), make_batch()
    expected = model(**batch, return_loss=True, teacher_forcing=True)

    compiled = torch.compile(model, backend="eager", fullgraph=True)  # a graph break raises
    output = compiled(**batch, return_loss=True, teacher_forcing=True)

    torch.testing.assert_close(output.loss, expected.loss)


@pytest.mark.parametrize(
    "labels, problem_type",
    [
        (torch.tensor([0, 2, 1]), "single_label_classification"),
        (torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 0]]), "multi_label_classification"),
    ],
)
def test_the_classifier_takes_one_label_or_several(make_config, labels, problem_type):
    torch.manual_seed(0)
    model = PedCLIPForImageClassification(make_config(num_labels=3)).eval()
    pixels = torch.randn(3, 3, 32, 32)
    output = model(pixels, labels=labels)
    logits = model.classifier(model.vision_model(pixels).pooler_output)
    if problem_type == "single_label_classification":
        expected = -logits.log_softmax(-1)[torch.arange(3), labels].mean()
    else:
        expected = -(labels * logits.sigmoid().log() + (1 - labels) * (1 - logits.sigmoid()).log()).mean()

    torch.testing.assert_close(output.logits, logits)
    torch.testing.assert_close(output.loss, expected)
    assert model.config.problem_type == problem_type


def test_the_image_tower_alone_equals_the_whole_models(make_model):
    model = make_model()
    tower = PedCLIPVisionModel(model.config.vision_config).eval()
    tower.load_state_dict(model.vision_model.state_dict())
    pixels = torch.randn(2, 3, 32, 32)

    torch.testing.assert_close(tower(pixels).pooler_output, model.vision_model(pixels).pooler_output)
