"""A volume, what a model says of it, and the slices that counted.

    python examples/volume.py runs/volume/attention-0/hub
    python examples/volume.py MODEL --volume my/ct_series --window lung

Without --volume it is a phantom's chest, generated: geometric solids, no patient. `make volume` makes `runs/volume`,
with the models that have trained slice attention. Not a medical device.
"""

import argparse
from pathlib import Path

import torch

from pedclip import PedCLIPModel, PedCLIPProcessor
from pedclip.eval.volume_picture import save, study_figure
from pedclip.processing.phantom.study import Clinic, studies_of
from pedclip.processing.phantom.volume import volume_of
from pedclip.processing.phantom.volume_folder import LUNG_WINDOW, shades_of

TRAINED = "runs/volume/attention-0/hub"
TEXTS = ["chest, no finding", "chest, consolidation", "chest, pleural effusion"]


def phantom(seed: int):
    """The first generated chest with a consolidation: its slices (S, H, W), their distance in mm, and its truth."""
    clinic = Clinic(parts={"chest": 1.0}, exams=(1.0,), findings=(0.0, 1.0), severity=(0.8, 1.0))
    studies = (study for number in range(1000) for study in studies_of(seed, number, clinic))
    study = next(one for one in studies if one.exams[0].findings[0].name == "consolidation")
    volume = volume_of(study, masks=True)
    print(f"A generated chest. Its report: {study.report.text_of(0)}")
    shows = volume.slices_with("consolidation").nonzero()[0].tolist()
    return shades_of(volume, LUNG_WINDOW), volume.spacing[0], shows


def counted(weights: torch.Tensor, pooling: str) -> str:
    """Which slices counted most, or why none did."""
    if len(weights) > 1 and weights.max() - weights.min() < 1e-6:
        why = "its slice attention is not trained" if pooling == "attention" else f"it pools by the {pooling}"
        return (
            f"All {len(weights)} slices counted the same: {why}. A model with trained slice attention is "
            f"{TRAINED}, made by `make volume`."
        )
    most = weights.topk(min(5, len(weights)))
    looked = ", ".join(f"{n} ({w:.1%})" for n, w in zip(most.indices.tolist(), most.values.tolist(), strict=True))
    return f"Of {len(weights)} slices these counted most: {looked}"


@torch.inference_mode()
def look(args: argparse.Namespace) -> None:
    """Reads a volume, asks the model, and says what it said."""
    model = PedCLIPModel.from_pretrained(args.model).eval()
    processor = PedCLIPProcessor.from_pretrained(args.model)
    if args.volume:
        volume, shows = processor.read_volume(args.volume, window=args.window), None
    else:
        slices, spacing, shows = phantom(args.seed)
        volume = processor.read_volume(slices, spacing=spacing)
    output = model(**processor(volumes=[volume], text=args.text, return_tensors="pt"))

    scores = dict(zip(args.text, output.logits_per_image[0].softmax(-1).tolist(), strict=True))
    for text, score in scores.items():
        print(f"{score:6.1%}  {text}")
    weights = output.slice_attentions[0]
    print(counted(weights, model.config.volume_pooling))
    if shows is not None:
        print(f"The consolidation lies in slices {', '.join(map(str, shows))}.")
    if args.picture:
        pages = torch.stack([torch.as_tensor(volume[number]).float().mean(0) for number in range(len(volume))])
        save(study_figure(pages.numpy(), weights.numpy(), scores, shows), args.picture)
        print(f"Picture: {args.picture}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a PedCLIP, or its id on the Hub")
    parser.add_argument("--volume", help="DICOM series, NIfTI, or TIFF with pages, instead of a phantom")
    parser.add_argument("--window", help="lung, bone, soft_tissue or percentiles, for --volume")
    parser.add_argument("--text", nargs="+", default=TEXTS, help="what the volume is compared with")
    parser.add_argument("--picture", type=Path, help="PNG or SVG to write: slices, attention, scores")
    parser.add_argument("--seed", type=int, default=2026, help="of the phantom")
    args = parser.parse_args(arguments)
    if args.window and not args.volume:
        parser.error(f"--window is {args.window}, which is for --volume; the phantom has its own")
    if args.picture and args.picture.suffix not in (".png", ".svg"):
        parser.error(f"--picture is {args.picture}; it ends in .png or .svg")
    try:
        look(args)
    except (ValueError, OSError, TypeError, ImportError) as error:  # a model or a file that cannot be read
        parser.exit(2, f"volume.py: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
