"""Trains a tiny model for some steps in one or several gloo processes; run as a script by test_several_processes.py.

    python train_in_processes.py RANK WORLD_SIZE FOLDER

Every process holds its share of the same global batch. The last state of each run is written to FOLDER by rank 0.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pedclip import PedCLIPConfig, PedCLIPModel
from pedclip.modeling_pedclip.losses_pedclip import gather_rows

STEPS = 20
PAIRS = 6  # over all processes
UNKNOWN = -100
# The two shares of a batch have as many pairs, and not as many labels. Step 3 has no label at all.
LABELS = [
    [UNKNOWN, UNKNOWN, 2, 0, 4, 1],
    [3, 1, 0, UNKNOWN, UNKNOWN, UNKNOWN],
    [1, 2, UNKNOWN, 0, UNKNOWN, 3],
    [UNKNOWN] * 6,
]
# Identical texts within a share (0 and 2) and across shares (1 and 4), and shares that pad to other lengths
TEXTS = [[5, 6, 7], [8, 9], [5, 6, 7], [10, 11, 12, 13, 14], [8, 9], [8, 9, 15]]

# Adam divides by the size of a gradient, and so turns the rounding of one that should be zero (a key's bias) into
# whole steps: it is compared in float64, plain descent in float32.
RUNS = {
    "SGD": (torch.float32, lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9)),
    "AdamW": (torch.float64, lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)),
}


def tiny_model(dtype: torch.dtype) -> PedCLIPModel:
    torch.manual_seed(0)
    text = {"vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 32, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    vision |= {"image_size": 32, "mobe_layers": [0, 1], "num_experts": 5}
    config = PedCLIPConfig(vision_config=vision, text_config=text, body_parts=list("abcde"), mask_identical_texts=True)
    return PedCLIPModel(config).to(dtype).train()


def share_of_batch(step: int, rank: int, world_size: int, dtype: torch.dtype) -> dict:
    """This process's rows of the batch that all processes have together."""
    generator = torch.Generator().manual_seed(step)
    pixels = torch.randn(PAIRS, 3, 32, 32, generator=generator, dtype=torch.float64).to(dtype)
    rows = slice(rank * PAIRS // world_size, (rank + 1) * PAIRS // world_size)
    words = TEXTS[rows]
    longest = max(len(text) for text in words)
    padded = torch.tensor([[2, *text, 3] + [0] * (longest - len(text)) for text in words])
    return {
        "pixel_values": pixels[rows],
        "input_ids": padded,
        "attention_mask": (padded != 0).long(),
        "body_part": torch.tensor(LABELS[step % len(LABELS)][rows]),
        "teacher_forcing": step < STEPS // 2,
        "gate_weight": 1 - step / STEPS,
        "return_loss": True,
    }


def train(rank: int, world_size: int, dtype: torch.dtype, make_optimizer) -> dict:
    """The weights after the last step, and each step's losses, averaged over the processes."""
    model = tiny_model(dtype)
    wrapped = DistributedDataParallel(model) if world_size > 1 else model
    optimizer = make_optimizer(model.parameters())
    history = []
    for step in range(STEPS):
        optimizer.zero_grad()
        output = wrapped(**share_of_batch(step, rank, world_size, dtype))
        output.loss.backward()
        optimizer.step()
        names = ("loss", "contrastive_loss", "image_to_text_loss", "text_to_image_loss", "gate_loss")
        losses = torch.stack([output[name].detach() for name in names])
        if world_size > 1:
            dist.all_reduce(losses)
        history.append(losses / world_size)
    return {"weights": model.state_dict(), "losses": torch.stack(history)}


def gradients_of_a_gathered_sum(rank: int) -> list[torch.Tensor]:
    """Autograd hands one and the same gradient to both sides of a sum: neither may write into it."""
    rows = [torch.full((2, 3), float(rank + 1), requires_grad=True) for _ in range(2)]
    weights = torch.arange(12.0).view(4, 3) * (rank + 1)
    (gather_rows(rows[0]) + gather_rows(rows[1])).backward(weights)
    return [row.grad for row in rows]


def main(rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world_size)
    results = {name: train(rank, world_size, *run) for name, run in RUNS.items()}
    results["gathered sum"] = gradients_of_a_gathered_sum(rank)
    torch.save(results, folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
