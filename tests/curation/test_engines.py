"""Language models as engines, against a server that fails on purpose: what is asked, what is kept, what is refused."""

import asyncio
import gc
import json
import time

import pytest
from fault_server import CUT, FAULTS, Plan, started
from faulty_answers import PARTS, PROMPTS, asked, study

from pedclip.processing.curation import asking
from pedclip.processing.curation.answers import AnswerError, json_of, kinds_in, parts_in
from pedclip.processing.curation.engines import server as wire
from pedclip.processing.curation.engines.cache import AnswerCache, Reply
from pedclip.processing.curation.engines.language import LanguageEngine
from pedclip.processing.curation.engines.permission import check_remote
from pedclip.processing.curation.engines.server import ServerChat, ServerGoneError, ServerSettings, seconds_of
from pedclip.processing.curation.grounding import grounded
from pedclip.processing.curation.schema import EngineError, Sentence, Study
from pedclip.processing.curation.splitting import split


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits between tries that a test can afford."""
    monkeypatch.setattr(wire, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(wire, "LONGEST_WAIT", 0.05)


def test_two_steps_give_the_reports_own_sentences():
    plan = Plan()
    (found,), chat = asked(plan, [study()])
    assert found.of_part == {"L KNEE": (1,), "R HIP": (2,)}
    assert found.dropped == {0: "history"}
    assert found.spent.answers == 2 and found.spent.prompt_tokens == 200 and found.spent.completion_tokens == 20
    first, second = plan.bodies
    schema = first["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["0", "1", "2"] and not schema["additionalProperties"]
    assert set(schema["properties"]["0"]["enum"]) == {"finding", "history", "comparison", "technique", "irrelevant"}
    schema = second["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["1", "2"]  # what the first step dropped is not asked about again
    assert schema["properties"]["1"]["items"]["enum"] == ["L KNEE", "R HIP"]
    assert (first["temperature"], first["model"]) == (0.0, "m")
    assert chat.counts.retries == 0


@pytest.mark.parametrize("kind", [*FAULTS, *CUT])
def test_every_kind_of_fault_is_asked_again_and_changes_nothing(kind):
    studies = [study(number) for number in range(8)]
    undisturbed, _ = asked(Plan(), studies)
    disturbed, _ = asked(Plan(faults=0.35, kinds=(kind,), seed=3), studies, timeout=0.3, tries=12)
    assert [one.of_part for one in disturbed] == [one.of_part for one in undisturbed]
    assert [one.dropped for one in disturbed] == [one.dropped for one in undisturbed]


def test_an_answer_that_is_never_valid_is_an_error_that_says_what_it_cost():
    (error,), _ = asked(Plan(faults=1.0, kinds=("wrong schema",)), [study()])
    assert isinstance(error, EngineError)
    assert error.spent.answers == error.spent.invalid == 3
    assert "misses 3 of 3 sentences" in str(error) and "knee" not in str(error)


def test_a_question_that_nobody_answers_is_given_up_and_a_server_that_is_gone_stops_the_run():
    studies = [study(number, extra="Zebra lines. " if number == 2 else "") for number in range(30)]
    found, _ = asked(Plan(poison="Zebra", delay=0.03), studies, tries=4, connections=3, timeout=20.0)
    assert isinstance(found[2], EngineError) and "status 500" in str(found[2])
    assert all(not isinstance(one, Exception) for index, one in enumerate(found) if index != 2)
    found, _ = asked(Plan(faults=1.0, kinds=("500",)), studies[:2], tries=3)
    assert all(isinstance(one, ServerGoneError) and "it goes on" in str(one) for one in found)


def test_a_call_that_fails_after_all_who_waited_are_gone_prints_nothing():
    told = []

    class Gone(ServerChat):
        async def complete(self, *question, **more):
            await asyncio.sleep(0.02)
            raise ServerGoneError("gone")

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        engine = LanguageEngine("server", Gone(ServerSettings("http://127.0.0.1:9/v1", "m", "mit")), PROMPTS)
        waiting = asyncio.create_task(engine.assign(study(), split(study().report)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0.05)
        gc.collect()  # a task that nobody looked at is told of when it goes

    asyncio.run(run())
    assert not told


def test_a_server_that_refuses_schemas_is_asked_in_words():
    plan = Plan(refuses_schema=True)
    found, chat = asked(plan, [study(0), study(1)])
    assert [one.of_part["R HIP"] for one in found] == [(2,), (2,)]
    assert not chat.sends_schema
    assert "response_format" not in plan.bodies[-1] and '"0": "history"' in plan.bodies[0]["messages"][-1]["content"]


def test_answers_are_kept_and_the_same_question_is_asked_once(tmp_path):
    cache = AnswerCache(tmp_path / "answers.sqlite")
    plan = Plan(delay=0.05)
    twins = [Study(f"s{number}", "p", study().report, PARTS) for number in range(5)]
    found, _ = asked(plan, twins, cache)
    assert plan.requests == 2 == len(cache)
    cache.close()
    again = AnswerCache(tmp_path / "answers.sqlite")
    plan = Plan(faults=1.0)  # would fail if it were asked
    other, _ = asked(plan, twins, again)
    assert plan.requests == 0 and other == found
    other_parts = Study("s9", "p", study().report, PARTS[:1])
    asked(Plan(), [other_parts], again)
    assert len(again) == 4  # other parts are another question
    assert (tmp_path / "answers.sqlite").stat().st_mode & 0o077 == 0


def test_a_file_that_holds_no_answers_is_refused(tmp_path):
    (tmp_path / "x").write_text("not a database at all" * 100)
    with pytest.raises(ValueError, match="no file of answers"):
        AnswerCache(tmp_path / "x")


def test_a_limit_of_requests_is_kept():
    plan = Plan()
    began = time.monotonic()
    asked(plan, [study(number) for number in range(3)], requests_a_minute=600)
    assert plan.requests == 6 and time.monotonic() - began > 0.45  # the first comes at once, five wait 0.1 s each


def test_a_key_comes_from_the_environment_and_goes_to_no_other_address(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "s3cret")
    plan = Plan()
    asked(plan, [study()], key_variable="SOME_KEY")
    assert plan.headers[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(ServerSettings("http://127.0.0.1/v1", "m", "mit", key_variable="SOME_KEY"))
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(ValueError, match="SOME_KEY is empty"):
        asked(plan, [study()], key_variable="SOME_KEY")


def test_a_redirect_is_not_followed():
    async def run():
        runner, address = await started(Plan())
        try:
            async with ServerChat(ServerSettings(address.replace("/v1", "/away"), "m", "mit")) as chat:
                await chat.complete(asking.ask_kinds(PROMPTS, study(), split(study().report)), 0)
        finally:
            await runner.cleanup()

    with pytest.raises(ValueError, match="status 307"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("http://models.example.org/v1", {}, "is not this machine"),
        ("http://127.0.0.1.example.org/v1", {}, "is not this machine"),
        ("http://10.1.2.3:8000/v1", {}, "is not this machine"),
        ("http://models.example.org/v1", {"allow_remote": True}, "use https"),
        ("https://me:pw@models.example.org/v1", {"allow_remote": True}, "holds a password"),
        ("ftp://127.0.0.1/v1", {}, "no address of a server"),
    ],
)
def test_addresses_that_are_refused(url, more, said):
    with pytest.raises(ValueError, match=said):
        ServerSettings(url, "m", "mit", **more)


def test_addresses_that_are_allowed():
    for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:80/v1", "http://127.8.9.1/v1"):
        ServerSettings(url, "m", "mit")
    ServerSettings("https://models.example.org/v1", "m", "mit", allow_remote=True)
    ServerSettings("http://10.1.2.3:8000/v1", "m", "mit", allow_remote=True)  # a house's own network


def test_terms_decide_whether_reports_may_leave_the_machine():
    with pytest.raises(ValueError, match="forbid it"):
        check_remote("vindr-pcxr", "Dr Who, today")  # a permission does not change a no
    for name in ("VinDr-PCXR", "vindr_pcxr", " VINDR PCXR", "PediCXR", "pedi-cxr", "vindrpcxr"):
        with pytest.raises(ValueError, match="the terms of vindr-pcxr forbid it"):
            check_remote(name, "Dr Who, today")
    for name in ("vindr-pcxr-v2", "our VinDr PCXR", "vindr-pxcr", "pedicxrs", "vindr-pcx"):
        with pytest.raises(ValueError, match="looks like vindr-pcxr"):
            check_remote(name, "Dr Who, today")
    with pytest.raises(ValueError, match="nobody here knows"):
        check_remote("openi-reports", None)
    with pytest.raises(ValueError, match="nobody here knows"):
        check_remote("mednist-hand", None)  # it says yes, and the set that it was made from does not
    with pytest.raises(ValueError, match="unnamed data set"):
        check_remote(None, "somebody")
    assert check_remote("padchest", "somebody") == "allowed by somebody"
    assert check_remote("Phantom", None) == "the terms of Phantom allow it"
    assert check_remote("our-own", "the ethics board, 2026-01-02") == "allowed by the ethics board, 2026-01-02"
    assert "phantom" in check_remote("phantom", None)


def test_retry_after_is_read_in_both_forms():
    assert seconds_of("7") == 7.0 and seconds_of("1e9") == wire.LONGEST_ASKED_WAIT
    assert seconds_of(None) == seconds_of("soon") == seconds_of("nan") == 1.0
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


SENTENCES = [Sentence(0, 0, 1, "a"), Sentence(1, 2, 3, "b")]


@pytest.mark.parametrize(
    "text",
    [
        "", "no json", '{"0": "finding"', '{"0": "finding"}', '{"0": "finding", "1": "finding", "2": "finding"}',
        '{"0": "finding", "0": "history", "1": "history"}', '{"0": "finding", "1": "maybe"}', '{"0": 1, "1": 2}',
        '[{"0": "finding"}]', '{"0": "finding", "1": "history"} {"0": "finding", "1": "finding"}',
        '{"00": "finding", "1": "history"}', '{"0": ["finding"], "1": "history"}', "{" * 5000, "[" * 100_000,
        '{"0": {"0": "finding"}, "1": "history"}', "null", '{"0": NaN, "1": "history"}',
    ],
)  # fmt: skip
def test_answers_that_are_none(text):
    with pytest.raises(AnswerError):
        kinds_in(text, SENTENCES, PROMPTS.words["kinds"])


@pytest.mark.parametrize(
    "text",
    [
        '{"0": "history", "1": "finding"}',
        'Sure!\n```json\n{"1": "finding", "0": "history"}\n```',
        ' {"0":"history","1":"finding"} Done.',
    ],
)
def test_answers_that_are_valid(text):
    assert kinds_in(text, SENTENCES, PROMPTS.words["kinds"]) == {0: "history", 1: "finding"}


def test_parts_are_those_of_the_study_in_its_order():
    text = '{"0": ["R HIP", "L KNEE", "R HIP"], "1": []}'
    assert parts_in(text, SENTENCES, study()) == {0: ("L KNEE", "R HIP"), 1: ()}
    for wrong in (
        '{"0": "L KNEE", "1": []}',
        '{"0": ["l knee"], "1": []}',
        '{"0": [null], "1": []}',
        '{"0": [["a"]], "1": []}',
    ):
        with pytest.raises(AnswerError):
            parts_in(wrong, SENTENCES, study())


def test_an_answers_errors_hold_nothing_of_the_report():
    with pytest.raises(AnswerError) as caught:
        json_of('{"Anna Smith has a fracture": ')
    assert "Smith" not in str(caught.value)


def test_braces_in_a_report_are_its_own():
    odd = Study("s", "p", "The {films} of the left knee are {0} normal. Right hip: 100% {x}.", PARTS)
    question = asking.ask_kinds(PROMPTS, odd, split(odd.report))
    assert "The {films} of the left knee are {0} normal." in question.messages[1]["content"]


def test_free_text_is_held_against_the_report():
    report = split(
        "History of falls. There is no fracture of the left knee. Mild effusion is seen. The right hip is normal."
    )
    found = grounded(
        "there is no FRACTURE of the left knee.\n- Mild effusion is seen! The spleen is enlarged.", report
    )
    assert (found.numbers, found.ungrounded) == ((1, 2), 1)
    assert grounded("fracture of the left knee", report) == ((1,), 0)  # a fragment brings its "no" along
    assert grounded("a fracture of the left knee", report) == ((), 1)
    assert grounded("normal", report) == ((), 1)  # too short to say from where
    assert grounded("There is no fracture of the left knee Mild effusion is seen", report) == ((1, 2), 0)
    assert grounded("", report) == ((), 0)
    # the beginning of many sentences says nothing of which; half of one does, and so do words that only one has
    many = split("There is no fracture. There is no effusion. There is no fracture of the left hip or of the pelvis.")
    assert grounded("There is no", many) == ((), 1)
    assert grounded("there is no fracture", many) == ((0,), 0)
    assert grounded("or of the pelvis", many) == ((2,), 0)


def test_free_text_mode_keeps_the_reports_own_text_and_counts_the_rest():
    prompts = asking.load_prompts("free-text-v1")
    one = study()

    class Scripted:
        model, licence, settings = "m", "mit", {}

        def __init__(self, *answers):
            self.answers = list(answers)

        async def complete(self, question, attempt):
            self.asked = question
            return Reply(json.dumps(self.answers.pop(0)), 5, 5)

    chat = Scripted(
        {"report": "Effusion of 0 mm in the left knee. There is a fracture of the right hip. Follow up in a week."},
        {"L KNEE": "Effusion of 0 mm in the left knee.", "R HIP": "There is a displaced fracture of the right hip."},
    )
    found = asyncio.run(LanguageEngine("server", chat, prompts).assign(one, split(one.report)))
    assert found.of_part == {"L KNEE": (1,), "R HIP": ()}
    assert found.dropped == {0: "irrelevant", 2: "unassigned"}
    assert found.spent.ungrounded == 2 and found.spent.answers == 2
    assert found.ungrounded == {"L KNEE": 0, "R HIP": 1}
    words = chat.asked.messages[1]["content"]
    assert "From the imaging report, extract the text of these body parts: L KNEE, R HIP." in words  # Fig. 2
    assert "History" not in words


def test_prompts_are_known_by_their_version():
    with pytest.raises(ValueError, match=r"choose free-text-v1, v1"):
        asking.load_prompts("v0")
