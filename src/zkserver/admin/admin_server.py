"""`AdminServer`: the HTTP port for operators, beside a standalone server or a peer.

Where no address is configured it listens on this machine alone, 127.0.0.1 and ::1, because it can
show and reset much without asking who comes; Apache's takes every address. A port that is taken
is a warning where it is the default one, which nobody asked for by name, and on a peer, which its
ensemble needs; a configured one ends the start of a standalone server with exit code 4. So do
TLS settings that cannot be carried out.

The port is bound at the start; what answers there is made when the first connection comes.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zkserver.admin.guarded_http import GuardedHttp
from zkserver.admin.lazy_http import bind
from zkserver.admin.view import View
from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.tls_settings import QUORUM_PREFIX, TlsSettings, TlsSettingsError
from zkserver.runtime.logs import get_log
from zkserver.runtime.process import Process

if TYPE_CHECKING:
    from aiohttp import web

    from zkserver.admin.app import AddRoutes

log = get_log("admin")

LOOPBACK = ("127.0.0.1", "::1")
_PORT_PROPERTY = "zookeeper.admin.serverPort"
_MODULES = ("zkserver.admin.app",)


class AdminServer:
    """An attachment. `add_routes` add pages to the application when it is made.

    `modules` are what they import, so that it is not the loop which waits for it.
    """

    def __init__(
        self,
        config: Config,
        add_routes: Sequence[AddRoutes] = (),
        *,
        modules: Sequence[str] = (),
    ) -> None:
        self._config = config
        self._add_routes = list(add_routes)
        self._modules = (*_MODULES, *modules)
        self._http: GuardedHttp | None = None

    @property
    def port(self) -> int | None:
        """The port it listens on; None if it does not."""
        return None if self._http is None else self._http.port

    def start(self, process: Process) -> None:
        """Listen. Raises FatalError (exit code 4) if it must and cannot."""
        try:
            self._start(process)
        except (OSError, TlsSettingsError) as error:
            self._fail(error)

    def _fail(self, error: OSError | TlsSettingsError) -> None:
        config = self._config
        port = config.admin_server_port
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        is_asked_for = (
            isinstance(error, TlsSettingsError)
            or _PORT_PROPERTY in config.properties
            or (bool(config.admin_server_address) and not is_taken)
        )
        if is_asked_for and not config.is_distributed:
            raise FatalError(
                ExitCode.ERROR_STARTING_ADMIN_SERVER,
                f"cannot start the admin server on port {port}: {reason}. Set admin.serverPort to "
                "another, or admin.enableServer=false",
            ) from error
        log.warn(
            "no admin server: set admin.serverPort to another port, or admin.enableServer=false",
            port=port,
            reason=reason,
        )

    def _start(self, process: Process) -> None:
        config = self._config
        tls = self._tls_context()
        sockets = self._bind()
        view = View(process)
        idle_ms = config.admin_idle_timeout_ms

        def make_app() -> web.Application:
            from zkserver.admin.app import make_app

            return make_app(
                view,
                process.machine.precise_ms,
                guard=http.around,
                add_routes=self._add_routes,
            )

        http = self._http = GuardedHttp(
            process.loop,
            sockets,
            make_app,
            tls=tls,
            only_tls=config.admin_force_https,
            idle_s=idle_ms / 1000 if idle_ms > 0 else None,
            modules=self._modules,
            name="the admin server",
        )
        http.start()
        scheme = "https" if config.admin_force_https else "http"
        host = config.admin_server_address or LOOPBACK[0]
        shown = f"[{host}]" if ":" in host else host
        path = config.admin_command_url.strip("/")
        log.info("admin server", url=f"{scheme}://{shown}:{http.port}/{path}")

    def _tls_context(self) -> ssl.SSLContext | None:
        config = self._config
        if not config.admin_port_unification and not config.admin_force_https:
            return None
        from zkserver.runtime import tls

        needs = ssl.CERT_REQUIRED if config.admin_need_client_auth else ssl.CERT_NONE
        return tls.server_context(TlsSettings.of(config.properties, QUORUM_PREFIX), needs)

    def _bind(self) -> list[socket.socket]:
        config = self._config
        port = config.admin_server_port
        if not 0 <= port <= 65535:
            raise OSError(0, f"{port} is no port")
        if config.admin_server_address:
            return bind(config.admin_server_address, port)
        sockets = bind(LOOPBACK[0], port)
        try:
            sockets += bind(LOOPBACK[1], sockets[0].getsockname()[1])
        except OSError as error:
            # A machine without IPv6, or somebody else's there.
            log.debug("the admin server listens on IPv4 alone", reason=str(error))
        return sockets

    async def stop(self) -> None:
        """Listen no more."""
        if self._http is not None:
            await self._http.stop()
