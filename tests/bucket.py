"""An S3 on this machine, and a way to it that can be blocked."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import obstore
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

_NAME = "lab"
_PREFIX = "segmentations"


class Gateway:
    """Passes connections on to a server. While it is blocked it takes them, and not a byte goes through: what
    a storage that hangs looks like."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.port = 0
        started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(started),), daemon=True)
        self._thread.start()
        started.wait()

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        self._loop.call_soon_threadsafe(self._is_open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._is_open.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _run(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_open, self._over = asyncio.Event(), asyncio.Event()
        self._is_open.set()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as listening:
            self.port = int(listening.sockets[0].getsockname()[1])
            started.set()
            await self._over.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        await asyncio.gather(self._pass(reader, server_writer), self._pass(server_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # a client that gave up
            while chunk := await reader.read(1 << 16):
                await self._is_open.wait()
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


@dataclass(frozen=True)
class Bucket:
    """An empty bucket."""

    gateway: Gateway

    @property
    def settings(self) -> dict[str, str]:
        """What makes a service store its jobs there."""
        return {
            "EMSERVE_STORAGE": f"s3://{_NAME}/{_PREFIX}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.gateway.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "lab",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    def keys(self, prefix: str = "") -> list[str]:
        """What lies below a prefix of the service's."""
        store = S3Store(
            _NAME,
            prefix=_PREFIX,
            endpoint=self.settings["AWS_ENDPOINT_URL"],
            access_key_id=self.settings["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.settings["AWS_SECRET_ACCESS_KEY"],
            region=self.settings["AWS_REGION"],
            client_options={"allow_http": True},
        )
        return [each["path"] for batch in obstore.list(store, prefix) for each in batch]


@contextlib.contextmanager
def running_bucket() -> Iterator[Bucket]:
    """A bucket of a server of its own."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        httpx.put(f"http://127.0.0.1:{port}/{_NAME}", trust_env=False).raise_for_status()
        gateway = Gateway(port)
        try:
            yield Bucket(gateway)
        finally:
            gateway.close()
    finally:
        server.stop()
