"""Folders of the user are where each system has them, and secrets stay secret."""

import os
import stat
from pathlib import Path
from threading import Thread

import pytest

from realtime.errors import SettingsError
from realtime.places import config_folder, made, secret, state_folder

HOME = {"HOME": "/home/ann"}


@pytest.mark.parametrize(
    ("environ", "system", "wanted"),
    [
        (HOME, "linux", "/home/ann/.config/liveswap"),
        ({**HOME, "XDG_CONFIG_HOME": "/etc/ann"}, "linux", "/etc/ann/liveswap"),
        ({**HOME, "XDG_CONFIG_HOME": "relative"}, "linux", "/home/ann/.config/liveswap"),
        (HOME, "darwin", "/home/ann/Library/Application Support/liveswap"),
        ({**HOME, "APPDATA": "/home/ann/AppData"}, "win32", "/home/ann/AppData/liveswap"),
    ],
)
def test_the_configuration_is_where_the_system_has_it(environ: dict[str, str], system: str, wanted: str) -> None:
    assert config_folder(environ, system) == Path(wanted)


def test_logs_have_a_folder_of_their_own() -> None:
    assert state_folder(HOME, "linux") == Path("/home/ann/.local/state/liveswap")
    assert state_folder({"XDG_STATE_HOME": "/var/ann"}, "linux") == Path("/var/ann/liveswap")


def test_a_secret_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    assert secret(path, lambda: b"first") == b"first"
    assert secret(path, lambda: b"second") == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["key.pem"]


def test_two_who_ask_at_once_get_the_same_secret(tmp_path: Path) -> None:
    got: list[bytes] = []
    threads = [
        Thread(target=lambda: got.append(secret(tmp_path / "key", lambda: os.urandom(8))), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 8
    assert len(set(got)) == 1


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"known")
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="has mode 0644, wanted 0600"):
        secret(path, lambda: b"")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="cannot be made"):
        made(tmp_path / "file" / "folder")
    with pytest.raises(SettingsError, match="cannot be"):
        secret(tmp_path / "file" / "key", lambda: b"")
