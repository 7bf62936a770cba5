"""A server that cuts answers short, refuses, or counts oddly; and what an answer costs."""

import asyncio
import json

import pytest
from fault_server import CUT, Plan, started
from faulty_answers import PARTS, PROMPTS, asked, study

from pedclip.processing.curation.answers import ends_early
from pedclip.processing.curation.engines import server as wire
from pedclip.processing.curation.engines.cache import AnswerCache, Reply
from pedclip.processing.curation.engines.language import AllRefusedError, LanguageEngine
from pedclip.processing.curation.engines.server import ServerChat, ServerSettings
from pedclip.processing.curation.schema import Study
from pedclip.processing.curation.splitting import split


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(wire, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(wire, "LONGEST_WAIT", 0.05)


@pytest.mark.parametrize("kind", CUT)
def test_an_answer_that_was_cut_is_none_of_the_models(kind, tmp_path):
    cache = AnswerCache(tmp_path / "a")
    studies = [study(number) for number in range(4)]
    found, chat = asked(Plan(faults=0.8, kinds=(kind,)), studies, cache, tries=60)
    assert chat.counts.retries > 8
    assert len(cache) == 8 and all((one.spent.answers, one.spent.invalid) == (2, 0) for one in found)
    assert chat.counts.reasons.keys() <= {
        "an answer that ends early", "an answer that was cut short (finish_reason is not stop)"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ([1], (0, 0)), ("many", (0, 0)), (float("nan"), (0, 0)), ({"prompt_tokens": float("inf")}, (0, 0)),
        ({"prompt_tokens": "NaN", "completion_tokens": [3]}, (0, 0)), ({"prompt_tokens": 10**400}, (0, 0)),
        ({"prompt_tokens": -4, "completion_tokens": True}, (0, 0)), ({"prompt_tokens": 7.0}, (14, 0)),
    ],
)  # fmt: skip
def test_tokens_that_are_no_number_count_as_none(usage, tokens):
    (found,), _ = asked(Plan(usage=usage), [study()])
    assert found.of_part == {"L KNEE": (1,), "R HIP": (2,)}
    assert (found.spent.prompt_tokens, found.spent.completion_tokens) == tokens


def test_a_server_that_refuses_everything_stops_the_run_and_single_questions_do_not():
    studies = [study(number) for number in range(12)]
    found, _ = asked(Plan(faults=1.0, kinds=("400",)), studies, connections=1)
    assert any(isinstance(one, AllRefusedError) and "refused 8 questions" in str(one) for one in found)
    assert "pain" not in str(found)
    # too long, as some are: here every second one, and they may come in a row
    found, _ = asked(Plan(faults=0.5, kinds=("too long",), seed=1), studies)
    assert 0 < sum("refuses the question" in str(one) for one in found) < 12
    assert not any(isinstance(one, AllRefusedError) for one in found)


@pytest.mark.parametrize("status", [402, 410, 451])
def test_what_the_caller_has_to_mend_stops_the_run(status):
    assert status in wire.OF_THE_CALLER
    if status == 402:
        (found,), _ = asked(Plan(faults=1.0, kinds=("402",)), [study()])
        assert isinstance(found, ValueError) and "no credit" in str(found)


def test_an_answer_ends_early_where_its_json_does():
    for whole in ('{"0": "a"}', '```json\n{"0": ["}"]}\n```', "no json", "", 'well: {"a": "{\\""} {'):
        assert not ends_early(whole), whole
    for cut in ('{"0": "a"', '{"0": "a', '{"0": ["a"', '{"0": "\\"}', '```json\n{"0": '):
        assert ends_early(cut), cut


def test_an_answer_that_is_whole_stays_one_where_its_model_rambles_on():
    def said(text, finish):
        return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": finish}]}).encode()

    assert wire._reply(said('{"0": "a"} And', "length")) == Reply('{"0": "a"} And')
    assert wire._reply(said('{"0": "a"}', None)) == Reply('{"0": "a"}')
    for text, finish in (('{"0": "a"', "length"), ("And", "length"), ('{"0": "a"}', "content_filter"), ("{", "stop")):
        assert isinstance(wire._reply(said(text, finish)), str)


def test_a_full_disk_is_told_in_words(tmp_path):
    cache = AnswerCache(tmp_path / "a")
    cache._rows.execute("PRAGMA max_page_count = 2")
    with pytest.raises(OSError, match="Is the disk full"):
        cache.keep(b"key", Reply("x" * 100_000))
    cache.close()
    with pytest.raises(OSError, match="can be kept there"):
        AnswerCache(tmp_path)


def test_what_was_paid_for_is_counted_once(tmp_path):
    cache = AnswerCache(tmp_path / "a")

    async def run(studies):
        runner, address = await started(Plan(delay=0.02))
        chat = ServerChat(ServerSettings(address, "m", "mit"))
        try:
            async with chat:
                engine = LanguageEngine("server", chat, PROMPTS, cache)
                await asyncio.gather(*(engine.assign(one, split(one.report)) for one in studies))
                return engine
        finally:
            await runner.cleanup()

    twins = [Study(f"s{number}", "p", study().report, PARTS) for number in range(5)]
    engine = asyncio.run(run(twins))
    assert (engine.received.answers, engine.received.prompt_tokens, engine.reused) == (2, 200, 8)
    engine = asyncio.run(run([*twins, study(1)]))
    assert (engine.received.answers, engine.received.completion_tokens, engine.reused) == (2, 20, 10)
