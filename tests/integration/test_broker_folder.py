"""The embedded broker's socket lies where no other user can reach it, or there is no broker."""

import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emserve.broker import EmbeddedBroker
from emserve.errors import BrokerUnavailable
from emserve.folder import FolderUnusable
from emserve.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Of a data folder so deep that the socket lies in the shared temporary folder."""
    made = Settings(data_dir=tmp_path / ("d" * 120))
    folder = made.broker_socket.parent
    yield made
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_socket_folder_that_others_may_enter_is_refused(settings: Settings) -> None:
    settings.broker_socket.parent.mkdir(mode=0o755)
    with pytest.raises(FolderUnusable, match="0700"):
        EmbeddedBroker(settings).start()


def test_a_socket_folder_that_leads_elsewhere_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.broker_socket.parent.symlink_to(tmp_path)
    with pytest.raises(FolderUnusable, match="not a folder"):
        EmbeddedBroker(settings).start()


def test_the_socket_and_its_folder_are_for_their_owner_alone(settings: Settings) -> None:
    with EmbeddedBroker(settings):
        for path in (settings.broker_socket, settings.broker_socket.parent, settings.data_dir / "broker"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def _spoil(file: Path) -> None:
    file.write_bytes(b"garbage\r\n*9" + file.read_bytes())


def _halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [("*.incr.aof", _spoil), ("*.incr.aof", Path.unlink), ("*.base.rdb", _halve), ("*.manifest", _spoil)],
)
def test_of_a_broker_whose_file_is_damaged_the_remedy_is_told_and_helps(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    settings = Settings(data_dir=tmp_path)
    with EmbeddedBroker(settings):
        pass
    damage(next((tmp_path / "broker" / "appendonlydir").glob(name)))
    with pytest.raises(BrokerUnavailable, match=f"move the folder {tmp_path}/broker away"):
        EmbeddedBroker(settings).start()
    (tmp_path / "broker").rename(tmp_path / "away")
    with EmbeddedBroker(settings):
        pass
