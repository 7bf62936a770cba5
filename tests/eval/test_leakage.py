"""Planted leaks are found, a clean set passes, and nothing of a patient can be read in what is kept."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pedclip.cli import main
from pedclip.configuration.data import DataConfig
from pedclip.eval import training_manifest
from pedclip.eval.image_hash import BITS, MOST_BROAD, MOST_FINE, directions, local_contrast, nearest, picture_bits
from pedclip.eval.leakage import LeakError, ancestry, check_leakage, leaks_of, shared_lineage
from pedclip.eval.tasks import run_task
from pedclip.eval.training_manifest import MANIFEST, read_manifest, write_manifest
from pedclip.processing.data.folder import read_folder
from pedclip.processing.data.sample import Sample
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.publishing import patient_data_in

SALT = b"salt"


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Phantom films of 40 patients: 28 to train on, 12 to test on."""
    folder = tmp_path_factory.mktemp("films") / "phantom"
    write_folder(folder, FolderSettings(patients=40, seed=5, side=160))
    config = DataConfig(path=str(folder))
    return [
        sample
        for split in ("train", "validation", "test")
        for sample in read_folder(config, split=split, need_caption=False)
    ]


@pytest.fixture(scope="session")
def split(films):
    patients = list(dict.fromkeys(film.patient_id for film in films))
    known = set(patients[:28])
    return [one for one in films if one.patient_id in known], [one for one in films if one.patient_id not in known]


@pytest.fixture(scope="session")
def manifest(split, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / MANIFEST
    write_manifest(path, {"train": split[0][5:], "validation": split[0][:5]}, ["phantom"])
    return path


def encoded(image: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def sixteen_bits(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image, np.uint16) * 16 + 3), "PNG")


COPIES = {
    "png": lambda image: encoded(image, "PNG", optimize=True),
    "jpeg": lambda image: encoded(image, "JPEG", quality=75),
    "half": lambda image: encoded(half(image), "PNG"),
    "half, jpeg": lambda image: encoded(half(image), "JPEG", quality=75),
    "twice": lambda image: encoded(image.resize((image.width * 2, image.height * 2)), "PNG"),
    "16 bits": sixteen_bits,
    "tiff": lambda image: encoded(image, "TIFF"),
}


def test_a_clean_set_passes(split, manifest):
    leaks = check_leakage(manifest, split[1], ["phantom"])
    assert not leaks.found and not leaks.seen_images and leaks.patient_ids_compared
    assert str(leaks) == f"none of {len(split[1])} test images and 12 patients was in training"
    assert json.loads(json.dumps(leaks.to_dict()))["found"] is False


def test_a_patient_of_training_is_found_by_any_of_its_images(split, manifest):
    train, test = split
    other_film = replace(test[0], patient_id=train[7].patient_id)
    leaks = check_leakage(manifest, [*test, other_film], ["phantom"])
    assert leaks.found and not leaks.seen_images
    assert (leaks.seen_patients, leaks.images_of_seen_patients) == (1, (len(test),))


def test_the_same_file_under_another_name_and_patient_is_found(split, manifest, tmp_path):
    train, test = split
    path = tmp_path / "other.png"
    shutil.copy(train[2].path, path)
    leaks = check_leakage(manifest, [*test, Sample(path, path.name, None, "new", None)], ["phantom"])
    (seen,) = leaks.seen_images
    assert (seen.kind, seen.split, seen.apart, seen.place) == ("same file", "validation", 0, len(test))
    assert seen.training_place == len(train) - 5 + 2


@pytest.mark.parametrize("kind", COPIES)
def test_an_image_in_another_form_is_found(split, manifest, tmp_path, kind):
    train, test = split
    planted = []
    for number in range(5, 15):
        path = tmp_path / f"{number}.img"
        path.write_bytes(COPIES[kind](Image.open(train[number].path).convert("L")))
        planted.append(Sample(path, path.name, None, f"new {number}", None))
    leaks = check_leakage(manifest, [*test, *planted], ["phantom"])
    assert [seen.place for seen in leaks.seen_images] == [len(test) + n for n in range(10)]
    assert [seen.training_place for seen in leaks.seen_images] == list(range(10))
    assert leaks.seen_patients == 0


def test_films_of_the_same_part_of_different_patients_are_not_taken_for_one(films):
    onto = directions(SALT)
    bits = np.stack([picture_bits(film.path.read_bytes(), onto) for film in films])
    compared = 0
    for place, film in enumerate(films):
        rivals = [
            other
            for other, two in enumerate(films)
            if two.body_part == film.body_part and two.patient_id != film.patient_id
        ]
        if rivals:
            compared += len(rivals)
            assert nearest(bits[[place]], bits[rivals])[1][0] > 1
    assert compared > 300


def test_real_radiographs_of_different_patients_are_not_taken_for_one(shared_data):
    rows = [json.loads(line) for line in (shared_data / "xr" / "metadata.jsonl").read_text().splitlines()][::9]
    onto = directions(SALT)
    bits = np.stack([picture_bits((shared_data / "xr" / row["file_name"]).read_bytes(), onto) for row in rows])
    patients = np.array([row["patient_id"] for row in rows])
    for place in range(len(rows)):
        assert nearest(bits[[place]], bits[patients != patients[place]])[1][0] > 1


def test_nearest_equals_counting_bits_one_by_one():
    random = np.random.default_rng(0)
    some, others = random.integers(0, 256, (2, 7, BITS // 8), dtype=np.uint8)
    places, apart = nearest(some, others)
    for row, place, bits in zip(some, places, apart, strict=True):
        differing = [[int(a ^ b).bit_count() for a, b in zip(row, other, strict=True)] for other in others]
        slow = [max(sum(one[:64]) / MOST_BROAD, sum(one[64:]) / MOST_FINE) for one in differing]
        assert slow[place] == min(slow) == pytest.approx(bits)
    assert nearest(some, others[:0])[1].min() > 1


def test_a_picture_of_one_shade_is_like_no_other(tmp_path):
    assert local_contrast(np.full((50, 40), 7, np.uint8)) is None
    path = tmp_path / "flat.png"
    samples = []
    for shade in (0, 255):
        path = tmp_path / f"{shade}.png"
        Image.new("L", (40, 50), shade).save(path)
        samples.append(Sample(path, path.name, None, f"p{shade}", None))
    trained = write_manifest(tmp_path / MANIFEST, {"train": samples[:1]})
    assert not check_leakage(trained, samples[1:]).found
    assert check_leakage(trained, samples[:1]).seen_images[0].kind == "same file"


def test_the_manifest_has_no_identifier_and_another_salt_each_time(split, manifest, tmp_path):
    content = manifest.read_bytes()
    with np.load(manifest) as arrays:
        content += b"".join(array.tobytes() + str(array).encode() for array in arrays.values())
    for film in split[0]:
        assert film.patient_id.encode() not in content and film.file_name.encode() not in content
    again = write_manifest(tmp_path / MANIFEST, {"train": split[0][:5]}, ["phantom"])
    first = read_manifest(manifest)
    assert again.salt != first.salt
    of_first = {row.tobytes() for row in first.hashed.patients}
    assert not of_first & {row.tobytes() for row in again.hashed.patients}
    assert read_manifest(tmp_path / MANIFEST).hashed.files.tolist() == again.hashed.files.tolist()


def test_a_file_that_is_no_manifest_is_one_error(tmp_path):
    (tmp_path / MANIFEST).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no training manifest"):
        read_manifest(tmp_path / MANIFEST)
    np.savez(tmp_path / MANIFEST, about=np.array(json.dumps({"version": 99})))
    with pytest.raises(ValueError, match="version 99, and 1 and 2 are read here"):
        read_manifest(tmp_path / MANIFEST)


@pytest.mark.parametrize("spelled", [str.upper, lambda one: f" {one}\t", lambda one: one.replace("-", " - ")])
def test_ids_that_differ_in_case_or_blanks_are_one_patient(split, tmp_path, spelled):
    train = [replace(split[0][0], patient_id="A-17 x")]
    known = write_manifest(tmp_path / MANIFEST, {"train": train})
    other = replace(split[1][0], patient_id=spelled("a-17  x"))
    assert check_leakage(known, [other]).seen_patients == int("- " not in other.patient_id)


def test_an_older_manifest_is_read_with_ids_as_they_are_spelled(split, tmp_path, monkeypatch):
    film = replace(split[0][0], patient_id="A-17")
    monkeypatch.setattr(training_manifest, "VERSION", 1)
    monkeypatch.setattr(training_manifest, "plain_id", str)
    write_manifest(tmp_path / MANIFEST, {"train": [film]})
    monkeypatch.undo()
    assert read_manifest(tmp_path / MANIFEST).version == 1
    other = split[1][0]
    assert check_leakage(tmp_path / MANIFEST, [replace(other, patient_id="A-17")]).seen_patients == 1
    assert check_leakage(tmp_path / MANIFEST, [replace(other, patient_id="a-17")]).seen_patients == 0


@pytest.mark.parametrize("file", ["training_labels.json", "README.md"])
def test_a_copied_folder_is_asked_by_the_names_of_its_data_sets(split, tmp_path, file):
    content = {
        "training_labels.json": json.dumps({"data_sets": ["nih-chestxray14"]}),
        "README.md": "---\ndatasets:\n- nih-chestxray14\n---\n# A model\n",
    }
    (tmp_path / file).write_text(content[file])
    with pytest.raises(LeakError, match="rsna-pneumonia and nih-chestxray14, which the model was trained on, share"):
        leaks_of(tmp_path, split[1], ["rsna-pneumonia"])
    allowed = leaks_of(tmp_path, split[1], ["rsna-pneumonia"], allow=True)
    assert allowed["found"] and allowed["allowed"] and allowed["trained_on"] == ["nih-chestxray14"]
    apart = leaks_of(tmp_path, split[1], ["rsna-boneage"])
    assert apart["found"] is None and "by name its data sets share nothing" in apart["says"]
    own = leaks_of(tmp_path, split[1], ["NIH ChestX-ray14"])
    assert own["found"] is None and "nobody knows on which images" in own["says"]


def test_what_is_known_of_leaks_stands_on_the_line(tested, collection, tmp_path, capsys):
    tested.model.save_pretrained(tmp_path / "model")
    tested.processor.save_pretrained(tmp_path / "model")
    assert main(["eval", "--model", str(tmp_path / "model"), "--task", "gate", "--data", str(collection)]) == 0
    assert "leaks: unknown: no training manifest lies beside the model" in capsys.readouterr().out


def test_ids_of_unrelated_data_sets_are_not_compared(split, manifest):
    train, test = split
    same_number = replace(test[0], patient_id=train[0].patient_id)
    assert not check_leakage(manifest, [same_number], ["chd-cxr"]).found
    assert check_leakage(manifest, [same_number], []).seen_patients == 1  # nobody says which it is: better look


def test_lineage_knows_spellings_and_what_a_set_was_made_from():
    assert ancestry("chestx_ray14") == ancestry("NIH-ChestX-ray14") == ("nih-chestxray14",)
    assert ancestry("Our own") == ("Our own",)
    assert "nih-chestxray14" in ancestry("covid-19-radiography-database")
    (found,) = shared_lineage(["rsna-boneage"], ["MedNIST-Hand (from RSNA Bone Age)"])
    assert found.shared == ("rsna-boneage",)
    assert shared_lineage(["chestmnist"], ["rsna-pneumonia"])[0].shared == ("nih-chestxray14",)
    assert not shared_lineage(["rsna-boneage"], ["RSNA Bone Age"])  # itself: its splits decide
    assert not shared_lineage(["vindr-cxr"], ["vindr-pcxr"])


def test_lineage_is_a_leak_and_an_unknown_name_is_said(split, manifest, tmp_path):
    trained = write_manifest(tmp_path / MANIFEST, {"train": split[0][:2]}, ["nih-chestxray14", "ours"])
    leaks = check_leakage(trained, split[1][:2], ["rsna-pneumonia"])
    assert leaks.found and leaks.unknown_data_sets == ("ours",)
    assert "rsna-pneumonia and nih-chestxray14, which the model was trained on, share nih-chestxray14" in str(leaks)


def test_a_leak_refuses_and_says_the_way_out(split, manifest, tmp_path):
    hub = tmp_path / "run" / "hub"
    hub.mkdir(parents=True)
    assert leaks_of(hub, split[0]) == {"found": None, "says": "unknown: no training manifest lies beside the model"}
    shutil.copy(manifest, tmp_path / "run")
    with pytest.raises(LeakError, match=r"3 of 3 test images were in training \(3 as the same file.*--allow-leaks"):
        leaks_of(hub, split[0][:3], ["phantom"])
    allowed = leaks_of(hub, split[0][:3], ["phantom"], allow=True)
    assert allowed["found"] and allowed["allowed"] and allowed["images"] == 3
    assert leaks_of(hub, split[1], ["phantom"])["found"] is False
    assert split[0][0].patient_id not in json.dumps(allowed)


def test_eval_refuses_a_leak_and_goes_on_when_told_to(tested, collection, tmp_path, capsys):
    hub = tmp_path / "run" / "hub"
    tested.model.save_pretrained(hub)
    tested.processor.save_pretrained(hub)
    config = DataConfig(path=str(collection))
    test = read_folder(config, split="test", need_caption=False)
    write_manifest(hub.parent / MANIFEST, {"train": test[:4]})
    with pytest.raises(LeakError, match=f"4 of {len(test)} test images were in training"):
        run_task("gate", hub, collection)
    command = ["eval", "--model", str(hub), "--task", "gate", "--data", str(collection)]
    assert main(command) != 0
    assert "--allow-leaks" in capsys.readouterr().err
    out = tmp_path / "result.json"
    assert main([*command, "--allow-leaks", "--out", str(out)]) == 0
    assert "LEAK: 4 of" in capsys.readouterr().out
    assert json.loads(out.read_text())["leaks"]["images"] == 4
    assert run_task("gate", hub, collection, split="train", resamples=20)["leaks"]["found"] is None


def test_a_manifest_in_a_model_folder_is_in_the_way_of_a_push(manifest, tmp_path):
    shutil.copy(manifest, tmp_path)
    assert patient_data_in(tmp_path) == [
        f"{MANIFEST} is a picture or packed, and none of the phantom samples that go with a model"
    ]
