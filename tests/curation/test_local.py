"""A chat model in this process: with random weights it has no idea, and every answer keeps to the schema anyway."""

import asyncio
import json
import shutil

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pedclip.processing.curation import asking
from pedclip.processing.curation.engines.constrained import KeepToSchema, Walk, pieces_of
from pedclip.processing.curation.engines.language import LanguageEngine
from pedclip.processing.curation.engines.local import LocalChat, LocalSettings
from pedclip.processing.curation.schema import EngineError, FilmedPart, Study, checked
from pedclip.processing.curation.splitting import split

PARTS = (FilmedPart("L KNEE", "knee", "left"), FilmedPart('R "HIP"', "hip", "right"), FilmedPart("Fuß", None, None))
REPORT = "History of pain. The left knee is normal. There is a fracture of the right hip. No effusion."
TEMPLATE = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}<s>assistant\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama with random weights and a tokenizer of its own."""
    path = tmp_path_factory.mktemp("chat")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    words = [asking.load_prompts("v1").words["kind_of_sentence"], REPORT, '"finding", "history", "L KNEE"]']
    tokenizer.train_from_iterator(words, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=2048, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def run(folder, studies, prompts="v1", **settings):
    async def go():
        chat = LocalChat(LocalSettings(str(folder), "mit", name="tiny", device="cpu", **settings))
        async with chat:
            engine = LanguageEngine("local", chat, asking.load_prompts(prompts))
            jobs = (engine.assign(one, split(one.report)) for one in studies)
            return engine.provenance, await asyncio.gather(*jobs, return_exceptions=True)

    return asyncio.run(go())


def test_a_model_that_knows_nothing_keeps_to_the_schema(folder):
    studies = [Study(f"s{n}", "p", f"{REPORT} Number {n}.", PARTS[: 1 + n % 3]) for n in range(5)]
    provenance, found = run(folder, studies, batch_size=3)
    assert (provenance.engine, provenance.model, provenance.model_licence) == ("local", "tiny", "mit")
    for study, assignment in zip(studies, found, strict=True):
        checked(assignment, study, split(study.report))
        assert assignment.spent.invalid == 0 and assignment.spent.answers >= 1
        assert all(0 < chance <= 1 for chance in assignment.confidence.values())


def test_a_batch_answers_as_one_by_one(folder):
    studies = [Study(f"s{n}", "p", REPORT + " No lesion." * n, PARTS) for n in range(4)]
    _, alone = run(folder, studies, batch_size=1)
    _, together = run(folder, studies, batch_size=4)
    assert [one.of_part for one in alone] == [one.of_part for one in together]


def test_a_question_that_is_too_long_is_given_up_and_stops_no_other(folder):
    long = Study("long", "p", "No fracture of the left knee. " * 400, PARTS)
    _, found = run(folder, [long, Study("s", "p", REPORT, PARTS)])
    assert isinstance(found[0], EngineError) and "takes 2048" in str(found[0])
    assert not isinstance(found[1], Exception)


def test_free_text_of_a_model_that_knows_nothing_is_no_answer(folder):
    _, (error,) = run(folder, [Study("s", "p", "Pain. The knee is normal.", PARTS)], prompts="free-text-v1")
    assert isinstance(error, EngineError) and error.spent.invalid == 1


SCHEMA = asking._object(
    {
        "3": {"type": "string", "enum": ["finding", "history"]},
        "5": {"type": "array", "items": {"type": "string", "enum": ["L KNEE", 'R "HIP"']}},
    }
)


@pytest.mark.parametrize("seed", range(8))
def test_every_walk_ends_in_an_answer_of_the_schema(seed):
    """Letters as tokens, chosen at random among the allowed ones."""
    draw = torch.Generator().manual_seed(seed)
    walk = Walk(pieces_of(SCHEMA), lambda text: [ord(letter) for letter in text])
    said = ""
    while allowed := walk.allowed():
        token = allowed[int(torch.randint(len(allowed), (1,), generator=draw))]
        said += chr(token)
        walk.take(token, 0.5)
    answer = json.loads(said)
    assert walk.text == said and list(answer) == ["3", "5"]
    assert answer["3"] in ("finding", "history")
    assert set(answer["5"]) <= {"L KNEE", 'R "HIP"'} and len(set(answer["5"])) == len(answer["5"])


def test_only_allowed_tokens_keep_their_scores_and_the_end_comes_last():
    schema = asking._object({"0": {"type": "string", "enum": ["ab", "ba"]}})
    walk = Walk(pieces_of(schema), lambda text: [ord(letter) for letter in text])
    keep = KeepToSchema([walk], prompt_length=1, end=7)
    tokens = [0]
    scores = torch.zeros(1, 128)
    scores[0, ord("b")] = 1.0
    while tokens[-1] != 7:
        kept = keep(torch.tensor([tokens]), scores)
        tokens.append(int(kept.argmax()))
    assert "".join(map(chr, tokens[1:-1])) == '{"0": "ba"}'
    assert walk.chance["0"] == pytest.approx(1 / (1 + torch.e**-1))  # of `b` against `a`; what is fixed counts as 1


def test_a_model_without_a_chat_template_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m/chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((tmp_path / "m/tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (tmp_path / "m/tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="no chat template"):
        run(tmp_path / "m", [Study("s", "p", REPORT, PARTS)])


def test_two_models_of_one_name_are_told_apart(tmp_path, monkeypatch):
    for folder, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / folder / "m").mkdir(parents=True)
        (tmp_path / folder / "m.gguf").write_bytes(content)
        (tmp_path / folder / "m" / "config.json").write_bytes(content)
        (tmp_path / folder / "m" / "README.md").write_text(folder)
    for name in ("m.gguf", "m"):
        one, other, same = (LocalChat(LocalSettings(str(tmp_path / folder / name), "mit")) for folder in "abc")
        assert one.model == other.model == name
        assert one.settings != other.settings and one.settings == same.settings
    # of a model on the Hub it is the commit
    snapshot = tmp_path / "models--o--m" / "snapshots" / "c0ffee" / "config.json"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *where, **more: str(snapshot))
    assert LocalChat(LocalSettings("o/m", "mit")).settings["files"] == "c0ffee"
