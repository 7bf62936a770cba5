"""The Mixture of Body-part Experts against eq. 1 and 2, written out one sample, one expert at a time in float64."""

import math

import pytest
import torch

from pedclip import PedCLIPVisionConfig
from pedclip.modeling_pedclip.mobe_pedclip import PedCLIPBodyPartGate, PedCLIPMoBE

UNKNOWN = -100


def random_mobe(width: int, inner: int, experts: int, dtype=torch.float64) -> PedCLIPMoBE:
    config = PedCLIPVisionConfig(
        hidden_size=width,
        num_attention_heads=1,
        intermediate_size=inner + 1,  # expert_intermediate_size, not this one, is the experts' width
        expert_intermediate_size=inner,
        num_experts=experts,
    )
    mobe = PedCLIPMoBE(config).to(dtype)
    with torch.no_grad():
        for parameter in mobe.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return mobe


def naive_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def naive_mobe(tokens, gate_weight, up, up_bias, down, down_bias, picked=None):
    """Eq. 1 and 2, a sample, a token and an expert at a time. `picked[b]` is an expert, or None for the gate's own."""
    batch = []
    for b, sample in enumerate(tokens):
        scores = [gate_weight[e] @ sample[0] for e in range(len(gate_weight))]  # the [IMG] token's
        exponentials = [torch.exp(score - max(scores).detach()) for score in scores]
        s = [exponential / sum(exponentials) for exponential in exponentials]
        rows = []
        for token in sample:
            outputs = [down[e] @ naive_gelu(up[e] @ token + up_bias[e]) + down_bias[e] for e in range(len(s))]
            if picked is None or picked[b] is None:
                rows.append(sum(s[e] * outputs[e] for e in range(len(s))))
            else:
                rows.append(outputs[picked[b]])
        batch.append(torch.stack(rows))
    return torch.stack(batch)


def value_and_gradients(function, *inputs):
    inputs = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    value = function(*inputs)
    weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype).view_as(value).sin()
    (value * weights).sum().backward()
    return value.detach(), [torch.zeros_like(i) if i.grad is None else i.grad for i in inputs]


def parameters_of(mobe):
    experts = mobe.experts
    return [mobe.gate.proj.weight, experts.up_proj, experts.up_bias, experts.down_proj, experts.down_bias]


def ours(mobe, labels=None):
    """MoBE as a function of its tokens and parameters, so that both sides are differentiated in the same way."""
    names = ["gate.proj.weight", "experts.up_proj", "experts.up_bias", "experts.down_proj", "experts.down_bias"]

    def run(tokens, *parameters):
        output, _ = torch.func.functional_call(mobe, dict(zip(names, parameters, strict=True)), (tokens, labels))
        return output

    return run


SHAPES = [(1, 1, 4, 3, 1), (2, 5, 6, 4, 3), (3, 2, 5, 7, 23), (4, 3, 8, 2, 2)]  # batch, tokens, width, inner, experts


@pytest.mark.parametrize("batch, tokens, width, inner, experts", SHAPES)
def test_mobe_equals_eq_1_and_2_with_all_gradients(batch, tokens, width, inner, experts):
    torch.manual_seed(0)
    mobe = random_mobe(width, inner, experts)
    inputs = [torch.randn(batch, tokens, width, dtype=torch.float64), *parameters_of(mobe)]

    value, gradients = value_and_gradients(ours(mobe), *inputs)
    expected_value, expected_gradients = value_and_gradients(naive_mobe, *inputs)

    torch.testing.assert_close(value, expected_value, rtol=1e-10, atol=1e-12)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch, tokens, width, inner, experts", SHAPES[1:])
def test_a_mixed_batch_takes_the_labels_expert_or_the_gates_own_mixture(batch, tokens, width, inner, experts):
    torch.manual_seed(1)
    mobe = random_mobe(width, inner, experts)
    picked = [None if b % 2 else (experts - 1 - b) % experts for b in range(batch)]
    labels = torch.tensor([UNKNOWN if expert is None else expert for expert in picked])
    inputs = [torch.randn(batch, tokens, width, dtype=torch.float64), *parameters_of(mobe)]

    value, gradients = value_and_gradients(ours(mobe, labels), *inputs)
    expected_value, expected_gradients = value_and_gradients(lambda *args: naive_mobe(*args, picked=picked), *inputs)

    torch.testing.assert_close(value, expected_value, rtol=1e-10, atol=1e-12)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def test_teacher_forcing_leaves_the_other_experts_and_the_gate_without_a_gradient():
    torch.manual_seed(0)
    mobe = random_mobe(6, 4, 5)

    mobe(torch.randn(3, 2, 6, dtype=torch.float64), torch.tensor([1, 4, 1]))[0].sum().backward()

    reached = [bool(gradient.abs().sum()) for gradient in mobe.experts.up_proj.grad]
    assert reached == [False, True, False, False, True]
    assert not mobe.gate.proj.weight.grad.any()


def test_forced_labels_that_are_all_unknown_change_nothing():
    torch.manual_seed(0)
    mobe = random_mobe(6, 4, 5)
    tokens = torch.randn(3, 2, 6, dtype=torch.float64)

    torch.testing.assert_close(mobe(tokens, torch.full((3,), UNKNOWN))[0], mobe(tokens)[0], rtol=0, atol=1e-12)


def test_gate_reads_only_the_img_token_and_has_no_bias():
    torch.manual_seed(0)
    gate = PedCLIPBodyPartGate(PedCLIPVisionConfig(hidden_size=8, num_attention_heads=1, num_experts=3))
    tokens = torch.randn(2, 5, 8)
    other = tokens.clone()
    other[:, 1:] = torch.randn(2, 4, 8)

    torch.testing.assert_close(gate(other), gate(tokens), rtol=0, atol=0)
    torch.testing.assert_close(gate(tokens), tokens[:, 0] @ gate.proj.weight.T)
    assert [name for name, _ in gate.named_parameters()] == ["proj.weight"]


def test_mobe_returns_the_gates_logits_whether_or_not_a_label_picks_the_expert():
    torch.manual_seed(0)
    mobe = random_mobe(6, 4, 5)
    tokens = torch.randn(3, 2, 6, dtype=torch.float64)
    logits = tokens[:, 0] @ mobe.gate.proj.weight.T

    torch.testing.assert_close(mobe(tokens)[1], logits)
    torch.testing.assert_close(mobe(tokens, torch.tensor([0, 1, 2]))[1], logits)


def test_equal_experts_make_one_mlp_whatever_the_gate_says():
    torch.manual_seed(0)
    mobe = random_mobe(6, 4, 5)
    with torch.no_grad():
        for stack in (mobe.experts.up_proj, mobe.experts.up_bias, mobe.experts.down_proj, mobe.experts.down_bias):
            stack.copy_(stack[0].expand_as(stack))
        mobe.gate.proj.weight.mul_(30)
    tokens = torch.randn(3, 2, 6, dtype=torch.float64)
    one = mobe.experts
    mlp = naive_gelu(tokens @ one.up_proj[0].T + one.up_bias[0]) @ one.down_proj[0].T + one.down_bias[0]

    torch.testing.assert_close(mobe(tokens)[0], mlp, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mobe(tokens, torch.tensor([0, 3, UNKNOWN]))[0], mlp, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.03), (torch.float16, 0.005)])
def test_half_precision_keeps_its_type_and_stays_close(dtype, tolerance):
    torch.manual_seed(0)
    mobe = random_mobe(16, 8, 5)
    tokens = torch.randn(3, 2, 16, dtype=torch.float64)
    with torch.no_grad():
        for parameter in mobe.parameters():
            parameter.mul_(0.3)
    expected = mobe(tokens)[0]

    output, router_logits = mobe.to(dtype)(tokens.to(dtype))

    assert output.dtype == router_logits.dtype == dtype
    assert (output.double() - expected).norm() / expected.norm() < tolerance


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 5, 1]), r"holds 5, and the experts are 0 to 4"),
        (torch.tensor([0, -1, 1]), r"holds -1, .*-100 marks an unknown one"),
        (torch.tensor([0, 1]), r"shape \(2,\); give one torch.long for each of the 3 images"),
        (torch.tensor([0, 1, 2], dtype=torch.int32), r"torch.int32"),
    ],
)
def test_labels_that_name_no_expert_are_refused_with_the_rule(make_model, make_batch, labels, message):
    batch = make_batch(size=3) | {"body_part": labels}
    with pytest.raises(ValueError, match=message):
        make_model()(**batch, return_loss=True)
