"""The application of the admin server: the list of commands, the commands, what others add.

It is made when the first connection comes (`lazy_http`), and this is the first module of the room
that imports aiohttp. Answers are Apache's: JSON with `command` and `error` in it, status 200 also
for an unknown command and for one that fails, a page of links for the list. Where Apache's server
answers 500 because it has fallen over its own feet (POST to a command of GET), here 405 says it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from zkserver.admin import access
from zkserver.admin.access import Caller
from zkserver.admin.commands import COMMANDS, NAMES, NOT_SERVING, Command, complete, failed
from zkserver.admin.json_text import text_of
from zkserver.admin.transfers import Transfers
from zkserver.admin.view import View
from zkserver.runtime.client_port import plain_address
from zkserver.runtime.line_limit import LineLimit
from zkserver.runtime.logs import get_log
from zkserver.server.reports import Report
from zkserver.server.server import Server

if TYPE_CHECKING:
    import ssl

log = get_log("admin")

# Apache's 3.9.5 says 200 with the same text; a probe can tell this one apart.
NOT_SERVING_STATUS = 503
# What browsers say of requests that a page of somebody else's has made; programs say nothing.
OTHER_SITES = ("cross-site", "same-site")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AddRoutes = Callable[[web.Application, View], None]
"""What adds pages of its own to the application."""


def make_app(
    view: View,
    now_ms: Callable[[], float],
    *,
    guard: Callable[[web.Request, Handler], Awaitable[web.StreamResponse]] | None = None,
    add_routes: Sequence[AddRoutes] = (),
) -> web.Application:
    """The application. `guard` is called around every request."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "TRACE":
            return web.Response(status=403)
        if guard is None:
            return await handler(request)
        return await guard(request, handler)

    app = web.Application(middlewares=[around])
    app.on_response_prepare.append(_sign)
    _Commands(view, now_ms).add_to(app)
    for add in add_routes:
        add(app, view)
    return app


async def _sign(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "zkserver"


async def _expect_nothing(_request: web.Request) -> web.StreamResponse | None:
    """Say "100 Continue" only when the body is wanted: `Transfers` does."""
    return None


class _Commands:
    def __init__(self, view: View, now_ms: Callable[[], float]) -> None:
        self._view = view
        self._config = view.process.config
        self._transfers = Transfers(view, now_ms)
        self._refusals = LineLimit(view.process.now_ms)
        self._url = "/" + self._config.admin_command_url.strip("/")

    def add_to(self, app: web.Application) -> None:
        url = self._url.rstrip("/")
        for path in dict.fromkeys((self._url, f"{url}/")):
            app.router.add_route("*", path, self._list)
        app.router.add_route(
            "*", f"{url}/{{name:.+}}", self._command, expect_handler=_expect_nothing
        )

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if (refused := _wrong_method(request)) is not None:
            return refused
        url = self._url.rstrip("/")
        links = (f'<a href="{url}/{name}">{name}</a>\n<br/>\n' for name in NAMES)
        return web.Response(text="".join(links), content_type="text/html")

    async def _command(self, request: web.Request) -> web.StreamResponse:
        if (refused := _wrong_method(request)) is not None:
            return refused
        name = request.match_info["name"]
        command = COMMANDS.get(name)

        def answer(status: int, report: Report, headers: dict[str, str]) -> web.StreamResponse:
            is_run = status == 200 and command is not None
            full = complete(name, report) if is_run else failed(name, str(report["error"]))
            body = text_of(full).encode("utf-8", "replace")
            response = web.Response(status=status, body=body, headers=headers)
            response.content_type = "application/json"
            if request.can_read_body and status != 200:
                # The rest of a body that nobody wants is not worth reading.
                response.force_close()
            return response

        if command is None:
            return answer(200, {"error": f"Unknown command: {name}"}, {})
        if command.changes and request.headers.get("Sec-Fetch-Site", "none") in OTHER_SITES:
            return answer(403, {"error": "A page of another site may not ask for this"}, {})
        server = self._view.server
        if command.needs_server and server is None:
            return answer(NOT_SERVING_STATUS, {"error": NOT_SERVING}, {})
        if command.needs_auth and server is not None:
            refusal = access.refusal(self._caller(request), server)
            if refusal is not None:
                self._note(request, command, server, refusal[1])
                return answer(refusal[0], {"error": refusal[1]}, {})
        method = "GET" if request.method == "HEAD" else request.method
        if method != command.method:
            error = f"{command.name} is asked for with {command.method}"
            return answer(405, {"error": error}, {"Allow": command.method})
        if command.run is None:
            transfer = self._transfers
            run = transfer.restore if command.name == "restore" else transfer.snapshot
            return await run(request, answer)
        return answer(200, command.run(self._view, request.query), {})

    def _note(self, request: web.Request, command: Command, server: Server, reason: str) -> None:
        server.stats.auth_failures += 1
        left_out = self._refusals.admit(command.name)
        if left_out is not None:
            log.warn(
                "admin command refused",
                command=command.name,
                client=str(request.remote),
                reason=reason,
                **({"lines_left_out": left_out} if left_out else {}),
            )

    def _caller(self, request: web.Request) -> Caller:
        address = access.client_address(
            plain_address(request.remote or ""),
            request.headers.get("X-Forwarded-For"),
            trusts_it=self._config.use_x_forwarded_for,
        )
        return Caller(request.headers.get("Authorization", ""), address, subject_of(request))


def subject_of(request: web.Request) -> str:
    """The subject of the client's certificate, "" without one; the handshake has judged it."""
    transport = request.transport
    session: ssl.SSLObject | None = (
        None if transport is None else transport.get_extra_info("ssl_object")
    )
    certificate = None if session is None else session.getpeercert(binary_form=True)
    if certificate is None:
        return ""
    from cryptography import x509

    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()


def _wrong_method(request: web.Request) -> web.StreamResponse | None:
    if request.method in ("GET", "HEAD", "POST"):
        return None
    allowed = {"Allow": "GET, HEAD, POST, OPTIONS"}
    return web.Response(status=200 if request.method == "OPTIONS" else 405, headers=allowed)
