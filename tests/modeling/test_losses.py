"""Eq. 3 and 4 against a loop over pairs, the gate's loss against -log s of the label, and how they add up."""

import math

import pytest
import torch
from transformers.models.clip import modeling_clip

from pedclip.modeling_pedclip.losses_pedclip import contrastive_losses, gate_loss, same_text

UNKNOWN = -100


def unit_rows(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    embeds = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return (embeds / embeds.norm(dim=-1, keepdim=True)).requires_grad_()


def loop_over_pairs(image_embeds, text_embeds, logit_scale, identical=None):
    """Eq. 3 and 4 as they are printed; other items with the same text are left out of the sums where asked."""
    count = len(image_embeds)
    image_to_text = text_to_image = 0.0
    for i in range(count):
        others = [k for k in range(count) if k == i or identical is None or not identical[i][k]]
        own = torch.exp(logit_scale * image_embeds[i] @ text_embeds[i])
        over_texts = sum(torch.exp(logit_scale * image_embeds[i] @ text_embeds[k]) for k in others)
        over_images = sum(torch.exp(logit_scale * image_embeds[k] @ text_embeds[i]) for k in others)
        image_to_text = image_to_text - torch.log(own / over_texts) / count
        text_to_image = text_to_image - torch.log(own / over_images) / count
    return image_to_text, text_to_image


@pytest.mark.parametrize("pairs, width, temperature", [(2, 4, 0.07), (7, 5, 0.07), (5, 16, 1.0)])
@pytest.mark.parametrize("texts_repeat", [False, True])
def test_contrastive_losses_equal_a_loop_over_pairs_with_gradients(pairs, width, temperature, texts_repeat):
    images, texts = unit_rows(pairs, width, seed=0), unit_rows(pairs, width, seed=1)
    scale = torch.tensor(1 / temperature, dtype=torch.float64, requires_grad=True)
    names = [min(pair, 2) for pair in range(pairs)]  # pairs 2, 3, ... have one text
    identical = torch.tensor([[a == b for b in names] for a in names]) if texts_repeat else None

    losses = contrastive_losses(images, texts, scale, identical)
    expected = loop_over_pairs(images, texts, scale, identical)

    weights = (0.3, 0.7)  # unequal, so that the two directions cannot be swapped
    for ours, theirs in zip(losses, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    for inputs in (images, texts, scale):
        gradient, expected_gradient = (
            torch.autograd.grad(
                sum(w * loss for w, loss in zip(weights, side, strict=True)), inputs, retain_graph=True
            )
            for side in (losses, expected)
        )
        torch.testing.assert_close(gradient[0], expected_gradient[0], rtol=1e-10, atol=1e-12)


def test_contrastive_losses_average_to_clips_own():
    images, texts = unit_rows(6, 8, seed=0), unit_rows(6, 8, seed=1)
    clip_loss = modeling_clip.image_text_contrastive_loss(10.0 * texts @ images.T)

    torch.testing.assert_close(sum(contrastive_losses(images, texts, torch.tensor(10.0))) / 2, clip_loss)


def test_masking_identical_texts_lowers_the_loss_only_where_texts_repeat():
    images, texts = unit_rows(6, 8, seed=0), unit_rows(6, 8, seed=1)
    none_repeat, two_repeat = torch.eye(6, dtype=torch.bool), torch.eye(6, dtype=torch.bool)
    two_repeat[0, 5] = two_repeat[5, 0] = True
    plain = contrastive_losses(images, texts, torch.tensor(10.0))

    assert contrastive_losses(images, texts, torch.tensor(10.0), none_repeat) == plain
    for masked, loss in zip(contrastive_losses(images, texts, torch.tensor(10.0), two_repeat), plain, strict=True):
        assert masked < loss


def test_a_batch_of_one_text_has_no_negatives_and_no_loss():
    images, texts = unit_rows(4, 8, seed=0), unit_rows(4, 8, seed=1)
    losses = contrastive_losses(images, texts, torch.tensor(10.0), torch.ones(4, 4, dtype=torch.bool))
    sum(losses).backward()

    assert [loss.item() for loss in losses] == [0, 0]
    assert not images.grad.any() and not texts.grad.any()


def test_texts_are_the_same_when_their_tokens_are_whatever_the_padding_holds():
    input_ids = torch.tensor([[2, 7, 3, 0], [2, 7, 3, 9], [2, 7, 8, 3], [2, 7, 3, 9]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]])
    same = [[True, True, False, False], [True, True, False, False], [False, False, True, False], [False] * 3 + [True]]

    assert same_text(input_ids, mask, max_length=16).tolist() == same
    assert same_text(input_ids, None, max_length=16)[1].tolist() == [False, True, False, True]


def random_router_logits(layers: int, samples: int, experts: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(samples, experts, generator=generator, dtype=torch.float64) * 3 for _ in range(layers)]
    return tuple(logits.requires_grad_() for logits in draw)


@pytest.mark.parametrize("layers", [1, 3])
def test_gate_loss_is_the_mean_of_minus_log_s_of_the_label_over_layers_and_labelled_samples(layers):
    router_logits = random_router_logits(layers, samples=5, experts=4)
    labels = torch.tensor([3, UNKNOWN, 0, 2, UNKNOWN])
    terms = []
    for logits in router_logits:
        for sample, label in enumerate(labels.tolist()):
            if label != UNKNOWN:
                s = torch.exp(logits[sample]) / torch.exp(logits[sample]).sum()  # eq. 1
                terms.append(-torch.log(s[label]))
    expected = sum(terms) / len(terms)
    loss = gate_loss(router_logits, labels)

    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(loss, router_logits), torch.autograd.grad(expected, router_logits), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_a_second_softmax_gives_another_number_which_ours_is_not():
    router_logits = random_router_logits(1, samples=5, experts=4)
    labels = torch.tensor([3, 1, 0, 2, 2])
    s = router_logits[0].softmax(-1)
    right = torch.nn.functional.nll_loss(s.log(), labels)
    mistake = torch.nn.functional.cross_entropy(s, labels)  # softmax of a softmax

    assert abs(right - mistake) > 0.1
    torch.testing.assert_close(gate_loss(router_logits, labels), right)


def test_a_sure_gate_comes_near_zero_which_a_double_softmax_could_not():
    sure = (torch.eye(23) * 50,)
    lowest_possible_mistake = -math.log(math.e / (math.e + 22))

    assert gate_loss(sure, torch.arange(23)) < 1e-6
    assert lowest_possible_mistake > 2


def test_gate_loss_of_half_precision_logits_is_computed_in_single():
    logits = torch.tensor([[4.0, 0.0, 0.0]])

    loss = gate_loss((logits.bfloat16(),), torch.tensor([0]))

    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, gate_loss((logits,), torch.tensor([0])))


def test_no_labelled_sample_gives_a_gate_loss_of_exactly_zero_where_a_plain_cross_entropy_gives_nan():
    router_logits = random_router_logits(2, samples=3, experts=4)
    labels = torch.full((3,), UNKNOWN)
    loss = gate_loss(router_logits, labels)
    loss.backward()

    assert torch.nn.functional.cross_entropy(router_logits[0], labels).isnan()
    assert loss.item() == 0
    assert all(torch.equal(logits.grad, torch.zeros_like(logits)) for logits in router_logits)


@pytest.mark.parametrize("teacher_forcing", [False, True])
def test_a_batch_without_labels_trains_the_model_with_finite_gradients(make_model, make_batch, teacher_forcing):
    model = make_model()
    batch = make_batch() | {"body_part": torch.full((4,), UNKNOWN)}

    output = model(**batch, return_loss=True, teacher_forcing=teacher_forcing)
    output.loss.backward()

    assert output.gate_loss.item() == 0
    assert output.loss.item() == output.contrastive_loss.item() > 0
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert model.vision_model.layers[1].mlp.gate.proj.weight.grad.any()  # the contrastive loss still moves the gate


def test_total_is_half_of_both_directions_plus_lambda_times_the_gates_loss(make_model, make_batch):
    model, batch = make_model(vision={"mobe_layers": [0, 1]}), make_batch()
    output = model(**batch, return_loss=True, gate_weight=0.37)
    scale = model.logit_scale.exp()
    image_to_text, text_to_image = loop_over_pairs(output.image_embeds, output.text_embeds, scale)

    torch.testing.assert_close(output.image_to_text_loss, image_to_text)
    torch.testing.assert_close(output.text_to_image_loss, text_to_image)
    torch.testing.assert_close(output.contrastive_loss, (image_to_text + text_to_image) / 2)
    torch.testing.assert_close(output.gate_loss, gate_loss(output.router_logits, batch["body_part"]))
    torch.testing.assert_close(output.loss, (image_to_text + text_to_image) / 2 + 0.37 * output.gate_loss)
    assert len(output.router_logits) == 2


def test_under_teacher_forcing_the_gates_loss_alone_moves_the_gate_as_a_cross_entropy_does(make_model, make_batch):
    model, batch = make_model(dtype=torch.float64), make_batch(dtype=torch.float64)
    batch["body_part"] = torch.tensor([2, 0, 4, 2])
    gate = model.vision_model.layers[1].mlp.gate
    seen = []
    gate.register_forward_hook(lambda module, inputs, logits: seen.append((inputs[0][:, 0], logits)))

    model(**batch, return_loss=True, teacher_forcing=True, gate_weight=0.5).loss.backward()

    ((img_token, logits),) = seen
    wrong = logits.softmax(-1) - torch.nn.functional.one_hot(batch["body_part"], 5)  # s - x_b
    torch.testing.assert_close(gate.proj.weight.grad, 0.5 * wrong.T @ img_token / 4, rtol=1e-9, atol=1e-12)
    assert model.vision_model.embeddings.patch_embeddings.weight.grad.any()


def test_gate_weight_comes_from_the_config_unless_given(make_model, make_batch):
    model, batch = make_model(gate_loss_weight=0.25), make_batch()

    def weight(**given):
        output = model(**batch, return_loss=True, **given)
        return ((output.loss - output.contrastive_loss) / output.gate_loss).item()

    assert weight() == pytest.approx(0.25, abs=1e-6)
    assert weight(gate_weight=2.0) == pytest.approx(2.0, abs=1e-6)
    assert weight(gate_weight=torch.tensor(0.5)) == pytest.approx(0.5, abs=1e-6)
    assert weight(gate_weight=0.0) == 0


def test_without_labels_or_without_experts_there_is_no_gate_loss(make_model, make_batch):
    batch = make_batch()
    no_experts = make_model(vision={"mobe_layers": []})(**batch, return_loss=True)
    del batch["body_part"]
    no_labels = make_model()(**batch, return_loss=True)

    for output in (no_experts, no_labels):
        assert output.gate_loss is None
        assert output.loss.item() == output.contrastive_loss.item()
    assert no_experts.router_logits == ()


def test_temperature_starts_at_0_07_and_is_clamped_at_the_configs_limit(make_model, make_batch):
    model, batch = make_model(), make_batch()
    assert model.logit_scale.exp().item() == pytest.approx(1 / 0.07)

    with torch.no_grad():
        model.logit_scale.fill_(10.0)  # a temperature of 0.00005
        output = model(**batch, return_loss=True)
    cosine = output.image_embeds @ output.text_embeds.T

    torch.testing.assert_close(output.logits_per_image, 100 * cosine)
    torch.testing.assert_close(
        torch.stack([output.image_to_text_loss, output.text_to_image_loss]),
        torch.stack(contrastive_losses(output.image_embeds, output.text_embeds, torch.tensor(100.0))),
    )


def test_the_temperature_is_learned(make_model, make_batch):
    model = make_model()
    model(**make_batch(), return_loss=True).loss.backward()

    assert model.logit_scale.grad.abs() > 0


@pytest.mark.parametrize("masked", [False, True])
def test_the_option_leaves_identical_texts_out_of_the_models_loss(make_model, make_batch, masked):
    model, batch = make_model(mask_identical_texts=masked), make_batch(size=5)
    for key in ("input_ids", "attention_mask"):
        batch[key][3] = batch[key][1]
    output = model(**batch, return_loss=True)
    identical = torch.eye(5, dtype=torch.bool)
    identical[1, 3] = identical[3, 1] = True
    expected = loop_over_pairs(
        output.image_embeds, output.text_embeds, model.logit_scale.exp(), identical if masked else None
    )

    torch.testing.assert_close(output.image_to_text_loss, expected[0])
    torch.testing.assert_close(output.text_to_image_loss, expected[1])


def test_position_ids_follow_their_texts_when_repeated_texts_are_encoded_once(make_model, make_batch):
    batch = make_batch()
    for key in ("input_ids", "attention_mask"):
        batch[key][1] = batch[key][0]
    positions = torch.arange(6)[None].expand(4, -1)
    model = make_model(mask_identical_texts=True)
    with_positions = model(**batch, position_ids=positions, return_loss=True).loss
    torch.testing.assert_close(with_positions, model(**batch, return_loss=True).loss)
