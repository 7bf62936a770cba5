"""Every fast way of computing the experts against the plain loop, in float64: values, all gradients, and the bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mobe_reference import plain_forward, plain_loop
from transformers.activations import ACT2FN

from pedclip import PedCLIPVisionConfig, PedCLIPVisionModel
from pedclip.modeling_pedclip.experts_pedclip import mix_at_once, mix_in_turn, rows_of_experts
from pedclip.modeling_pedclip.mobe_pedclip import PedCLIPExperts, PedCLIPMoBE

UNKNOWN = -100
EXACT = 1e-10  # of the largest number of what is compared
NAMES = ("hidden states", "involvement", "up_proj", "up_bias", "down_proj", "down_bias")


@st.composite
def mixtures(draw, labelled: bool = False):
    """Tokens, involvement and stacks of any small size, an activation and, where asked for, labels."""
    batch, tokens, width, inner, experts = (draw(st.integers(1, largest)) for largest in (6, 5, 7, 9, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sharpness = draw(st.sampled_from([0.1, 1.0, 30.0]))
    involvement = (sharpness * normal(batch, experts)).softmax(-1)
    labels = None
    if labelled:
        labels = torch.tensor(
            draw(st.lists(st.sampled_from([UNKNOWN, *range(experts)]), min_size=batch, max_size=batch))
        )
        one_hot = torch.nn.functional.one_hot(labels.clamp(min=0), experts).double()
        involvement = torch.where((labels == UNKNOWN)[:, None], involvement, one_hot)
    stacks = (
        normal(experts, inner, width),
        normal(experts, inner),
        normal(experts, width, inner),
        normal(experts, width),
    )
    activation = ACT2FN[draw(st.sampled_from(["gelu", "relu", "silu", "tanh", "linear"]))]
    return (normal(batch, tokens, width), involvement, *stacks), activation, labels


def value_and_gradients(function, inputs):
    inputs = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    value = function(*inputs)
    weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype).view_as(value).sin()
    (value * weights).sum().backward()
    return value.detach(), [torch.zeros_like(one) if one.grad is None else one.grad for one in inputs]


def assert_same(function, inputs, activation, gradients_of=NAMES):
    """By value and gradient; the reference's own gradient tells what must be zero."""
    value, gradients = value_and_gradients(function, inputs)
    expected, expected_gradients = value_and_gradients(
        lambda hidden, involvement, *stacks: plain_loop(hidden, involvement, stacks, activation), inputs
    )
    # of the largest of all: a gradient may be a sum that cancels, and then its own size says nothing
    largest = max(float(one.abs().max()) for one in (expected, *expected_gradients))
    for name, one, other in zip(("value", *NAMES), (value, *gradients), (expected, *expected_gradients), strict=True):
        if name == "value" or name in gradients_of:
            assert float((one - other).abs().max()) <= EXACT * largest, name


@settings(max_examples=60, deadline=None)
@given(mixtures())
def test_all_experts_at_once_equal_the_loop(mixture):
    inputs, activation, _ = mixture
    assert_same(lambda hidden, share, *stacks: mix_at_once(hidden, share, stacks, activation), inputs, activation)


@settings(max_examples=60, deadline=None)
@given(mixtures())
def test_one_after_another_with_recomputation_equals_the_loop(mixture):
    inputs, activation, _ = mixture
    rows = [None] * inputs[1].shape[1]
    assert_same(
        lambda hidden, share, *stacks: mix_in_turn(hidden, share, stacks, activation, rows), inputs, activation
    )
    with torch.no_grad():
        hidden, share, *stacks = inputs
        without = mix_in_turn(hidden, share, tuple(stacks), activation, rows)
        torch.testing.assert_close(without, plain_loop(hidden, share, stacks, activation), rtol=0, atol=1e-10 * 1e3)


@settings(max_examples=60, deadline=None)
@given(mixtures(labelled=True))
def test_grouped_by_label_each_image_takes_its_expert_or_the_whole_mixture(mixture):
    """The gradient by the involvement is left out: a label's 1 comes from no parameter."""
    inputs, activation, labels = mixture
    rows = rows_of_experts(labels, inputs[1].shape[1], UNKNOWN)
    assert sum(len(one) for one in rows) == sum(len(rows) if label == UNKNOWN else 1 for label in labels.tolist())
    wanted = [name for name in NAMES if name != "involvement"]
    assert_same(
        lambda hidden, share, *stacks: mix_in_turn(hidden, share, stacks, activation, rows), inputs, activation, wanted
    )


@settings(max_examples=25, deadline=None)
@given(
    layers=st.integers(1, 3),
    experts=st.integers(1, 6),
    inner=st.integers(1, 9),
    batch=st.integers(1, 5),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_a_tower_of_any_config_equals_one_with_the_plain_loop(layers, experts, inner, batch, seed, data):
    """MoBE in any set of layers, labels or not, [IMG] alone or every token."""
    mobe_layers = data.draw(st.lists(st.integers(0, layers - 1), unique=True), label="layers with experts")
    config = PedCLIPVisionConfig(
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=12,
        image_size=8,
        patch_size=4,
        mobe_layers=mobe_layers,
        num_experts=experts,
        expert_intermediate_size=inner,
    )
    torch.manual_seed(seed)
    model = PedCLIPVisionModel(config).double().train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    pixels = torch.randn(batch, 3, 8, 8, dtype=torch.float64)
    labels = data.draw(
        st.none() | st.lists(st.sampled_from([UNKNOWN, *range(experts)]), min_size=batch, max_size=batch)
    )
    labels = None if labels is None else torch.tensor(labels)
    alone = data.draw(st.booleans(), label="[IMG] alone")

    def run(**asked):
        model.zero_grad()
        output = model(pixels, forced_experts=labels, **asked)
        readings = [output.pooler_output if alone else output.last_hidden_state, *output.router_logits]
        sum((one * one.detach().sin()).sum() for one in readings).backward()
        zero = {name: torch.zeros_like(one) for name, one in model.named_parameters()}
        given = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        return [one.detach() for one in readings], zero | given

    found, gradients = run(img_token_only=alone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PedCLIPExperts, "forward", plain_forward)
        expected, expected_gradients = run()
    largest = max(float(one.abs().max()) for one in expected_gradients.values())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=EXACT, atol=EXACT)
    for name, other in expected_gradients.items():
        assert float((gradients[name] - other).abs().max()) <= EXACT * largest, name


def test_memory_between_forward_and_backward_does_not_grow_with_the_experts():
    """Counted in the tensors that autograd keeps, parameters aside."""
    kept = {}
    for experts in (2, 20):
        torch.manual_seed(0)
        hidden = torch.randn(3, 50, 16, requires_grad=True)
        involvement = torch.randn(3, experts).softmax(-1)
        stacks = tuple(
            torch.randn(shape, requires_grad=True)
            for shape in ((experts, 64, 16), (experts, 64), (experts, 16, 64), (experts, 16))
        )
        own = {stack.data_ptr() for stack in (*stacks, involvement)}
        sizes: dict[int, int] = {}

        def keep(tensor, own=own, sizes=sizes):
            if tensor.data_ptr() not in own:
                sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            mix_in_turn(hidden, involvement, stacks, ACT2FN["gelu"], [None] * experts)
        kept[experts] = sum(sizes.values())
    assert kept[2] == kept[20] <= 3 * 50 * 16


@pytest.mark.parametrize("frozen", [(2, 3, 4, 5), (0,), (1,), (2, 4)])
def test_what_is_frozen_gets_no_gradient_and_the_rest_its_own(frozen):
    """As an adapter freezes the experts, or a probe everything below them."""
    torch.manual_seed(0)
    shapes = ((3, 4, 5), (3, 6), (6, 7, 5), (6, 7), (6, 5, 7), (6, 5))

    def run(function):
        torch.manual_seed(1)
        inputs = [
            torch.randn(shape, dtype=torch.float64, requires_grad=i not in frozen) for i, shape in enumerate(shapes)
        ]
        function(inputs).sin().sum().backward()
        return [one.grad for one in inputs]

    act = ACT2FN["gelu"]
    ours = run(lambda one: mix_in_turn(one[0], one[1], tuple(one[2:]), act, [None] * 6))
    expected = run(lambda one: plain_loop(one[0], one[1], one[2:], act))
    for index, (one, other) in enumerate(zip(ours, expected, strict=True)):
        assert (one is None) == (index in frozen)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_under_autocast_the_experts_are_computed_in_half_precision_and_stay_close():
    torch.manual_seed(0)
    inputs = [torch.randn(2, 6, 16), torch.randn(2, 5).softmax(-1)]
    stacks = tuple(0.2 * torch.randn(shape) for shape in ((5, 24, 16), (5, 24), (5, 16, 24), (5, 16)))
    for stack in stacks:
        stack.requires_grad_()
    exact = plain_loop(*inputs, stacks, ACT2FN["gelu"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mix_in_turn(*inputs, stacks, ACT2FN["gelu"], [None] * 5)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() / exact.norm() < 0.02
    found.float().square().sum().backward()
    half = [stack.grad.clone() for stack in stacks]
    assert {one.dtype for one in half} == {torch.float32}
    for stack in stacks:
        stack.grad = None
    exact.square().sum().backward()
    for one, stack in zip(half, stacks, strict=True):
        assert (one - stack.grad).norm() / stack.grad.norm() < 0.05


# ---- the opt-in that leaves experts out


def random_block(generator: torch.Generator, skip: float = 0.0):
    """A MoBE in float64 with weights of any size, and the LayerNorm before it."""
    width, inner, experts = (int(torch.randint(1, most, (), generator=generator)) for most in (9, 11, 14))
    config = PedCLIPVisionConfig(
        hidden_size=width,
        num_attention_heads=1,
        expert_intermediate_size=inner,
        num_experts=experts,
        skip_experts_below=skip,
        hidden_act=["gelu", "relu", "silu", "tanh"][int(torch.randint(4, (), generator=generator))],
    )
    mobe, norm = PedCLIPMoBE(config).double().eval(), torch.nn.LayerNorm(width).double()
    with torch.no_grad():
        for parameter in (*mobe.parameters(), *norm.parameters()):
            size = 10 ** float(torch.rand((), generator=generator) * 2 - 1)
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return mobe, norm


@torch.no_grad()
def test_leaving_experts_out_never_moves_a_token_further_than_the_bound_said():
    """A thousand random blocks; some must come near, or the bound would say nothing."""
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(1000):
        mobe, norm = random_block(generator)
        threshold = float(torch.rand((), generator=generator)) ** 2
        tokens = norm(10 * torch.randn(3, 2, mobe.gate.proj.in_features, generator=generator, dtype=torch.float64))
        exact, _ = mobe(tokens)
        mobe.experts.skip_below = threshold
        moved = float((mobe(tokens)[0] - exact).norm(dim=-1).max())
        bound = mobe.skip_bound(norm, threshold)
        assert moved <= bound * (1 + 1e-12)
        shares.append(moved / bound)
    assert max(shares) > 0.3
    assert sum(share > 0 for share in shares) > 300


@torch.no_grad()
def test_experts_are_left_out_by_image_and_the_others_keep_their_shares():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(5)
    mobe, _ = random_block(generator, skip=0.2)
    tokens = torch.randn(6, 3, mobe.gate.proj.in_features, dtype=torch.float64)
    involvement = mobe.gate(tokens).softmax(-1)
    stacks = (mobe.experts.up_proj, mobe.experts.up_bias, mobe.experts.down_proj, mobe.experts.down_bias)
    kept = involvement.masked_fill(involvement < 0.2, 0)
    assert 0 < (kept == 0).sum() < kept.numel()
    expected = plain_loop(tokens, kept, stacks, mobe.experts.activation_fn)
    torch.testing.assert_close(mobe(tokens)[0], expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        mobe.train()(tokens)[0], plain_loop(tokens, involvement, stacks, mobe.experts.activation_fn)
    )


def test_an_activation_that_makes_numbers_larger_has_no_bound():
    config = PedCLIPVisionConfig(hidden_size=4, num_attention_heads=1, hidden_act="sigmoid")
    with pytest.raises(ValueError, match="make no number larger"):
        PedCLIPMoBE(config).skip_bound(torch.nn.LayerNorm(4), 0.1)


@pytest.mark.parametrize("asked", [{}, {"teacher_forcing": True}], ids=["gate", "labels"])
def test_the_training_step_compiles_into_one_graph(make_model, make_batch, asked):
    model, batch = make_model().train(), make_batch()
    expected = model(**batch, return_loss=True, **asked)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")  # a graph break is an error
    found = compiled(**batch, return_loss=True, **asked)
    torch.testing.assert_close(found.loss, expected.loss)
    found.loss.backward()
    assert model.vision_model.embeddings.cls_token.grad.any()
