"""What must hold over time is looked at: each of these breaks it."""

import dataclasses
import logging

import pytest

from simulation.faults import Faults
from simulation.scenario import Scenario
from simulation.world import World
from winbatch import attempts, engine, orchestration


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_a_cost_that_is_told_twice_is_found(monkeypatch):
    cost = engine.counting._cost

    def twice(limits, ledger, seen, live):
        told = cost(limits, ledger, seen, live)
        more = told.instance_seconds - ledger.instance_seconds
        return dataclasses.replace(told, instance_seconds=told.instance_seconds + more)

    monkeypatch.setattr(engine.counting, "_cost", twice)
    assert any("instance-seconds are told of" in problem for problem in World(0, Faults()).live().problems)


def test_instances_that_stay_for_nobody_are_found(monkeypatch):
    monkeypatch.setattr(orchestration, "_scale_in", lambda *_: None)
    monkeypatch.setattr(engine.instances, "let_go", lambda limits, ledger, *_args, **_more: (ledger, ()))
    assert any("runs need fewer" in problem for problem in World(3, Faults()).live().problems)


def test_work_that_stands_still_is_found(monkeypatch):
    monkeypatch.setattr(attempts.History, "next", lambda *_args, **_kwargs: None)
    monkeypatch.setattr("simulation.world.PATIENCE", 3000.0)
    monkeypatch.setattr("simulation.checkers.over_time.STILL", 900.0)
    at_once = dataclasses.replace(Scenario.draw(1), faults=Faults(), fault_seconds=0.0)
    assert any("nothing is written any more" in problem for problem in World(at_once).live().problems)
