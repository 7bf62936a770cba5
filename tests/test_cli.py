"""The command line: help that says enough, mistakes answered in one line."""

import subprocess
import sys

import pytest

from pedclip.cli import main, parser

VERBS = ("export", "check", "eval", "explain", "embed", "bench", "report", "onnx")


def test_help_names_every_verb_and_shows_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    for verb in VERBS:
        assert f"\n    {verb} " in shown
        assert f"pedclip {verb} " in shown
    assert "not a medical device" in shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert f"example: pedclip {verb} " in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_every_verb_can_be_typed(verb):
    top = parser()
    (verbs,) = [action.choices for action in top._actions if action.dest == "verb"]
    command = verbs[verb].epilog.removeprefix("example: pedclip ").split()
    assert top.parse_args(command).verb == verb


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "no-such-folder", "out"],
        ["check", "no-such-folder"],
        ["eval", "--model", "no-such-folder", "--task", "body-part", "--data", "no-such-data"],
        ["eval", "--model", "no-such-folder", "--task", "no-such-task", "--data", "no-such-data"],
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert shown.err.startswith(f"pedclip {arguments[0]}: ")
    assert "no-such" in shown.err
    assert not list(tmp_path.iterdir())


def test_no_verb_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "VERB" in capsys.readouterr().err


def test_help_does_not_wait_for_torch():
    probe = (
        "import sys\nfrom pedclip.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True)
