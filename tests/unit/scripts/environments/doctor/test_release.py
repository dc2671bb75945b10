"""What is released is what is checked out, or something else, and says so."""

import io
import json
from types import SimpleNamespace

import pytest

from scripts.core.errors import ImageError
from scripts.dag_releases.store import Release, collect, serving
from scripts.environments.doctor import release
from scripts.environments.doctor.check import State, look
from scripts.windows.registry import Document

HERE = "b" * 40
CONFIG = {"config": {"Labels": {release._REVISION: HERE, release._CREATED: "2026-11-22T19:00:00Z"}}}


class Registry:
    """Keeps one image's manifest and configuration."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def document(self, digest):
        return Document(json.dumps({"config": {"digest": "sha256:c"}}).encode(), "x")

    def small(self, digest):
        assert digest == "sha256:c"
        return json.dumps(CONFIG).encode()


def test_images_are_of_the_revision_that_is_checked_out(dev, aws, monkeypatch):
    monkeypatch.setattr(release.windows, "ecr_repository", lambda *_: Registry())
    for revision, state in ((HERE, State.FINE), (f"{HERE}-dirty", State.DOUBTFUL), ("", State.DOUBTFUL)):
        monkeypatch.setattr(release.sources, "look", lambda *_, found=revision: SimpleNamespace(revision=found))
        assert look(release.Images(), dev).state is state


def test_without_an_image_of_ours_there_is_nothing_to_compare(dev):
    dev.outputs["ecr_repositories"] = {}
    for check in (release.Images(), release.LocalImages()):
        assert look(check, dev).state is State.DOUBTFUL


def test_a_registry_that_does_not_answer_is_wrong(dev, monkeypatch):
    def unreachable(*_):
        raise ImageError("1.dkr.ecr cannot be reached")

    monkeypatch.setattr(release.windows, "ecr_repository", unreachable)
    assert look(release.Images(), dev).state is State.WRONG


def test_only_images_of_ours_are_looked_at(dev):
    assert release._images(dev) == {"ber": f"1.dkr.ecr/winbatch-dev/ber@sha256:{'a' * 64}"}


@pytest.mark.parametrize(("digest", "state"), [("a" * 64, State.FINE), ("b" * 64, State.DOUBTFUL)])
def test_local_images_are_known_by_their_digests(dev, monkeypatch, digest, state):
    monkeypatch.setattr(release.linux, "build", lambda *_: SimpleNamespace(digest=f"sha256:{digest}"))
    assert look(release.LocalImages(), dev).state is state


def test_local_images_whose_interpreters_are_missing_cannot_be_compared(dev, monkeypatch):
    def missing(*_):
        raise ImageError("there is no interpreter for workload ber yet: invoke setup")

    monkeypatch.setattr(release.linux, "build", missing)
    assert look(release.LocalImages(), dev).state is State.WRONG


def test_the_release_that_is_served_is_the_checkouts(dev, aws):
    deployment = json.dumps({"workloads": {}}).encode()
    ours = Release({**collect(dev.settings.dags), "deployment.json": deployment}).id
    for served, state in ((ours, State.FINE), ("other", State.DOUBTFUL)):
        text = {"Body": io.BytesIO(serving(served, "").encode()), "ETag": "e"}
        aws.answers("s3", "get_object", text, {"Bucket": "dags", "Key": "dags/winbatch_dags.py"})
        aws.answers(
            "s3", "get_object", {"Body": io.BytesIO(deployment)}, {"Bucket": "dags", "Key": "dags/deployment.json"}
        )
        assert look(release.Dags(), dev).state is state
    for _ in range(2):
        aws.refuses("s3", "get_object", "NoSuchKey")
    found = look(release.Dags(), dev)
    assert (found.state, "Terraform writes it: invoke up" in found.said) == (State.WRONG, True)


@pytest.mark.parametrize(
    ("commit", "changed", "state"),
    [("a" * 40, [], State.FINE), ("a" * 40, ["x"], State.DOUBTFUL), (None, [], State.DOUBTFUL)],
)
def test_a_checkout_is_a_commit(dev, monkeypatch, commit, changed, state):
    monkeypatch.setattr(release.checkout, "commit", lambda _: commit)
    monkeypatch.setattr(release.checkout, "changed", lambda _: changed)
    assert look(release.Checkout(), dev).state is state
