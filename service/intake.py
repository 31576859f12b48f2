"""Whether there is room for an upload: on the disks, in the queue, among those on their way."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator

from obstore.store import ObjectStore

from emserve.errors import QueueFull, StorageFull, TooManyUploads, UploadTooLarge
from emserve.settings import Settings
from emserve.storage import local_folder, storage_errors
from emserve.tickets import TicketQueue
from emserve.volumes import Room


class Intake:
    """Lets uploads in as long as there is room. Of one event loop."""

    def __init__(self, settings: Settings, store: ObjectStore, tickets: TicketQueue) -> None:
        self._settings = settings
        self._tickets = tickets
        self._store = local_folder(store)
        self._uploads = 0

    @contextlib.asynccontextmanager
    async def place(self, announced_bytes: int) -> AsyncIterator[None]:
        """A place for one upload. Raises UploadTooLarge, StorageFull, StorageUnavailable, QueueFull or
        TooManyUploads, before anything of the body is read."""
        settings = self._settings
        if announced_bytes > settings.max_upload_bytes:
            raise UploadTooLarge(announced_bytes, settings.max_upload_bytes)
        await asyncio.to_thread(self.check_room, announced_bytes)
        waiting = await asyncio.to_thread(self._tickets.count)
        if waiting >= settings.max_queued_jobs:
            raise QueueFull(waiting, settings.max_queued_jobs)
        if self._uploads >= settings.max_uploads:
            raise TooManyUploads(settings.max_uploads)
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def free_bytes(self) -> int:
        """Free room on the data folder's disk. Raises StorageUnavailable; blocks, as `check_room` does."""
        with storage_errors():
            return shutil.disk_usage(self._settings.data_dir).free

    def check_room(self, wanted_bytes: int = 0) -> None:
        """Raises StorageFull when less than the least free room would be left, and StorageUnavailable.
        Blocks, for as long as the disk is silent."""
        with storage_errors():
            if self._store is not None:
                self._check(shutil.disk_usage(self._store).free - wanted_bytes)
            self._check(self.free_bytes())

    def check_volume(self, room: Room) -> None:
        """Raises StorageFull when a volume would leave less than the least free room, and StorageUnavailable.
        Where the storage is none of this machine's disks, nor is the workers' scratch folder: they look
        themselves."""
        if self._store is None:
            return
        least = self._settings.min_free_bytes
        with storage_errors():
            is_one_disk = self._store.stat().st_dev == self._settings.data_dir.stat().st_dev
            stored = room.stored + room.scratch if is_one_disk else room.stored
            for folder, needed in ((self._store, stored), (self._settings.data_dir, room.scratch)):
                free = shutil.disk_usage(folder).free
                if free - needed < least:
                    raise StorageFull(
                        f"this volume: while it is worked on it takes about {needed} bytes, {free} are free, "
                        f"and {least} must stay free (EMSERVE_MIN_FREE_BYTES)",
                        given=needed,
                        limit=max(0, free - least),
                    )

    def _check(self, left_bytes: int) -> None:
        least = self._settings.min_free_bytes
        if left_bytes < least:
            raise StorageFull(
                f"new images: {max(0, left_bytes)} bytes would stay free, and {least} must "
                "(EMSERVE_MIN_FREE_BYTES)",
                given=max(0, left_bytes),
                limit=least,
            )
