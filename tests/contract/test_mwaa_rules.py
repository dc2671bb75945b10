"""The parts of the emulated MWAA that are functions: settings, validation, paths, configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.mwaa import classes, configuration, rules, sync, validation, versions
from emulator.mwaa.exceptions import ValidationException

REQUIRED = {
    "Name": "wb",
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/mwaa",
    "SourceBucketArn": "arn:aws:s3:::bucket",
    "DagS3Path": "dags",
    "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
}


def settings(**given):
    return rules.defaults({**REQUIRED, **given})


@pytest.mark.aws(
    does="A parameter that breaks its pattern, length, range or enumeration is a ValidationException that names it.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="documented",
)
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"Name": "no spaces"}, "'name' failed to satisfy constraint: Member must satisfy regular expression"),
        ({"Name": "a" * 81}, "'name' failed to satisfy constraint: Member must have length less than or equal to 80"),
        ({"ExecutionRoleArn": "mwaa"}, "'executionRoleArn'"),
        ({"WebserverAccessMode": "OPEN"}, "Member must satisfy enum value set: [PRIVATE_ONLY"),
        (
            {"Schedulers": 6},
            "'schedulers' failed to satisfy constraint: Member must have value less than or equal to 5",
        ),
        ({"NetworkConfiguration": {"SubnetIds": ["subnet-1"]}}, "'networkConfiguration.subnetIds'"),
        ({"Tags": {"a": "!"}}, "'tags.a'"),
        ({"DagS3Path": None}, "Value null at 'dagS3Path'"),
        ({"LoggingConfiguration": {"TaskLogs": {"Enabled": True}}}, "'loggingConfiguration.taskLogs.logLevel'"),
    ],
)
def test_a_parameter_of_the_wrong_form_is_named(given, named):
    with pytest.raises(ValidationException) as caught:
        validation.check("CreateEnvironment", {**REQUIRED, **given})
    assert named in caught.value.message


def test_a_secret_value_is_not_repeated():
    with pytest.raises(ValidationException) as caught:
        validation.check("CreateEnvironment", {**REQUIRED, "AirflowConfigurationOptions": {"core.x": "geheim\n"}})
    assert "airflowConfigurationOptions" in caught.value.message
    assert "geheim" not in caught.value.message


@pytest.mark.aws(
    does="Tags may have letters of any script.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_TagResource.html",
    sure="documented",
)
def test_tags_may_be_of_any_script():
    validation.check("CreateEnvironment", {**REQUIRED, "Tags": {"Größe": "大 1.0_x:/=+-@"}})


@pytest.mark.aws(
    does="An environment has two schedulers, two web servers and one to ten workers unless it says otherwise.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="documented",
)
def test_defaults_are_mwaas():
    made = settings()
    assert made["AirflowVersion"] == versions.DEFAULT
    assert (made["EnvironmentClass"], made["MinWorkers"], made["MaxWorkers"]) == ("mw1.small", 1, 10)
    assert (made["Schedulers"], made["MinWebservers"], made["MaxWebservers"]) == (2, 2, 2)
    assert {name for name, value in made["LoggingConfiguration"].items() if value["Enabled"]} == {"TaskLogs"}
    rules.check(made)


@pytest.mark.aws(
    does="mw1.micro has one scheduler, one web server and one worker.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="documented",
)
def test_a_micro_environment_has_one_of_each():
    made = settings(EnvironmentClass="mw1.micro")
    rules.check(made)
    with pytest.raises(ValidationException, match=r"The web server count for environment class mw1\.micro must be 1"):
        rules.check({**made, "MaxWebservers": 2})


@pytest.mark.aws(
    does=(
        "MWAA refuses versions and classes that it does not have, and numbers of schedulers and workers out "
        "of their ranges."
    ),
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="documented",
)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"AirflowVersion": "2.10.3"}, "Unsupported Airflow version 2.10.3. Supported versions: 3.0.6, 3.2.1, 3.3.1"),
        ({"EnvironmentClass": "mw1.tiny"}, "Unsupported environment class mw1.tiny"),
        ({"Schedulers": 1}, "scheduler count .* must be between 2 and 5"),
        ({"MinWorkers": 4, "MaxWorkers": 3}, "MinWorkers must not be greater than MaxWorkers"),
        ({"MaxWorkers": 26}, "MaxWorkers must not be greater than 25"),
        ({"AirflowConfigurationOptions": {"parallelism": "3"}}, "use section.option"),
        ({"PluginsS3ObjectVersion": "1"}, "PluginsS3ObjectVersion needs PluginsS3Path"),
    ],
)
def test_settings_that_mwaa_refuses(given, message):
    with pytest.raises(ValidationException, match=message):
        rules.check(settings(**given))


@pytest.mark.aws(
    does="A web server that is public and has a private endpoint, too, is for Airflow 3.2 and later.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="documented",
)
def test_a_public_and_private_web_server_is_for_newer_versions():
    both = {"WebserverAccessMode": "PUBLIC_AND_PRIVATE"}
    with pytest.raises(ValidationException, match=r"PUBLIC_AND_PRIVATE is not supported for Airflow 3\.0\.6"):
        rules.check(settings(AirflowVersion="3.0.6", **both))
    rules.check(settings(AirflowVersion="3.2.1", **both))


def test_the_way_back_to_an_older_airflow_is_not_emulated():
    with pytest.raises(NotImplementedError, match=r"from Airflow 3\.3\.1 back to 3\.2\.1"):
        rules.check(settings(AirflowVersion="3.2.1"), before=settings(AirflowVersion="3.3.1"))
    rules.check(settings(AirflowVersion="3.3.1"), before=settings(AirflowVersion="3.2.1"))


@pytest.mark.aws(
    does="UpdateEnvironment changes what it names, and takes a file's newest version unless one is named.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_UpdateEnvironment.html",
    sure="assumed",
)
def test_an_update_changes_what_it_names_only():
    before = settings(
        AirflowConfigurationOptions={"core.parallelism": "4"},
        RequirementsS3Path="requirements.txt",
        RequirementsS3ObjectVersion="1",
    )
    after = rules.changed(
        before,
        {
            "MaxWorkers": 3,
            "RequirementsS3Path": "requirements.txt",
            "NetworkConfiguration": {"SecurityGroupIds": ["sg-2"]},
            "LoggingConfiguration": {"WorkerLogs": {"Enabled": True, "LogLevel": "ERROR"}},
        },
    )
    assert after["MaxWorkers"] == 3
    assert after["AirflowConfigurationOptions"] == {"core.parallelism": "4"}
    assert "RequirementsS3ObjectVersion" not in after, "the newest one counts again"
    assert after["NetworkConfiguration"] == {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-2"]}
    assert after["LoggingConfiguration"]["WorkerLogs"]["Enabled"]
    assert after["LoggingConfiguration"]["TaskLogs"]["Enabled"]


def test_an_empty_path_takes_the_object_away():
    before = settings(PluginsS3Path="plugins.zip", PluginsS3ObjectVersion="1")
    after = rules.changed(before, {"PluginsS3Path": ""})
    assert not {"PluginsS3Path", "PluginsS3ObjectVersion"} & set(after)


@pytest.mark.aws(
    does=(
        "A worker of micro, small, medium, large runs 3, 5, 10, 20 Airflow tasks at once, unless "
        "celery.worker_autoscale says otherwise."
    ),
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/environment-class.html",
    sure="documented",
)
@pytest.mark.parametrize(
    ("name", "workers", "options", "slots"),
    [
        ("mw1.small", 10, {}, 50),
        ("mw1.micro", 1, {}, 3),
        ("mw1.small", 2, {"celery.worker_autoscale": "20,5"}, 40),
        ("mw1.large", 10, {"core.parallelism": "32"}, 32),
        ("mw1.small", 1, {"core.parallelism": "32"}, 5),
    ],
)
def test_task_slots(name, workers, options, slots):
    assert classes.task_slots(name, workers, options) == slots


@pytest.mark.aws(
    does="A configuration option `section.name` is Airflow's variable AIRFLOW__SECTION__NAME.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-env-variables.html",
    sure="documented",
)
def test_options_are_airflows_variables():
    assert configuration.option_variable("core.parallelism") == "AIRFLOW__CORE__PARALLELISM"
    assert configuration.option_variable("secrets.backend_kwargs") == "AIRFLOW__SECRETS__BACKEND_KWARGS"


@pytest.mark.aws(
    does="A startup script cannot set the variables that MWAA reserves, and configuration options win over it.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/using-startup-script.html",
    sure="documented",
)
def test_options_win_over_the_startup_script_and_essentials_over_both():
    combined = configuration.combine(
        base={"PATH": "/bin"},
        aws={"AWS_REGION": "eu-central-1"},
        startup={"AWS_REGION": "us-east-1", "PYTHONPATH": "/x", "MINE": "1", "AIRFLOW__CORE__A": "script"},
        options={"core.a": "option", "core.executor": "SequentialExecutor"},
        essentials={"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"},
    )
    assert combined["AWS_REGION"] == "eu-central-1", "MWAA protects it"
    assert "PYTHONPATH" not in combined, "MWAA protects it"
    assert combined["MINE"] == "1"
    assert combined["AIRFLOW__CORE__A"] == "option"
    assert combined["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_the_lock_keeps_what_mwaa_fixes(version):
    locked = {}
    for line in versions.lock(version).read_text().splitlines():
        if "==" in line and not line.startswith(("#", " ")):
            name, _, rest = line.partition("==")
            locked[name.lower().replace("_", "-")] = rest.split()[0]
    fixed = [line.partition("==") for line in versions.fixed(version).read_text().split()]
    assert locked["apache-airflow"] == version
    contradictions = {
        name: (locked[name.lower()], pinned) for name, _, pinned in fixed if locked.get(name.lower(), pinned) != pinned
    }
    assert not contradictions


@pytest.mark.aws(
    does="The DAG path is a prefix in the bucket, with or without slashes around it.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="assumed",
)
@pytest.mark.parametrize(
    ("path", "prefix"), [("dags", "dags/"), ("/dags/", "dags/"), ("a/b", "a/b/"), ("", ""), ("/", "")]
)
def test_the_prefix_that_a_dag_path_means(path, prefix):
    assert sync.prefix_of(path) == prefix


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b", "./x", "a\\b", "a\0b", ".."])
def test_a_key_never_leaves_the_folder(path):
    assert not sync.is_file(path)
    assert sync.plan({path: "1"}, {}).refused == (path,)


def test_folder_marks_are_no_files():
    assert sync.plan({"a/": "1", "": "2"}, {}) == sync.Plan((), (), ())


def test_a_file_that_became_a_folder_is_removed():
    todo = sync.plan({"a": "1", "a/b": "2"}, {"a": "1"})
    assert todo == sync.Plan(remove=("a",), fetch=(("a/b", "2"),), refused=("a",))


class Memory:
    """A bucket that holds what a dictionary holds."""

    name = "memory"

    def __init__(self):
        self.objects = {}

    def listing(self, prefix):
        return {
            key.removeprefix(prefix): f"{hash(content)}"
            for key, content in self.objects.items()
            if key.startswith(prefix)
        }

    def read(self, key):
        return self.objects[key]


segments = st.sampled_from(["a", "b", "c.py", "__pycache__", ".."])
keys = st.lists(segments, min_size=1, max_size=3).map("/".join)
contents = st.dictionaries(keys.map("dags/{}".format), st.binary(max_size=4), max_size=6)


@pytest.mark.aws(
    does="The DAG folder holds what lies below the bucket's prefix; what was deleted there goes.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-dag-folder.html",
    sure="documented",
)
@given(st.lists(contents, min_size=1, max_size=4))
def test_after_each_sync_the_folder_holds_what_the_bucket_holds(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("dags") / "dags"
    dags, bucket = sync.DagFolder(folder), Memory()
    for objects in history:
        bucket.objects = {**objects, "other/x": b"not ours"}
        dags.sync(bucket, "dags")
        names = {key.removeprefix("dags/") for key in objects}
        expected = {
            name: objects[f"dags/{name}"]
            for name in names
            if ".." not in name and not any(other.startswith(f"{name}/") and ".." not in other for other in names)
        }
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert found == expected


def test_what_did_not_change_is_not_written_again(tmp_path):
    dags, bucket = sync.DagFolder(tmp_path / "dags"), Memory()
    bucket.objects = {"dags/a.py": b"1", "dags/b.py": b"1"}
    dags.sync(bucket, "dags")
    before = (tmp_path / "dags" / "a.py").stat()
    bucket.objects["dags/b.py"] = b"2"
    todo = dags.sync(bucket, "dags")
    assert [path for path, _ in todo.fetch] == ["b.py"]
    assert (tmp_path / "dags" / "a.py").stat().st_ino == before.st_ino


def test_bytecode_goes_with_its_folder(tmp_path):
    dags, bucket = sync.DagFolder(tmp_path / "dags"), Memory()
    bucket.objects = {"dags/lib/deep/a.py": b"1", "dags/b.py": b"1"}
    dags.sync(bucket, "dags")
    cache = tmp_path / "dags" / "lib" / "deep" / "__pycache__"
    cache.mkdir()
    (cache / "a.cpython-312.pyc").touch()
    del bucket.objects["dags/lib/deep/a.py"]
    dags.sync(bucket, "dags")
    assert [path.name for path in (tmp_path / "dags").iterdir()] == ["b.py"]
