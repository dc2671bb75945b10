"""Airflow that MWAA cannot use is brought back, or a person is told what is left to do: never the same call again."""

import pytest
from botocore.exceptions import ClientError

from scripts.core import errors
from scripts.core.errors import AirflowError
from scripts.environments import repair

ANEW = "invoke down, then invoke up"


class Mwaa:
    """The states of an environment, one a look; those after `updated` come once it was updated."""

    def __init__(self, *states, updated=(), refuses=False):
        self.states, self.updated, self.refuses, self.updates = [*states], [*updated], refuses, 0

    def get_environment(self, Name):  # noqa: N803 - AWS's word
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        pending = "PENDING" if self.updates and len(self.states) > 1 else "FAILED"
        last = {"Status": pending, "Error": {"ErrorMessage": "the disk was full"}}
        return {"Environment": {"Name": Name, "Status": state, "LastUpdate": last}}

    def update_environment(self, Name):  # noqa: N803
        if self.refuses:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "not while UNAVAILABLE"}}, "Update")
        self.updates += 1
        self.states = self.updated


def bring_back(client):
    told = []
    return repair.bring_back(client, "winbatch-local", told.append, anew=ANEW, sleep=lambda _: None), told


def test_what_is_on_its_way_is_waited_for_and_not_updated():
    client = Mwaa("UPDATING", "ROLLING_BACK", "UPDATE_FAILED")
    assert bring_back(client) == ("UPDATE_FAILED", ["UPDATING", "ROLLING_BACK"])
    assert client.updates == 0


def test_what_is_unavailable_is_updated_once_and_comes_back():
    # Right after the call GetEnvironment may say what it said before.
    client = Mwaa("UNAVAILABLE", updated=["UNAVAILABLE", "UPDATING", "AVAILABLE"])
    assert bring_back(client)[0] == "AVAILABLE"
    assert client.updates == 1


@pytest.mark.parametrize(
    ("client", "words"),
    [
        (
            Mwaa("UNAVAILABLE", updated=["UPDATING", "UNAVAILABLE"]),
            "is UNAVAILABLE and does not come back",
        ),
        (Mwaa("UNAVAILABLE", refuses=True), "not while UNAVAILABLE"),
        (Mwaa("CREATE_FAILED"), "is CREATE_FAILED and does not come back"),
        (Mwaa("UPDATING"), "is UPDATING for two hours"),
    ],
)
def test_what_does_not_come_back_says_why_and_what_is_left(client, words):
    with pytest.raises(AirflowError) as raised:
        bring_back(client)
    said = str(raised.value)
    assert words in said
    assert "the disk was full" in said
    assert f"made anew ({ANEW})" in said
    assert client.updates <= 1


@pytest.mark.parametrize("environment", ["local", "dev"])
def test_up_does_not_answer_with_itself(environment):
    gone = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no such thing"}}, "Get")
    again = "" if environment == "local" else " --env dev"
    assert errors.line(gone, environment=environment).endswith(f"no such thing; invoke up{again}")
    said = errors.line(gone, environment=environment, verb="up")
    assert "invoke up" not in said
    assert said.endswith(f"no such thing; call again, and if it says the same: invoke plan{again} shows what is amiss")
    dead = AirflowError("the emulator died: invoke down, then invoke up")
    assert errors.line(dead, environment=environment, verb="up") == str(dead)
