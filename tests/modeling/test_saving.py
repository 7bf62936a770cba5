"""Saved and opened again: same logits, by the installed classes, with the code files beside the weights."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import errors
from transformers import AutoModel, AutoModelForImageClassification, AutoModelForZeroShotImageClassification

from pedclip import (
    PedCLIPConfig,
    PedCLIPForImageClassification,
    PedCLIPImageProcessor,
    PedCLIPModel,
    PedCLIPVisionModel,
)
from pedclip.configuration.hub_folder_pedclip import code_files, flatten_imports, write_code_files

CODE_FILES = {
    "configuration_pedclip.py",
    "dicom_frames_pedclip.py",
    "dicom_pedclip.py",
    "dicom_series_pedclip.py",
    "dicom_slices_pedclip.py",
    "experts_pedclip.py",
    "hub_folder_pedclip.py",
    "image_processing_pedclip.py",
    "losses_pedclip.py",
    "mobe_pedclip.py",
    "modeling_pedclip.py",
    "outputs_pedclip.py",
    "pipeline_pedclip.py",
    "processing_pedclip.py",
    "reading_pedclip.py",
    "resampling_pedclip.py",
    "text_cache_pedclip.py",
    "volume_pedclip.py",
    "volume_reading_pedclip.py",
    "volume_windows_pedclip.py",
}
# Weights come back bit for bit. What is computed from them does not always: a file's tensors lie elsewhere in memory,
# and the processor's kernels add in another order there.
ROUNDING = {"rtol": 0, "atol": 5e-6}
PIXELS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def names(folder) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def state_difference(first, second) -> float:
    mine, other = first.state_dict(), second.state_dict()
    assert mine.keys() == other.keys()
    return max((mine[name] - other[name]).abs().max().item() for name in mine)


@pytest.mark.parametrize("auto_class", [None, AutoModel, AutoModelForZeroShotImageClassification])
def test_a_saved_model_opens_with_the_same_logits(make_model, make_batch, tmp_path, auto_class):
    model, batch = make_model(projection_dim=20), make_batch()
    model.save_pretrained(tmp_path)
    again = (auto_class or PedCLIPModel).from_pretrained(tmp_path)

    assert type(again) is PedCLIPModel
    assert not again.training
    assert state_difference(model, again) == 0
    torch.testing.assert_close(again(**batch).logits_per_image, model(**batch).logits_per_image, **ROUNDING)
    assert names(tmp_path) == CODE_FILES | {"config.json", "model.safetensors"}


def test_a_saved_image_tower_opens_with_the_same_features(make_model, tmp_path):
    tower = make_model().vision_model
    tower.save_pretrained(tmp_path)

    for again in (PedCLIPVisionModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        assert type(again) is PedCLIPVisionModel
        torch.testing.assert_close(again(PIXELS).pooler_output, tower(PIXELS).pooler_output, **ROUNDING)
        assert state_difference(tower, again) == 0
    assert names(tmp_path) == CODE_FILES | {"config.json", "model.safetensors"}


@pytest.mark.parametrize("auto_class", [None, AutoModelForImageClassification])
def test_a_saved_classifier_opens_with_the_same_logits(make_config, tmp_path, auto_class):
    torch.manual_seed(0)
    model = PedCLIPForImageClassification(make_config(num_labels=3, problem_type="multi_label_classification")).eval()
    model.save_pretrained(tmp_path)
    again = (auto_class or PedCLIPForImageClassification).from_pretrained(tmp_path)

    assert type(again) is PedCLIPForImageClassification
    assert again.config.problem_type == "multi_label_classification"
    assert state_difference(model, again) == 0
    torch.testing.assert_close(again(PIXELS).logits, model(PIXELS).logits, **ROUNDING)
    assert names(tmp_path) == CODE_FILES | {"config.json", "model.safetensors"}


def test_a_whole_model_opens_as_its_image_tower_and_as_a_classifier_on_it(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    expected = model.vision_model(PIXELS).pooler_output
    classifier = PedCLIPForImageClassification.from_pretrained(tmp_path, num_labels=4)

    torch.testing.assert_close(PedCLIPVisionModel.from_pretrained(tmp_path)(PIXELS).pooler_output, expected)
    torch.testing.assert_close(classifier.vision_model(PIXELS).pooler_output, expected)
    assert classifier(PIXELS).logits.shape == (3, 4)


def test_a_classifier_opens_as_its_image_tower(make_config, tmp_path):
    torch.manual_seed(0)
    classifier = PedCLIPForImageClassification(make_config(num_labels=4)).eval()
    classifier.save_pretrained(tmp_path)

    tower = PedCLIPVisionModel.from_pretrained(tmp_path)
    assert state_difference(tower, classifier.vision_model) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_opens_in_the_type_asked_for_throughout(make_model, make_batch, tmp_path, dtype):
    make_model().save_pretrained(tmp_path)
    model = PedCLIPModel.from_pretrained(tmp_path, dtype=dtype)

    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert model(**make_batch(), return_loss=True).loss.isfinite()


def test_a_model_saved_in_half_precision_opens_as_it_was(make_model, tmp_path):
    model = make_model(dtype=torch.bfloat16)
    model.save_pretrained(tmp_path)
    again = PedCLIPModel.from_pretrained(tmp_path)

    assert {parameter.dtype for parameter in again.parameters()} == {torch.bfloat16}
    assert state_difference(model, again) == 0


def test_a_large_model_in_several_files_opens_with_the_same_weights(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path, max_shard_size="50KB")

    assert "model.safetensors.index.json" in names(tmp_path)
    assert state_difference(model, PedCLIPModel.from_pretrained(tmp_path)) == 0


def test_a_model_that_was_made_without_memory_has_every_weight_after_loading(make_config, make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    with torch.device("meta"):
        empty = PedCLIPModel(make_config())

    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in PedCLIPModel.from_pretrained(tmp_path).parameters()} == {"cpu"}


def test_weights_that_are_missing_from_a_checkpoint_are_drawn_and_never_left_empty(make_config, tmp_path):
    config = make_config()
    tower = PedCLIPVisionModel(config.vision_config)
    tower.save_pretrained(tmp_path)
    config.vision_config.mobe_layers = [0, 1]  # layer 0 gets experts that the file does not hold

    torch.manual_seed(0)
    model = PedCLIPVisionModel.from_pretrained(tmp_path, config=config.vision_config)
    experts = model.layers[0].mlp.experts
    for stack in (experts.up_proj, experts.down_proj, model.layers[0].mlp.gate.proj.weight):
        assert stack.std().item() == pytest.approx(0.02, rel=0.2)
    assert not experts.up_bias.any() and not experts.down_bias.any()


def test_the_code_files_lie_flat_beside_the_weights_and_import_each_other(tmp_path):
    written = write_code_files(tmp_path)

    assert {path.name for path in written} == names(tmp_path) == CODE_FILES == {path.name for path in code_files()}
    text = {path.name: path.read_text(encoding="utf-8") for path in written}
    assert not [name for name, source in text.items() if "from .." in source]
    assert "from .mobe_pedclip import" in text["modeling_pedclip.py"]
    assert "from .configuration_pedclip import" in text["modeling_pedclip.py"]
    before = {path: path.stat().st_size for path in written}
    assert {path: path.stat().st_size for path in write_code_files(tmp_path)} == before


def test_flattening_touches_imports_across_folders_and_nothing_else():
    source = (
        "from ..configuration.configuration_pedclip import A\n"
        "    from ..modeling_pedclip.mobe_pedclip import B\n"
        "from .losses_pedclip import C\n"
        "from transformers import D\n"
        "text = 'from ..somewhere import E'\n"
    )
    flat = (
        "from .configuration_pedclip import A\n"
        "    from .mobe_pedclip import B\n"
        "from .losses_pedclip import C\n"
        "from transformers import D\n"
        "text = 'from ..somewhere import E'\n"
    )

    assert flatten_imports(source) == flat
    assert flatten_imports(flat) == flat


@pytest.fixture
def pushed(monkeypatch):
    """Stands in for the Hub at the last step: keeps what each upload's folder held, and its name and message."""
    from transformers.utils import hub

    uploads = []

    def upload(self, working_dir, repo_id, files_timestamps, **kwargs):
        uploads.append({"files": names(working_dir), "repo_id": repo_id, **kwargs})

    class RepoUrl:
        def __init__(self, repo_id, **kwargs):
            self.repo_id = repo_id

    class Api:
        create_repo = RepoUrl

    class Card:
        def save(self, path):
            Path(path).write_text("card", encoding="utf-8")

    monkeypatch.setattr(hub.PushToHubMixin, "_upload_modified_files", upload)
    monkeypatch.setattr(hub, "hf_api", Api, raising=False)
    monkeypatch.setattr(hub, "create_repo", RepoUrl, raising=False)  # how earlier releases call it
    monkeypatch.setattr(hub, "create_and_tag_model_card", lambda *args, **kwargs: Card())
    return uploads


@pytest.mark.parametrize("way", ["push_to_hub", "save_pretrained"])
@pytest.mark.parametrize("kind", ["model", "tower", "classifier", "config", "image processor", "processor"])
def test_whatever_is_pushed_to_the_hub_takes_the_code_files_along(make_model, processor, pushed, tmp_path, way, kind):
    model = make_model()
    thing, own_files = {
        "model": (model, {"config.json", "model.safetensors"}),
        "tower": (model.vision_model, {"config.json", "model.safetensors"}),
        "classifier": (PedCLIPForImageClassification(model.config), {"config.json", "model.safetensors"}),
        "config": (model.config, {"config.json"}),
        "image processor": (PedCLIPImageProcessor(), {"preprocessor_config.json"}),
        "processor": (processor, {"processor_config.json", "tokenizer.json", "tokenizer_config.json"}),
    }[kind]

    if way == "push_to_hub":
        thing.push_to_hub("someone/pedclip", commit_message="first")
    else:
        thing.save_pretrained(tmp_path / "folder", push_to_hub=True, repo_id="someone/pedclip", commit_message="first")
        assert CODE_FILES | own_files <= names(tmp_path / "folder")

    (upload,) = pushed
    assert CODE_FILES | own_files | {"README.md"} <= upload["files"]
    assert upload["repo_id"] == "someone/pedclip"
    assert upload["commit_message"] == "first"


def test_a_push_without_a_name_takes_the_folders(make_config, pushed, tmp_path):
    make_config().save_pretrained(tmp_path / "my-model", push_to_hub=True)

    assert pushed[0]["repo_id"] == "my-model"


def test_without_push_to_hub_nothing_is_uploaded(make_model, pushed, tmp_path):
    make_model().save_pretrained(tmp_path)

    assert pushed == []


def test_a_folder_with_misfitting_names_is_not_opened(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    config_file = tmp_path / "config.json"
    config = json.loads(config_file.read_text())
    config["body_parts"].append("tail")
    config_file.write_text(json.dumps(config))

    with pytest.raises(errors.StrictDataclassError, match="body_parts has 6 names"):
        PedCLIPConfig.from_pretrained(tmp_path)


def test_where_the_text_tower_was_read_from_is_not_saved(bert_folder, tmp_path):
    PedCLIPModel.from_vision_text_pretrained(
        None, str(bert_folder), vision_image_size=32, vision_num_hidden_layers=1, vision_mobe_layers=[0]
    ).save_pretrained(tmp_path / "model")
    assert str(bert_folder) not in (tmp_path / "model" / "config.json").read_text()
