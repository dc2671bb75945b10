from dataclasses import replace

import pytest

from scripts.core.errors import ToolError
from scripts.core.settings import ROOT
from scripts.tools import providers, terraform_command

VERSION = "5.100.0"


def mirror(folder, version=VERSION, *, packed=False):
    place = folder / providers.PROVIDERS / "hashicorp" / "aws"
    if packed:
        place.mkdir(parents=True)
        (place / f"terraform-provider-aws_{version}_{terraform_command.platform_name()}.zip").touch()
    else:
        (place / version / terraform_command.platform_name()).mkdir(parents=True)
    return folder


def test_the_lock_file_says_which_version():
    assert providers.locked_provider(ROOT / "terraform" / ".terraform.lock.hcl") == VERSION


@pytest.mark.parametrize("packed", [True, False])
def test_a_mirror_holds_a_version_packed_or_unpacked(tmp_path, packed):
    mirror(tmp_path, packed=packed)
    assert providers.mirror_holds(tmp_path, VERSION)
    assert not providers.mirror_holds(tmp_path, "5.99.0")


def test_the_named_mirror_wins_and_must_hold_the_version(tmp_path):
    named = mirror(tmp_path / "named")
    mirror(tmp_path / "home" / ".terraform.d" / "plugins")
    environ = {"HOME": str(tmp_path / "home")}
    assert providers.find_mirror(VERSION, named=named, environ=environ, folders=()) == named
    with pytest.raises(ToolError, match=r"WINBATCH_TF_MIRROR=.*no registry\.terraform\.io/hashicorp/aws/5\.100\.0"):
        providers.find_mirror(VERSION, named=tmp_path / "empty", environ=environ, folders=())


def test_terraforms_implied_folders_come_before_the_systems(tmp_path):
    deep = mirror(tmp_path / "opt" / "vendor" / "plugins")
    environ = {"HOME": str(tmp_path / "home"), "XDG_DATA_DIRS": str(tmp_path / "data")}
    folders = [str(tmp_path / "opt")]
    assert providers.find_mirror(VERSION, named=None, environ=environ, folders=folders) == deep
    implied = mirror(tmp_path / "data" / "terraform" / "plugins")
    assert providers.find_mirror(VERSION, named=None, environ=environ, folders=folders) == implied
    own = mirror(tmp_path / "home" / ".terraform.d" / "plugins")
    assert providers.find_mirror(VERSION, named=None, environ=environ, folders=folders) == own


def test_the_search_is_bounded_and_follows_no_links(tmp_path):
    mirror(tmp_path / "opt" / "a" / "b" / "c" / "d" / "e")
    (tmp_path / "opt" / "loop").symlink_to(tmp_path / "opt")
    assert providers.find_mirror(VERSION, named=None, environ={}, folders=[str(tmp_path / "opt")]) is None


def test_a_folder_with_another_version_is_passed_over(tmp_path):
    mirror(tmp_path / "one", "4.0.0")
    good = mirror(tmp_path / "two" / "x")
    assert providers.find_mirror(VERSION, named=None, environ={}, folders=[str(tmp_path)]) == good


def test_the_configuration_names_the_mirror_and_keeps_the_registry_for_the_rest(settings, tmp_path):
    chosen = replace(settings, tf_mirror=mirror(tmp_path / "mirror"))
    assert providers.write_config(chosen) == f"from {tmp_path / 'mirror'}"
    text = providers.config_file(chosen).read_text()
    assert f'path    = "{tmp_path / "mirror"}"' in text
    assert text.count("registry.terraform.io/hashicorp/*") == 2
    assert "filesystem_mirror" not in providers.cli_config(None, tmp_path)


def test_a_path_of_any_characters_is_quoted_as_terraform_reads_it(tmp_path):
    odd = tmp_path / """5% ü ' # & \\ "x\""""
    quoted = rf"""{tmp_path}/5% ü ' # & \\ \"x\""""
    assert f'    path    = "{quoted}"\n' in providers.cli_config(odd, tmp_path)
    assert f'plugin_cache_dir = "{quoted}"\n' in providers.cli_config(None, odd)


def test_before_the_set_up_a_line_says_so(settings):
    with pytest.raises(ToolError, match=r"the set-up has not run yet: make setup"):
        providers.config_file(settings)
