"""Opens model folders where PedCLIP is not installed and there is no network; run as a script by test_hub_folder.py.

    python -I open_as_a_stranger.py INPUTS ANSWERS

INPUTS (torch file): the folders, an image and texts. ANSWERS (torch file): what each Auto class made of them.
"""

import sys


class NoPedCLIP:
    """Comes before every other finder, the one of an editable install too."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname.partition(".")[0] == "pedclip":
            raise ModuleNotFoundError(f"the folder's code asks for the installed package: import {fullname}")
        return None


def refuse_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise ConnectionError("loading the folder asked for the network")


sys.meta_path.insert(0, NoPedCLIP)
sys.addaudithook(refuse_network)

import torch  # noqa: E402
import transformers  # noqa: E402

TRUST = {"trust_remote_code": True}


def where_from(thing) -> str:
    return type(thing).__module__


def same_weights(first, second) -> bool:
    mine, other = first.state_dict(), second.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def main(inputs_file: str, answers_file: str) -> None:
    try:
        import pedclip  # noqa: F401

        raise SystemExit("pedclip is importable: this process proves nothing")
    except ModuleNotFoundError:
        pass
    inputs = torch.load(inputs_file, weights_only=False)
    answers = {
        "whole": whole_model(inputs["whole"], inputs),
        "classifier": classifier(inputs["classifier"], inputs),
        "tower": tower(inputs["tower"], inputs),
    }
    torch.save(answers, answers_file)


def whole_model(folder: str, inputs: dict) -> dict:
    config = transformers.AutoConfig.from_pretrained(folder, **TRUST)
    processor = transformers.AutoProcessor.from_pretrained(folder, **TRUST)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **TRUST)
    image_processor = transformers.AutoImageProcessor.from_pretrained(folder, **TRUST)
    batch = processor(images=inputs["image"], text=inputs["texts"], return_tensors="pt")
    answers = {
        "config": config.to_dict(),
        "batch": dict(batch),
        "AutoTokenizer": dict(tokenizer(inputs["texts"], padding=True, return_tensors="pt")),
        "AutoImageProcessor": image_processor(inputs["image"], return_tensors="pt").pixel_values,
        "classes": {
            name: (type(thing).__name__, where_from(thing))
            for name, thing in {"config": config, "processor": processor, "images": image_processor}.items()
        },
    }
    for name in ("AutoModel", "AutoModelForZeroShotImageClassification"):
        model = getattr(transformers, name).from_pretrained(folder, **TRUST)
        answers["classes"][name] = (type(model).__name__, where_from(model))
        answers[name] = model(**batch).logits_per_image.detach()
    answers["volume"] = model.get_image_features(**processor(volumes=inputs["volume"])).pooler_output.detach()

    own_classifier = transformers.AutoModelForImageClassification.from_pretrained(folder, **TRUST)
    answers["AutoModelForImageClassification"] = own_classifier.vision_model(
        batch["pixel_values"]
    ).pooler_output.detach()
    pipeline = transformers.pipeline("zero-shot-image-classification", model=folder, **TRUST)
    answers["pipeline"] = pipeline(
        inputs["image"], candidate_labels=inputs["labels"], hypothesis_template=inputs["template"]
    )

    again = folder + "-saved-again"
    model.save_pretrained(again)
    processor.save_pretrained(again)
    first, model = model, transformers.AutoModel.from_pretrained(again, **TRUST)
    answers["same weights"] = same_weights(first, model)
    processor = transformers.AutoProcessor.from_pretrained(again, **TRUST)
    batch = processor(images=inputs["image"], text=inputs["texts"], return_tensors="pt")
    answers["saved again"] = model(**batch).logits_per_image.detach()
    answers["classes"]["saved again"] = (type(model).__name__, where_from(model))
    return answers


def classifier(folder: str, inputs: dict) -> dict:
    model = transformers.AutoModelForImageClassification.from_pretrained(folder, **TRUST)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder, **TRUST)(inputs["image"], return_tensors="pt")
    pipeline = transformers.pipeline("image-classification", model=folder, **TRUST)
    model.save_pretrained(folder + "-saved-again")
    again = transformers.AutoModelForImageClassification.from_pretrained(folder + "-saved-again", **TRUST)
    return {
        "logits": model(**pixels).logits.detach(),
        "pipeline": pipeline(inputs["image"]),
        "same weights": same_weights(model, again),
        "saved again": again(**pixels).logits.detach(),
    }


def tower(folder: str, inputs: dict) -> dict:
    model = transformers.AutoModel.from_pretrained(folder, **TRUST)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder, **TRUST)(inputs["image"], return_tensors="pt")
    model.save_pretrained(folder + "-saved-again")
    again = transformers.AutoModel.from_pretrained(folder + "-saved-again", **TRUST)
    return {
        "class": type(model).__name__,
        "features": model(**pixels).pooler_output.detach(),
        "same weights": same_weights(model, again),
        "saved again": again(**pixels).pooler_output.detach(),
    }


if __name__ == "__main__":
    with torch.no_grad():
        main(*sys.argv[1:])
