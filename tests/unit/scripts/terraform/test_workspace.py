import os

import pytest

from scripts.core.errors import EmulatorError
from scripts.terraform.workspace import Outputs, terraform_environ

HOME = {
    "PATH": "/bin",
    "AWS_PROFILE": "production",
    "AWS_SESSION_TOKEN": "secret",
    "AWS_ENDPOINT_URL_S3": "https://elsewhere",
    "https_proxy": "http://proxy",
    "NO_PROXY": "*",
    "TF_CLI_ARGS_apply": "-refresh=false",
    "TF_WORKSPACE": "other",
    "TF_VAR_environment": "prod",
    "TF_PLUGIN_CACHE_DIR": "/nonexistent",
    "TF_LOG": "trace",
    "TF_REATTACH_PROVIDERS": "{}",
    "TF_INPUT": "1",
}


def environ(tmp_path, endpoint_url):
    return terraform_environ(
        HOME, config=tmp_path / "rc", data=tmp_path / "data", region="eu-central-1", endpoint_url=endpoint_url
    )


def test_nothing_of_a_real_account_reaches_the_local_terraform(tmp_path):
    result = environ(tmp_path, "http://127.0.0.1:5566")
    assert "production" not in result.values()
    assert "secret" not in result.values()
    assert {name for name in result if name.startswith("AWS_")} == {
        "AWS_ACCESS_KEY_ID",
        "AWS_CONFIG_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SHARED_CREDENTIALS_FILE",
    }
    assert {name for name in result if name.upper().endswith("_PROXY")} == {"HTTP_PROXY"}
    assert result["HTTP_PROXY"] == result["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5566"
    assert result["AWS_CONFIG_FILE"] == os.devnull
    assert {name for name in result if name.startswith("TF_")} == {
        "TF_CLI_CONFIG_FILE",
        "TF_DATA_DIR",
        "TF_IN_AUTOMATION",
        "TF_REATTACH_PROVIDERS",
    }


def test_a_real_environment_keeps_the_callers_credentials_and_proxies(tmp_path):
    result = environ(tmp_path, None)
    assert result["AWS_PROFILE"] == "production"
    assert result["https_proxy"] == "http://proxy"
    assert result["AWS_ENDPOINT_URL_S3"] == "https://elsewhere"
    assert result["NO_PROXY"] == "*"
    assert result["TF_VAR_environment"] == "prod"
    assert "AWS_ENDPOINT_URL" not in result


@pytest.mark.parametrize("endpoint_url", [None, "http://127.0.0.1:5566"])
def test_terraforms_own_variables_are_always_ours(tmp_path, endpoint_url):
    result = environ(tmp_path, endpoint_url)
    assert not {"TF_CLI_ARGS_apply", "TF_WORKSPACE", "TF_INPUT", "TF_PLUGIN_CACHE_DIR"} & set(result)
    assert result["TF_CLI_CONFIG_FILE"] == str(tmp_path / "rc")
    assert result["TF_DATA_DIR"] == str(tmp_path / "data")


def test_half_an_environment_is_told_to_go_on():
    with pytest.raises(EmulatorError, match=r"environment dev is not \(wholly\) there: invoke up --env dev"):
        Outputs.read({"cluster": "x"}, "dev")
    with pytest.raises(EmulatorError, match=r"invoke up$"):
        Outputs.read({}, "local")
