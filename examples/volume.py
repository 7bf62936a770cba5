"""A volume, what a model says of it, and the slices that counted.

    python examples/volume.py runs/volume/attention-0/hub
    python examples/volume.py MODEL --volume my/ct_series --window lung

Without --volume it is a phantom's chest, generated: geometric solids, no patient. `runs/volume` is made by
`python -m pedclip.eval.volume_pooling runs/volume`. Not a medical device.
"""

import argparse
from pathlib import Path

import torch

from pedclip import PedCLIPModel, PedCLIPProcessor
from pedclip.eval.volume_picture import save, study_figure
from pedclip.processing.phantom.study import Clinic, studies_of
from pedclip.processing.phantom.volume import volume_of
from pedclip.processing.phantom.volume_folder import LUNG_WINDOW, shades_of

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


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a PedCLIP, or its id on the Hub")
    parser.add_argument("--volume", help="DICOM series, NIfTI, or TIFF with pages, instead of a phantom")
    parser.add_argument("--window", help="lung, bone, soft_tissue or percentiles, for --volume")
    parser.add_argument("--text", nargs="+", default=TEXTS, help="what the volume is compared with")
    parser.add_argument("--picture", type=Path, help="PNG or SVG to write: slices, attention, scores")
    parser.add_argument("--seed", type=int, default=2026, help="of the phantom")
    args = parser.parse_args(arguments)

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
    most = weights.topk(min(5, len(weights)))
    looked = ", ".join(f"{n} ({w:.1%})" for n, w in zip(most.indices.tolist(), most.values.tolist(), strict=True))
    print(f"Of {len(weights)} slices these counted most: {looked}")
    if shows is not None:
        print(f"The consolidation lies in slices {', '.join(map(str, shows))}.")
    if args.picture:
        pages = torch.stack([torch.as_tensor(volume[number]).float().mean(0) for number in range(len(volume))])
        save(study_figure(pages.numpy(), weights.numpy(), scores, shows), args.picture)
        print(f"Picture: {args.picture}")


if __name__ == "__main__":
    main()
