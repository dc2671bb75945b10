"""Every verb with every option and whatever a person may give it: a line and an exit code, never a defect.

The verbs are the real ones, on a copy of the checkout, on a machine where nothing is up or set up: each ends where it
would first change or start something, and what comes before that reads its options.
"""

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.bench import main as bench
from scripts.chaos import environment as chaos
from scripts.cli import collection
from scripts.core.errors import BenchError
from scripts.core.settings import ROOT, Settings
from simulation import running

from .test_command_line import called

VERBS = collection().tasks
# Without an option and without a word there is nothing to say to them.
SILENT = {"clean", "demo", "format"}
ODD = [
    *("", " ", "\t", "\n", "a\nb", "\x1b[31m", "-", "--", "-1", "0", "1", "007", "1e3", "1e999", "9" * 5000, "½", "٣"),
    *(
        "NaN",
        "x" * 300,
        "x" * 100_000,
        "ü",
        "\udcfc",
        "'",
        '"',
        "%",
        "%s",
        "{}",
        "{0}",
        "[red]",
        "[/]",
        "$HOME",
        "`id`",
    ),
    *("#", "&", "a=b", "=", "num_items=", "num_items=1", "num_items=-1", "num_items=9" + "9" * 400, "num_items=1e400"),
    *(
        "ebn0_db=,",
        "ebn0_db=NaN",
        "ebn0_db=\udcfc",
        "local",
        "dev",
        "prod",
        "LOCAL",
        "../local",
        "local/",
        "ber",
        "chain",
    ),
    *("..", ".", "/", "/nonexistent/x", "/dev/null", "/dev/null/x", "/proc/x", "~", "a" * 300 + "/b"),
    *("ber-20261122-190000", "manual__2026-11-22T19:00:00+00:00", "ber-" + "x" * 300, "ber/..", "s3://"),
    *("acme/winbatch", "acme/", "/winbatch"),
]
# What makes sense, so that what stands beside it is looked at: nothing, or a word.
RIGHT = {
    "env": ["local", "local", "dev", "prod"],
    "dag": ["ber", "chain"],
    "run_id": ["ber-20261122-190000"],
    "follow": ["ber-20261122-190000"],
    "diff": ["ber-20261122-190000,ber-20261123-190000"],
    "limit": ["5"],
    "resume": ["ber-20261122-190000"],
    "param": ["num_items=16", "ebn0_db=0,4"],
    "item": ["0"],
    "why": ["0"],
    "at": ["19:00:42"],
    "file": ["/dev/null"],
    "about": ["plan-dev"],
    "number": ["1"],
    "workload": ["ber"],
    "name": ["mine"],
    "plan": ["there.plan"],
    "out": ["new.plan"],
    "github": ["acme/winbatch"],
    "bucket": ["acme-state"],
    "only": ["lint", "engine.sim"],
}
# What the process environment may say of the same.
VARIABLES = ("ENV", "STATE", "CACHE", "PORT", "MIN_FREE_MIB", "TF_MIRROR", "TF_RELEASES")
# No process can be given a NUL; "--help" is a question, which another process answers.
WORDS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_characters="\0"), max_size=12),
    st.lists(st.sampled_from(ODD), min_size=2, max_size=3).map(",".join),
).filter(lambda word: word != "--help")


@st.composite
def calls(draw, verb):
    """A call in which one or two words are odd."""
    words = [verb]
    arguments = VERBS[verb].get_arguments()
    worded = [argument.name for argument in arguments if argument.kind is not bool and argument.name != "env"]
    odd = draw(st.sets(st.sampled_from(worded or ["env"]), min_size=1, max_size=2))
    # Every verb has an environment and switches, which need not be tried with each as often.
    odd |= draw(st.sampled_from([set(), set(), set(), set(), {"env"}, {argument.name for argument in arguments}]))
    for argument in arguments:
        flag = f"--{argument.names[0].replace('_', '-')}"
        if argument.kind is bool:
            ways = [[], [flag]] if argument.name not in odd else [[f"--no-{flag[2:]}"], [f"{flag}=x"], [flag, flag]]
            words += draw(st.sampled_from(ways))
            continue
        right = RIGHT.get(argument.name, [])
        word = draw(WORDS if argument.name in odd else st.sampled_from(right) if right else st.none())
        if argument.positional:
            words.append(word or "x")
        elif word is not None and (argument.name in odd or draw(st.booleans())):
            words += draw(st.sampled_from([[f"{flag}={word}"], [flag, word]]))
    return words + draw(st.sampled_from([*[[]] * 8, ["--nothing"], ["nothing"]]))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what the verbs read and write."""
    copy = tmp_path_factory.mktemp("words") / "checkout"
    left_out = shutil.ignore_patterns("__pycache__", ".terraform", "*.tftest.hcl")
    for name in ("dags", "images", "terraform"):
        shutil.copytree(ROOT / name, copy / name, ignore=left_out)
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def call(checkout, tmp_path, monkeypatch, capsys):
    """Calls a verb; its exit code and standard error."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GITHUB_", "WINBATCH_"))]:
        monkeypatch.delenv(name)
    ours = {
        "PATH": "/nonexistent",
        "WINBATCH_STATE": str(tmp_path / "state"),
        "WINBATCH_CACHE": str(tmp_path / "cache"),
        "WINBATCH_TF_RELEASES": "http://127.0.0.1:9",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "200",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    load = Settings.load
    monkeypatch.setattr(Settings, "load", lambda environment=None: load(environment, root=checkout))

    def measured_elsewhere(*_):
        raise BenchError("it takes minutes")

    monkeypatch.setattr(bench, "PARTS", dict.fromkeys(bench.PARTS, measured_elsewhere))
    monkeypatch.setattr(chaos, "own", measured_elsewhere)
    monkeypatch.setattr(running, "run", lambda **_: iter(()))  # of simulated worlds; these take minutes as well
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.plan").write_bytes(b"PK\x05\x06 and no more")

    def run(words):
        code, _, said = called(capsys, words)
        return code, said

    return run


@pytest.mark.parametrize("verb", sorted(set(VERBS) - SILENT))
def test_whatever_is_said_to_a_verb_ends_in_a_line(call, verb):
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(calls(verb))
    def judge(words):
        code, err = call(words)
        in_a_line(code, err)

    judge()


def test_whatever_the_process_environment_says_ends_in_a_line(call, monkeypatch):
    words = WORDS.filter(lambda word: word.isprintable() or "\n" in word)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(VARIABLES), words, st.sampled_from(["setup", "status", "plan", "down"]))
    def judge(name, word, verb):
        with monkeypatch.context() as patched:
            patched.setenv(f"WINBATCH_{name}", word)
            in_a_line(*call([verb]))

    judge()


@pytest.mark.parametrize("environment", ["local", "dev"])
@pytest.mark.parametrize("place", ["/proc/x", "/proc/x/y", "/sys/x", "/dev/null/x", "/dev/null", "/dev/full"])
@pytest.mark.parametrize("name", ["CACHE", "STATE"])
def test_a_folder_that_nobody_can_make_is_named_in_a_line(call, monkeypatch, name, place, environment):
    monkeypatch.setenv(f"WINBATCH_{name}", place)
    for verb in ("setup", "up", "plan", "down", "status", "run"):
        code, err = call([verb, f"--env={environment}"])
        in_a_line(code, err)
        assert code == 0 or verb != "setup" or name != "CACHE" or place in err


def in_a_line(code, err):
    assert "Traceback" not in err
    assert "a defect" not in err
    if code != 0:
        last = err.rstrip("\n").rsplit("\n", 1)[-1]
        assert last.strip(), err
        assert len(last) < 2_000
        assert last.isprintable()


def test_every_verb_is_tried_or_takes_nothing():
    assert set(VERBS) > SILENT
    assert [verb for verb in sorted(SILENT) if VERBS[verb].get_arguments()] == []
