"""Volumes through the model: pooling of slices, padding, chunks, order, gradients, mixed batches, saving."""

import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from peft import AutoPeftModelForFeatureExtraction, LoraConfig, PeftModel, get_peft_model
from torch import nn

from pedclip import PedCLIPConfig, PedCLIPModel, PedCLIPVisionModel
from pedclip.modeling_pedclip import volume_pedclip
from pedclip.modeling_pedclip.losses_pedclip import gate_loss
from pedclip.modeling_pedclip.volume_pedclip import encode_positions

POOLINGS = ("mean", "max", "attention")
EXACT = {"rtol": 0, "atol": 1e-6}


@pytest.fixture
def attention(make_model):
    return make_model(volume_pooling="attention")


def a_study(slices: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(1, S, channels, height, width)."""
    return torch.randn(1, slices, 3, 32, 32, generator=torch.Generator().manual_seed(seed)).to(dtype)


def padded(*studies: torch.Tensor, filler: float = 7.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Studies in one batch, with slices that would show if anything read them, and the mask."""
    longest = max(study.shape[1] for study in studies)
    pixels = torch.full((len(studies), longest, *studies[0].shape[2:]), filler, dtype=studies[0].dtype)
    mask = torch.zeros(len(studies), longest, dtype=torch.bool)
    for row, study in enumerate(studies):
        pixels[row, : study.shape[1]] = study[0]
        mask[row, : study.shape[1]] = True
    return pixels, mask


def embed(model, pixels, **kwargs) -> torch.Tensor:
    with torch.no_grad():
        return model.get_image_features(pixels, **kwargs).pooler_output


def slow_attention_pooling(pooling, tokens, places) -> tuple[torch.Tensor, torch.Tensor]:
    """The adapter on one study without padding, slice by slice and head by head: (S, D), [mm] -> (D,), (S,)."""
    slices, width = tokens.shape
    middle = (min(places) + max(places)) / 2
    waves = [2.0 * 1000.0 ** (k / (width // 2 - 1)) for k in range(width // 2)]
    placed = []
    for token, place in zip(tokens, places, strict=True):
        angles = [2 * math.pi * (place - middle) / wave for wave in waves]
        code = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        placed.append(pooling.norm(token) + torch.tensor(code, dtype=tokens.dtype))
    queries, keys, values = (
        [projection(one) for one in placed] for projection in (pooling.q_proj, pooling.k_proj, pooling.v_proj)
    )
    size = width // pooling.num_heads
    seen = []
    for query, token in zip(queries, tokens, strict=True):
        parts = []
        for head in range(pooling.num_heads):
            own = slice(head * size, (head + 1) * size)
            logits = [float(query[own] @ key[own]) / math.sqrt(size) for key in keys]
            total = sum(math.exp(logit) for logit in logits)
            parts.append(sum(math.exp(x) / total * value[own] for x, value in zip(logits, values, strict=True)))
        seen.append(token + pooling.o_proj(torch.cat(parts)) if slices > 1 else token)
    scores = [float(pooling.score(torch.tanh(pooling.score_hidden(pooling.score_norm(one))))) for one in seen]
    total = sum(math.exp(score) for score in scores)
    shares = torch.tensor([math.exp(score) / total for score in scores], dtype=tokens.dtype)
    return sum(share * one for share, one in zip(shares, seen, strict=True)), shares


# --- the pooling itself ---------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_adapter_is_what_a_slow_obvious_version_computes(make_model):
    model = make_model(volume_pooling="attention", dtype=torch.float64)
    for parameter in model.slice_pooling.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.3)
    pixels = a_study(5, dtype=torch.float64)
    places = [-3.0, 1.5, 2.0, 40.0, 41.0]

    out = model.get_image_features(pixels, slice_positions=torch.tensor([places]))
    tokens = model.vision_model(pixels[0]).pooler_output
    study, shares = slow_attention_pooling(model.slice_pooling, tokens, places)

    assert shares.max() > 1.2 / 5  # not the mean, which would show little
    torch.testing.assert_close(out.slice_attentions[0], shares, rtol=0, atol=1e-12)
    torch.testing.assert_close(out.pooler_output[0], model.visual_projection(study), rtol=0, atol=1e-12)


def test_gradients_are_those_of_finite_differences(make_model):
    pooling = make_model(volume_pooling="attention", dtype=torch.float64).slice_pooling
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    places = torch.tensor([[0.0, 2.5, 9.0, 1e3], [4.0, 0.0, 0.0, 0.0]])
    tokens = torch.randn(2, 4, 32, dtype=torch.float64, requires_grad=True)
    weights = [parameter.detach().clone().requires_grad_() for parameter in pooling.parameters()]
    names = [name for name, _ in pooling.named_parameters()]

    def pooled(tokens, *weights):
        return torch.func.functional_call(pooling, dict(zip(names, weights, strict=True)), (tokens, mask, places))

    assert torch.autograd.gradcheck(pooled, (tokens, *weights), fast_mode=True)


def test_what_pads_gets_no_gradient_and_each_parameter_gets_one(attention):
    pixels, mask = padded(a_study(3), a_study(2, seed=1))
    pixels.requires_grad_()
    attention.get_image_features(pixels, slice_mask=mask).pooler_output.square().sum().backward()

    assert (pixels.grad[1, 2] == 0).all() and (pixels.grad[0, 2] != 0).any()
    for name, parameter in attention.named_parameters():
        if name.startswith(("slice_pooling", "vision_model", "visual")):
            assert (parameter.grad != 0).any(), name


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
def test_an_adapter_that_is_not_yet_trained_is_mean_pooling(make_config, seed):
    torch.manual_seed(seed)
    model = PedCLIPModel(make_config(volume_pooling="attention")).eval()
    pixels, mask = padded(a_study(4), a_study(2, seed=1))

    out = model.get_image_features(pixels, slice_mask=mask)

    for row, slices in enumerate((4, 2)):
        images = model.get_image_features(pixels[row, :slices]).pooler_output
        torch.testing.assert_close(out.pooler_output[row], images.mean(dim=0), **EXACT)
        torch.testing.assert_close(out.slice_attentions[row, :slices], torch.full((slices,), 1 / slices))
    assert (out.slice_attentions[~mask] == 0).all()


@torch.no_grad()
def test_mean_and_max_are_those_of_the_slices_and_shares_sum_to_one(make_model):
    pixels, mask = padded(a_study(4), a_study(2, seed=1))
    for kind in ("mean", "max"):
        model = make_model(volume_pooling=kind)
        assert not list(model.slice_pooling.parameters())
        out = model.get_image_features(pixels, slice_mask=mask)
        for row, slices in enumerate((4, 2)):
            tokens = model.vision_model(pixels[row, :slices]).pooler_output
            pooled = tokens.mean(dim=0) if kind == "mean" else tokens.amax(dim=0)
            torch.testing.assert_close(out.pooler_output[row], model.visual_projection(pooled), **EXACT)
            if kind == "max":
                wins = torch.bincount(tokens.argmax(dim=0), minlength=slices) / tokens.shape[1]
                torch.testing.assert_close(out.slice_attentions[row, :slices], wins)
        torch.testing.assert_close(out.slice_attentions.sum(dim=1), torch.ones(2))


# --- padding, chunks, order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("kind", POOLINGS)
def test_padding_and_chunks_change_nothing(make_model, kind, dtype, tolerance):
    model = make_model(volume_pooling=kind, dtype=dtype)
    studies = [a_study(slices, seed=slices, dtype=dtype) for slices in (7, 1, 3)]
    places = torch.arange(7.0).expand(3, -1) * 2.5
    pixels, mask = padded(*studies)

    alone = torch.cat(
        [embed(model, study, slice_positions=places[:1, : study.shape[1]], slices_at_once=100) for study in studies]
    )
    for at_once in (1, 2, 5, 16):
        together = embed(model, pixels, slice_positions=places, slice_mask=mask, slices_at_once=at_once)
        torch.testing.assert_close(together, alone, rtol=0, atol=tolerance)


@torch.no_grad()
def test_padding_may_lie_anywhere_and_hold_anything(attention):
    study, places = a_study(3), torch.tensor([[0.0, 3.0, 6.0]])
    mask = torch.tensor([[0, 1, 0, 1, 1]])  # integers, as tokenizers give theirs
    pixels = torch.full((1, 5, 3, 32, 32), float("nan"))
    pixels[:, [1, 3, 4]] = study
    scattered = torch.tensor([[500.0, 0.0, -70.0, 3.0, 6.0]])

    out = attention.get_image_features(pixels, slice_positions=scattered, slice_mask=mask)
    plain = attention.get_image_features(study, slice_positions=places)

    torch.testing.assert_close(out.pooler_output, plain.pooler_output, **EXACT)
    torch.testing.assert_close(out.slice_attentions[:, [1, 3, 4]], plain.slice_attentions)
    for name in ("last_hidden_state", "slice_attentions"):
        assert (out[name][:, [0, 2]] == 0).all()
    assert (out.router_logits[0][:, [0, 2]] == 0).all()


def test_the_order_of_slices_matters_where_they_have_one(attention):
    study, places = a_study(6), torch.arange(6.0)[None] * 4
    turned = study.flip(1)

    placed = embed(attention, study, slice_positions=places)

    assert (embed(attention, turned, slice_positions=places) - placed).abs().max() > 1e-4
    assert (embed(attention, turned) - embed(attention, study)).abs().max() > 1e-4  # numbered: no place is known
    # the places belong to the slices: exchanged together, it is the same study
    torch.testing.assert_close(embed(attention, turned, slice_positions=places.flip(1)), placed, **EXACT)


@pytest.mark.parametrize("kind", POOLINGS)
def test_views_without_an_order_may_be_exchanged(make_model, kind):
    model = make_model(volume_pooling=kind)
    views, places = a_study(5), torch.zeros(1, 5)
    order = torch.tensor([3, 0, 4, 2, 1])

    torch.testing.assert_close(
        embed(model, views[:, order], slice_positions=places), embed(model, views, slice_positions=places), **EXACT
    )


def test_places_are_millimetres_and_their_zero_says_nothing(attention):
    study = a_study(4)
    places = torch.tensor([[0.0, 3.0, 6.0, 9.0]])

    near = embed(attention, study, slice_positions=places)

    torch.testing.assert_close(embed(attention, study, slice_positions=places - 812.5), near, **EXACT)
    assert (embed(attention, study, slice_positions=places * 2) - near).abs().max() > 1e-4
    torch.testing.assert_close(
        embed(attention, study), embed(attention, study, slice_positions=torch.arange(4.0)[None]), **EXACT
    )


def test_no_two_places_in_a_child_are_encoded_alike():
    places = torch.arange(0.0, 1800.0, 0.5)[None]
    code = encode_positions(places, torch.ones_like(places, dtype=torch.bool), 64, torch.float32)[0]

    distance = torch.cdist(code, code) + torch.eye(len(code)) * 100
    assert distance.min() > 0.3  # as far apart as a neighbour half a millimetre away


# --- images and volumes together ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POOLINGS)
def test_an_image_is_a_volume_of_one_slice(make_model, kind):
    model = make_model(volume_pooling=kind)
    images = a_study(2)[0]
    pixels, mask = padded(images[None, :1], a_study(4, seed=1), images[None, 1:])

    together = embed(model, pixels, slice_mask=mask, slice_positions=torch.arange(4.0).expand(3, -1) + 5)

    torch.testing.assert_close(together[[0, 2]], embed(model, images), **EXACT)
    torch.testing.assert_close(embed(model, images[:, None]), embed(model, images), **EXACT)


@torch.no_grad()
def test_forward_takes_volumes_and_reports_each_slice(attention):
    pixels, mask = padded(a_study(3), a_study(1, seed=1))
    texts = torch.tensor([[1, 5, 2], [1, 7, 2]])
    body_part = torch.tensor([1, 3])

    out = attention(input_ids=texts, pixel_values=pixels, slice_mask=mask, body_part=body_part, return_loss=True)

    each = attention.vision_model(pixels[mask])
    torch.testing.assert_close(out.router_logits[0][mask], each.router_logits[0], **EXACT)
    torch.testing.assert_close(out.vision_model_output.last_hidden_state[mask], each.pooler_output, **EXACT)
    assert out.slice_attentions.shape == (2, 3)
    cross_entropy = -each.router_logits[0].log_softmax(-1)
    by_hand = (cross_entropy[:3, 1].mean() + cross_entropy[3, 3]) / 2  # a study counts once
    torch.testing.assert_close(out.gate_loss, by_hand, **EXACT)
    torch.testing.assert_close(out.loss, out.contrastive_loss + out.gate_loss)
    image_embeds = nn.functional.normalize(embed(attention, pixels, slice_mask=mask), dim=-1)
    torch.testing.assert_close(out.image_embeds, image_embeds)
    assert attention(input_ids=texts, pixel_values=pixels[:, 0]).slice_attentions is None


def test_a_studys_gate_loss_does_not_grow_with_its_slices():
    logits, label = torch.randn(1, 1, 5), torch.tensor([2])
    long = logits.expand(1, 9, 5)

    torch.testing.assert_close(gate_loss((long,), label), gate_loss((logits[:, 0],), label))
    mask = torch.arange(9)[None] < 4
    noise = torch.where(mask[..., None], long, torch.full_like(long, 50.0))
    torch.testing.assert_close(gate_loss((noise,), label, mask), gate_loss((logits[:, 0],), label))
    assert gate_loss((long,), torch.tensor([-100])) == 0


@torch.no_grad()
def test_teacher_forcing_gives_each_slice_its_studys_expert(attention):
    pixels, mask = padded(a_study(3), a_study(2, seed=1))
    texts, body_part = torch.tensor([[1, 5, 2], [1, 7, 2]]), torch.tensor([4, -100])

    out = attention(
        input_ids=texts, pixel_values=pixels, slice_mask=mask, body_part=body_part, teacher_forcing=True,
        slices_at_once=2,
    )  # fmt: skip
    forced = attention.vision_model(pixels[mask], forced_experts=torch.tensor([4, 4, 4, -100, -100]))

    torch.testing.assert_close(out.vision_model_output.last_hidden_state[mask], forced.pooler_output, **EXACT)


@torch.no_grad()
def test_hidden_states_and_attentions_keep_their_slices(make_model):
    model = make_model(volume_pooling="attention")
    model.set_attn_implementation("eager")
    pixels, mask = padded(a_study(3), a_study(2, seed=1))

    out = model.get_image_features(
        pixels, slice_mask=mask, slices_at_once=2, output_hidden_states=True, output_attentions=True
    )
    each = model.vision_model(pixels[mask], output_hidden_states=True, output_attentions=True)

    assert len(out.hidden_states) == len(each.hidden_states) and len(out.attentions) == len(each.attentions)
    for ours, theirs in zip(out.hidden_states + out.attentions, each.hidden_states + each.attentions, strict=True):
        torch.testing.assert_close(ours[mask], theirs, **EXACT)


def test_training_moves_the_adapter_alone_where_the_tower_is_frozen(make_model):
    model = make_model(volume_pooling="attention").train()
    model.requires_grad_(False)
    model.slice_pooling.requires_grad_(True)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.Adam(model.slice_pooling.parameters(), lr=0.01)
    pixels, texts = torch.cat((a_study(4), a_study(4, seed=1))), torch.tensor([[1, 5, 2], [1, 7, 2]])
    pixels[0, 2] += 3  # a bright slice, which is what tells the studies apart

    losses = []
    for _ in range(20):
        out = model(input_ids=texts, pixel_values=pixels, return_loss=True)
        out.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(out.loss.item())

    assert losses[-1] < 0.9 * losses[0]
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != name.startswith("slice_pooling"), name


def test_gradient_checkpointing_gives_the_same_gradients(make_model):
    pixels, mask = padded(a_study(3), a_study(2, seed=1))
    gradients = []
    for checkpointing in (False, True):
        model = make_model(volume_pooling="attention").train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.get_image_features(pixels, slice_mask=mask, slices_at_once=2).pooler_output.square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})

    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-6)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"slice_mask": torch.ones(1, 4)},
            r"slice_mask has the shape \(1, 4\); give one number for each slice, \(2, 3",
        ),
        ({"slice_positions": torch.ones(2, 3, 1)}, "slice_positions has the shape"),
        ({"slice_mask": torch.tensor([[1, 1, 1], [0, 0, 0]])}, r"studies \[1\] have no slice"),
        ({"slice_positions": torch.tensor([[0, 1, 2], [0, 1, float("nan")]])}, "not finite"),
        ({"slices_at_once": 0}, "slices_at_once is 0"),
    ],
)
def test_masks_and_positions_that_do_not_fit_are_refused(attention, given, said):
    with pytest.raises(ValueError, match=said):
        embed(attention, torch.randn(2, 3, 3, 32, 32), **given)


@pytest.mark.parametrize("shape", [(2, 0), (0, 3)])
def test_studies_without_slices_are_refused(attention, shape):
    with pytest.raises(ValueError, match="at least one study, and a study at least one slice"):
        embed(attention, torch.zeros(*shape, 3, 32, 32))


def test_places_in_half_precision_are_told_of(attention, monkeypatch):
    told = []
    monkeypatch.setattr(volume_pedclip.logger, "warning_once", told.append)
    places = torch.tensor([[0.0, 1.0, 2.0]])
    embed(attention, a_study(3), slice_positions=places)
    assert not told
    embed(attention, a_study(3), slice_positions=places.bfloat16())
    assert "torch.bfloat16, which rounds places in mm" in told[0]


def test_images_take_no_mask_and_three_axes_are_neither(attention):
    with pytest.raises(ValueError, match=r"a volume of one slice: pixel_values\[:, None\]"):
        embed(attention, torch.randn(2, 3, 32, 32), slice_mask=torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"volumes \(batch, slices, channels"):
        embed(attention, torch.randn(3, 32, 32))
    with pytest.raises(ValueError, match="the image tower takes images"):
        attention.vision_model(torch.randn(1, 2, 3, 32, 32))


def test_the_config_names_the_poolings(make_config):
    with pytest.raises(StrictDataclassClassValidationError, match="'median'; it is one of mean, max, attention"):
        make_config(volume_pooling="median")


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_model_without_an_adapter_gets_one_that_is_mean_pooling(make_model, tmp_path):
    images = make_model()
    images.save_pretrained(tmp_path)
    study = a_study(4)

    model = PedCLIPModel.from_pretrained(tmp_path, volume_pooling="attention").eval()

    assert model.config.volume_pooling == "attention"
    torch.testing.assert_close(embed(model, study), embed(images, study), **EXACT)


def test_a_folder_from_before_there_were_volumes_opens(make_config):
    fields = make_config().to_dict()
    del fields["volume_pooling"]
    assert PedCLIPConfig.from_dict(fields).volume_pooling == "mean"


def test_saved_and_opened_a_study_has_the_same_embedding(attention, tmp_path):
    attention.save_pretrained(tmp_path)
    pixels, mask = padded(a_study(5), a_study(2, seed=1))

    again = PedCLIPModel.from_pretrained(tmp_path).eval()
    tower = PedCLIPVisionModel.from_pretrained(tmp_path).eval()

    torch.testing.assert_close(
        embed(again, pixels, slice_mask=mask), embed(attention, pixels, slice_mask=mask), **EXACT
    )
    torch.testing.assert_close(
        tower(pixels[0]).pooler_output, attention.vision_model(pixels[0]).pooler_output, **EXACT
    )


@pytest.mark.parametrize("whole", [True, False], ids=["adapter in full", "adapter by LoRA"])
def test_a_peft_adapter_with_slice_pooling_comes_back(make_model, tmp_path, whole):
    projections = r"(vision_model.*|slice_pooling)\.(q_proj|v_proj)"
    settings = LoraConfig(
        r=2,
        target_modules=r"vision_model.*\.(q_proj|v_proj)" if whole else projections,
        modules_to_save=["slice_pooling"] if whole else None,
        init_lora_weights=False,
    )
    adapted = get_peft_model(make_model(volume_pooling="attention"), settings)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "modules_to_save" in name:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    adapted.eval().save_pretrained(tmp_path)
    study = a_study(5)

    again = PeftModel.from_pretrained(make_model(volume_pooling="attention"), tmp_path).eval()

    torch.testing.assert_close(embed(again, study), embed(adapted, study), rtol=0, atol=5e-6)
    assert (embed(adapted, study) - embed(make_model(volume_pooling="attention"), study)).abs().max() > 1e-3
    merged = again.merge_and_unload()
    torch.testing.assert_close(embed(merged, study), embed(adapted, study), rtol=0, atol=1e-5)


@pytest.mark.parametrize("whole", [True, False], ids=["adapter in full", "adapter by LoRA"])
def test_a_peft_adapter_for_a_base_opened_with_attention_is_not_dropped_without(make_model, tmp_path, whole):
    make_model().save_pretrained(tmp_path / "base")
    base = PedCLIPModel.from_pretrained(tmp_path / "base", volume_pooling="attention")
    settings = LoraConfig(
        r=2,
        target_modules=r"(vision_model.*|slice_pooling)\.(q_proj|v_proj)",
        modules_to_save=["slice_pooling"] if whole else None,
        init_lora_weights=False,
        task_type="FEATURE_EXTRACTION",
    )
    if whole:
        settings.target_modules = r"vision_model.*\.(q_proj|v_proj)"
    base.save_pretrained(tmp_path / "with_attention")  # as docs/peft.md says
    adapted = get_peft_model(PedCLIPModel.from_pretrained(tmp_path / "with_attention"), settings)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "modules_to_save" in name:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    adapted.eval().save_pretrained(tmp_path / "adapter")
    study = a_study(5)

    with pytest.raises(
        ValueError, match=r'pools slices without an adapter.*open the model with volume_pooling="attent'
    ):
        PeftModel.from_pretrained(PedCLIPModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    again = AutoPeftModelForFeatureExtraction.from_pretrained(tmp_path / "adapter").eval()
    torch.testing.assert_close(embed(again, study), embed(adapted, study), rtol=0, atol=5e-6)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_an_adapters_weights_are_not_dropped_by_a_plain_load(make_model, attention, pooling):
    with pytest.raises(ValueError, match="the state holds slice_pooling"):
        make_model(volume_pooling=pooling).load_state_dict(attention.state_dict(), strict=False)
