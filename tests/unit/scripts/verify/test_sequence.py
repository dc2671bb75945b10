"""Steps in their order, cut off and continued, with steps that only say that they were done."""

import pytest

from scripts.core.errors import JobFailed, OperatorError
from scripts.verify.sequence import Note, Outcome, Step, run

NAMES = ("make", "ask", "ask again", "take away", "look")


class World:
    """Steps that note that they were called, and do what a test has told them to."""

    def __init__(self, folder):
        self.file = folder / "note.json"
        self.called = []
        self.told = {}

    def step(self, name):
        def do(_):
            self.called.append(name)
            told = self.told.pop(name, None)
            if isinstance(told, BaseException):
                raise told
            return told or Outcome(ok=True, detail=f"{name} done")

        return Step(name, name, do, checks="ask" in name, ends=name in NAMES[3:])

    def run(self, *, give_up=False):
        """Run as a process of its own would: with nothing but what was noted; what was called."""
        self.called = []
        steps = [self.step(name) for name in NAMES]
        run(steps, self.note, safe=lambda: self.called.append("safe"), give_up=give_up)
        return self.called

    @property
    def note(self):
        return Note.load(self.file, "2026-01-01T00:00:00+00:00")

    @property
    def noted(self):
        return {name: outcome.ok for name, outcome in self.note.outcomes.items()}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_all_is_done_in_order_and_made_safe_before_the_end(world):
    assert world.run() == ["make", "ask", "ask again", "safe", "take away", "look"]
    assert world.noted == dict.fromkeys(NAMES, True)
    assert world.run() == ["safe"], "nothing is done twice"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, fault) for name in NAMES for fault in (KeyboardInterrupt(), RuntimeError("a defect"))),
        # A check that fails has found something, and cuts nothing off.
        *((name, OperatorError("no")) for name in NAMES if "ask" not in name),
    ],
)
def test_who_is_cut_off_anywhere_is_safe_and_goes_on_there(world, name, fault):
    world.told[name] = fault
    with pytest.raises(type(fault)):
        world.run()
    first = world.called
    assert "safe" in first
    assert first.index("safe") == (len(first) - 1 if name in NAMES[:3] else 3)
    assert list(world.noted) == list(NAMES[: NAMES.index(name)])
    assert [one for one in world.run() if one != "safe"] == list(NAMES[NAMES.index(name) :])
    assert world.noted == dict.fromkeys(NAMES, True)


@pytest.mark.parametrize("fault", [JobFailed("the job failed"), Outcome(ok=False, detail="the job failed")])
def test_a_check_to_which_aws_says_otherwise_is_noted_once_and_the_others_go_on(world, fault, capsys):
    world.told["ask"] = fault
    assert world.run() == ["make", "ask", "ask again", "safe", "take away", "look"]
    assert world.noted == dict.fromkeys(NAMES, True) | {"ask": False}
    assert world.note.outcomes["ask"].detail == "the job failed"
    shown = capsys.readouterr().err
    assert "✗ ask" in shown
    assert "the job failed" in shown
    assert world.run() == ["safe"]


def test_what_is_left_ends_it_badly_and_is_looked_for_again(world):
    world.told["look"] = Outcome(ok=False, detail="1 thing: i-1")
    with pytest.raises(OperatorError, match="look: 1 thing: i-1"):
        world.run()
    assert world.noted["look"] is False
    assert world.run() == ["safe", "look"]
    assert world.noted["look"]


def test_giving_up_takes_away_what_there_is_and_asks_nothing(world):
    world.told["ask"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.run(give_up=True) == ["safe", "take away", "look"]
    assert world.noted == {"make": True, "take away": True, "look": True}


def test_when_making_safe_fails_nothing_more_is_done(world):
    steps = [world.step(name) for name in NAMES]

    def unsafe():
        raise OperatorError("an instance does not go")

    with pytest.raises(OperatorError, match="does not go"):
        run(steps, world.note, safe=unsafe)
    assert world.called == ["make", "ask", "ask again"]


def test_times_facts_and_tests_are_kept(world):
    note = world.note
    note.facts["of"] = "dev"
    note.outcomes["ask"] = Outcome(ok=True, detail="x", seconds=1.5, tests={"a::b": "passed"})
    note.save()
    again = Note.load(world.file, "later")
    assert (again.began, again.facts, again.outcomes) == (note.began, note.facts, note.outcomes)
