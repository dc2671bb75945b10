import botocore.session
import pytest
from botocore.stub import Stubber

from scripts.core.settings import Settings
from scripts.environments.doctor.check import Context


class Stubbed:
    """An AWS that answers what a test says, call by call; questions and answers are held to botocore's models."""

    endpoint_url = None
    region = "eu-central-1"

    def __init__(self):
        self._session = botocore.session.Session()
        self._session.set_credentials("none", "none")
        self._clients = {}
        self._stubs = {}

    def client(self, service):
        if service not in self._clients:
            client = self._session.create_client(service, region_name=self.region)
            self._clients[service] = client
            self._stubs[service] = Stubber(client)
            self._stubs[service].activate()
        return self._clients[service]

    def answers(self, service, method, answer, asked=None):
        self.client(service)
        self._stubs[service].add_response(method, answer, asked)

    def refuses(self, service, method, code, message="", status=400):
        self.client(service)
        self._stubs[service].add_client_error(method, code, message, http_status_code=status)


@pytest.fixture
def aws():
    return Stubbed()


@pytest.fixture
def dev(aws):
    """Environment dev as it stands in the checkout, up, with an AWS of the test's own."""
    context = Context(Settings.load("dev", environ={}), aws)
    context.outputs = {
        "mwaa_environment": "winbatch-dev",
        "ecr_repositories": {"ber": "1.dkr.ecr/winbatch-dev/ber"},
        "deployment": {
            "dags_bucket": "dags",
            "dags_prefix": "dags",
            "cluster": {"subnets": ["subnet-a", "subnet-b"], "auto_scaling_group": "winbatch-dev"},
            "workloads": {
                "ber": {"image": f"1.dkr.ecr/winbatch-dev/ber@sha256:{'a' * 64}"},
                "theirs": {"image": "x@y"},
            },
        },
    }
    return context
