import hashlib
import http.server
import io
import stat
import threading
import zipfile
from dataclasses import replace

import pytest

from scripts.core.errors import ToolError
from scripts.tools import terraform_command
from scripts.tools.terraform_command import VERSION

FAKE = f"""#!/bin/sh
echo '{{"terraform_version": "{VERSION}"}}'
"""


def terraform(folder, version):
    folder.mkdir(parents=True)
    command = folder / "terraform"
    command.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}"}}\'\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return command


@pytest.fixture
def releases(monkeypatch):
    """A release site; `files` is what it serves, and the pinned checksum is that of its archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("terraform", FAKE)
        archive.writestr("LICENSE.txt", "")
    content = buffer.getvalue()
    checksum = hashlib.sha256(content).hexdigest()
    name = f"terraform_{VERSION}_{terraform_command.platform_name()}.zip"
    base = f"/terraform/{VERSION}/"
    files = {base + name: content, base + f"terraform_{VERSION}_SHA256SUMS": f"{checksum}  {name}\n".encode()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = files.get(self.path)
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_):
            pass

    monkeypatch.setitem(terraform_command.CHECKSUMS, terraform_command.platform_name(), checksum)
    monkeypatch.setenv(
        "PATH", "/usr/bin:/bin" if not (terraform_command.shutil.which("terraform", path="/usr/bin:/bin")) else ""
    )
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", base + name, files
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_missing_terraform_is_fetched_once_and_checked(settings, releases):
    url, _, files = releases
    settings = replace(settings, tf_releases=url)
    shown = []
    command = terraform_command.install_terraform(settings, shown.append)
    assert terraform_command.terraform_version(command) == VERSION
    assert command.is_relative_to(settings.cache)
    assert shown
    files.clear()
    assert terraform_command.install_terraform(settings, shown.append) == command


@pytest.mark.parametrize("which", ["archive", "checksums"])
def test_a_file_that_is_not_the_vendors_is_not_installed(settings, releases, which):
    url, archive, files = releases
    settings = replace(settings, tf_releases=url)
    if which == "archive":
        files[archive] += b"\0"
    else:
        sums = next(name for name in files if name.endswith("SHA256SUMS"))
        files[sums] = files[sums].replace(files[sums][:8], b"00000000")
    with pytest.raises(ToolError, match=r"it is not the vendor's file; nothing was installed"):
        terraform_command.install_terraform(settings, lambda _: None)
    assert not list(settings.cache.rglob("terraform*.zip"))
    with pytest.raises(ToolError, match=r"is missing"):
        terraform_command.find_terraform(settings)


def test_an_unreachable_site_ends_in_a_line_that_says_what_to_install(settings, releases):
    url, _, files = releases
    files.clear()
    with pytest.raises(ToolError, match=r"cannot be reached \(.*404.*\): install Terraform 1\.11 or newer"):
        terraform_command.install_terraform(replace(settings, tf_releases=url), lambda _: None)
    with pytest.raises(ToolError, match=r"cannot be reached .*install Terraform"):
        terraform_command.install_terraform(replace(settings, tf_releases="http://127.0.0.1:9"), lambda _: None)


def test_an_old_terraform_is_passed_over_for_a_newer_one(settings, tmp_path):
    terraform(tmp_path / "old", "1.5.7")
    with pytest.raises(ToolError, match=r"missing \(.*/old/terraform is 1\.5\.7, too old\)"):
        terraform_command.find_terraform(settings, search_path=str(tmp_path / "old"))
    new = terraform(tmp_path / "new", "1.12.0")
    assert terraform_command.find_terraform(settings, search_path=f"{tmp_path / 'old'}:{tmp_path / 'new'}") == new


def test_what_does_not_run_is_no_terraform(settings, tmp_path):
    command = terraform(tmp_path / "bin", "1.11.4")
    command.write_text("#!/bin/sh\nexit 1\n")
    assert terraform_command.terraform_version(command) is None
    with pytest.raises(ToolError, match=r"1\.11 or newer is missing: call make setup"):
        terraform_command.find_terraform(settings, search_path=str(tmp_path / "bin"))


def test_options_of_the_users_break_no_terraform(tmp_path, monkeypatch):
    command = tmp_path / "terraform"
    command.write_text(f'#!/bin/sh\n[ -z "$TF_CLI_ARGS$TF_LOG" ] && echo \'{{"terraform_version": "{VERSION}"}}\'\n')
    command.chmod(0o755)
    for name in ("TF_CLI_ARGS", "TF_LOG"):
        monkeypatch.setenv(name, "-bogus")
    assert terraform_command.terraform_version(command) == VERSION


def test_the_terraform_that_the_set_up_found_is_there_for_cron_too(settings, tmp_path, monkeypatch):
    for name in ("one", "two"):
        command = terraform(tmp_path / name, VERSION)
        monkeypatch.setenv("PATH", str(tmp_path / name))
        assert terraform_command.install_terraform(settings, lambda _: None) == command
        monkeypatch.setenv("PATH", "/nonexistent")
        kept = terraform_command.install_terraform(settings, lambda _: None)
        assert kept.resolve() == command
    command.unlink()
    with pytest.raises(ToolError, match=r"is missing"):
        terraform_command.find_terraform(settings)


@pytest.mark.parametrize(
    ("version", "enough"),
    [("1.11.0", True), ("1.12.0-beta1", True), ("2.0.0", True), ("1.10.9", False), ("0.15.5", False), ("x", False)],
)
def test_versions(version, enough):
    assert terraform_command.new_enough(version) is enough
