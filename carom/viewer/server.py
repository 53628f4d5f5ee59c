"""Start of viser at the requested address, or an error with the reason."""

from __future__ import annotations

import io
import socket
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from .errors import ViewerError

if TYPE_CHECKING:
    import viser

__all__ = ["start_server", "stop_server"]


def start_server(host: str, port: int) -> viser.ViserServer:
    """A viser server at this address and no other.

    Raises:
        ViewerError: viser is not installed, there is no such address, or the port is in use or not allowed.
    """
    try:
        import viser
    except ImportError:
        raise ViewerError("the viewer needs viser, which is not installed: pip install 'carom[viewer]'") from None
    _check_free(host, port)
    with redirect_stdout(io.StringIO()):  # its banner
        server = viser.ViserServer(host=host, port=port, label="carom", verbose=False)
    if server.get_port() != port:  # taken between the check and the start: viser moves on to another port
        stop_server(server)
        raise ViewerError(_in_use(host, port))
    return server


def stop_server(server: viser.ViserServer) -> None:
    """End it, without the line that viser prints."""
    with redirect_stdout(io.StringIO()):
        server.stop()


def _check_free(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise ViewerError(f"port {port} is not a port: --port takes 1 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ViewerError(
            f"there is no address {host!r}: --host takes 127.0.0.1, 0.0.0.0 or a name of this machine"
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(address)
            probe.listen(1)
        except PermissionError:
            raise ViewerError(
                f"port {port} needs rights that you do not have: choose one above 1023 with --port"
            ) from None
        except OSError as error:
            if "in use" in str(error):
                raise ViewerError(_in_use(host, port)) from None
            raise ViewerError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from None


def _in_use(host: str, port: int) -> str:
    return f"port {port} of {host} is in use, perhaps by another viewer: end that one, or choose another with --port"
