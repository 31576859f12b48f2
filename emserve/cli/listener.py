"""The socket that the API listens on, bound before the API starts and kept while it starts again."""

import errno
import ipaddress
import socket

from emserve.errors import EmserveError

_BACKLOG = 1024


class CannotListen(EmserveError):
    title = "The address cannot be listened on"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`; a name counts as what it is looked up as."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return bool(host) and all(ipaddress.ip_address(a).is_loopback for a in _addresses(host))


def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]).partition("%")[0] for *_, address in found]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; CannotListen names what is in the way."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except socket.gaierror as error:
        raise CannotListen(f"--host {host} is not an address of this machine: {error.strerror}.") from error
    except OSError as error:
        raise CannotListen(_reason(error, host, port)) from error


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program. Give another with --port "
            "(or EMSERVE_PORT), such as --port 0 for a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs rights that this user lacks. Give one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is not an address of this machine."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Choose others with --host and --port."


def url_of(listener: socket.socket) -> str:
    """The address that reaches `listener` from this machine."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{host if address.version == 4 else f'[{host}]'}:{port}"
