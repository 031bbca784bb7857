"""The console: one page at / of the admin server, and the JSON that it asks for.

The page (console.html, .css, and the scripts that it names) is served as it lies in this room. It
takes nothing from outside, and its Content-Security-Policy lets it run nothing but its own files.
All else is below /console/api: what the process tells of itself (`console_ensemble`,
`console_reports`), and znodes by client sessions (`console_tree`, `console_sessions`). Who may
ask is `console_access`.

Answers are objects; one that says why not has `error`, and `code` where ZooKeeper has one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources

from aiohttp import web

from zkserver.admin import console_access as access
from zkserver.admin import console_reports, console_tree
from zkserver.admin.console_access import Refused
from zkserver.admin.console_ensemble import EnsembleWatch
from zkserver.admin.console_sessions import Opener, Pool, Pooled, SessionError
from zkserver.admin.view import View
from zkserver.base.errors import ErrorCode
from zkserver.runtime.client_port import plain_address
from zkserver.runtime.logs import get_log
from zkserver.server.reports import Report

log = get_log("console")

API = "/console/api"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES = {
    "/": ("console.html", "text/html"),
    "/console.css": ("console.css", "text/css"),
}
_SCRIPTS = ("console_base", "console_tree", "console_znode", "console_elections", "console")
_FILES |= {f"/{name}.js": (f"{name}.js", "text/javascript") for name in _SCRIPTS}
_STATUS = {
    ErrorCode.NONODE: 404,
    ErrorCode.NOAUTH: 403,
    ErrorCode.SESSIONCLOSEDREQUIRESASLAUTH: 403,
    ErrorCode.AUTHFAILED: 401,
    ErrorCode.BADVERSION: 409,
    ErrorCode.NODEEXISTS: 409,
    ErrorCode.NOTEMPTY: 409,
    ErrorCode.QUOTAEXCEEDED: 409,
    ErrorCode.NOCHILDRENFOREPHEMERALS: 409,
    ErrorCode.BADARGUMENTS: 400,
    ErrorCode.INVALIDACL: 400,
    ErrorCode.MARSHALLINGERROR: 400,
    ErrorCode.NOTREADONLY: 503,
    ErrorCode.CONNECTIONLOSS: 503,
    ErrorCode.SESSIONEXPIRED: 503,
    ErrorCode.THROTTLEDOP: 503,
    ErrorCode.OPERATIONTIMEOUT: 504,
}

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
WithSession = Callable[[web.Request, Pooled], Awaitable[web.StreamResponse]]


def add_console(opener: Opener, app: web.Application, view: View) -> None:
    """Add the console to the application of the admin server."""
    Console(view, opener).add_to(app)


def answer(report: Report, status: int = 200) -> web.Response:
    """A report as the page reads it."""
    text = json.dumps(report, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        status=status,
        body=text.encode("utf-8", "replace"),
        content_type="application/json",
        headers=_HEADERS,
    )


def _refusal(status: int, reason: str, code: int | None = None) -> web.Response:
    report: Report = {"error": reason}
    if code is not None:
        known = ErrorCode._value2member_map_
        report["code"] = ErrorCode(code).name if code in known else str(code)
    return answer(report, status)


class Console:
    """The routes of the console."""

    def __init__(self, view: View, opener: Opener) -> None:
        self._view = view
        self._pool = Pool(view, opener)
        self._ensemble = EnsembleWatch(view)
        self._names = access.own_names(view.process.config)
        # Data that the server takes, in Base64, and what is around them.
        self._longest_body_bytes = view.process.config.jute_maxbuffer * 4 // 3 + 65_536

    def add_to(self, app: web.Application) -> None:
        """Add all routes."""
        here = resources.files("zkserver.admin")
        for path, (name, kind) in _FILES.items():
            body = here.joinpath(name).read_bytes()
            app.router.add_get(path, self._checked(partial(_file, body, kind), is_page=True))
        reads: dict[str, Answering] = {
            "ensemble": self._show_ensemble,
            "sessions": self._show_sessions,
            "elections": self._show_elections,
            "znode": self._with_session(self._show_znode),
            "children": self._with_session(self._show_children),
            "complete": self._with_session(self._complete),
            "search": self._with_session(self._search),
            "quotas": self._with_session(self._show_quotas),
            "whoami": self._with_session(self._who),
        }
        for name, handler in reads.items():
            app.router.add_get(f"{API}/{name}", self._checked(handler))
        posts = {
            "stats": self._with_session(self._stats),
            "create": self._with_session(self._change, is_change=True),
            "set": self._with_session(self._change, is_change=True),
            "delete": self._with_session(self._change, is_change=True),
        }
        for name, handler in posts.items():
            app.router.add_route("*", f"{API}/{name}", self._checked(handler, is_post=True))
        app.on_cleanup.append(self._clean_up)

    async def _clean_up(self, _app: web.Application) -> None:
        self._ensemble.close()
        await self._pool.close()

    # Around every request

    def _checked(
        self, handler: Answering, *, is_page: bool = False, is_post: bool = False
    ) -> Answering:
        async def checked(request: web.Request) -> web.StreamResponse:
            try:
                access.check_host(request.headers.get("Host"), self._names)
                if not is_page:
                    access.check_same_site(request.headers)
                if is_post:
                    access.check_change(request.headers, request.method)
                return await handler(request)
            except Refused as refused:
                response = _refusal(refused.status, str(refused))
                if request.can_read_body:
                    response.force_close()
                return response
            except SessionError as error:
                code = ErrorCode(error.code) if error.code in _STATUS else None
                return _refusal(502 if code is None else _STATUS[code], str(error), error.code)

        return checked

    def _with_session(self, handler: WithSession, *, is_change: bool = False) -> Answering:
        async def with_session(request: web.Request) -> web.StreamResponse:
            credentials = access.credentials_of(
                request.headers,
                plain_address(request.remote or ""),
                trusts_forwarded=self._view.process.config.use_x_forwarded_for,
            )
            if is_change and not credentials.token:
                raise Refused(401, "To change something, say who you are: digest user:password")
            pooled = await self._pool.session(credentials)
            if is_change and not pooled.may_change:
                raise Refused(403, "The server takes these credentials for nobody's")
            pooled.users += 1
            try:
                return await handler(request, pooled)
            finally:
                pooled.users -= 1

        return with_session

    # The process

    async def _show_ensemble(self, request: web.Request) -> web.StreamResponse:
        return answer(await self._ensemble.look(_number(request, "after")))

    async def _show_sessions(self, request: web.Request) -> web.StreamResponse:
        server = self._view.server
        if server is None:
            return _refusal(503, "This server serves nobody just now")
        return answer(console_reports.sessions(server, _number(request, "begin")))

    async def _show_elections(self, request: web.Request) -> web.StreamResponse:
        if "began" not in request.query:
            return answer(console_reports.elections(self._view))
        found = console_reports.election(self._view, _number(request, "began"))
        if found is None:
            return _refusal(404, "This election is not kept any more")
        return answer(found)

    # Znodes

    async def _who(self, _request: web.Request, pooled: Pooled) -> web.StreamResponse:
        ids = [{"scheme": scheme, "id": who} for scheme, who in pooled.ids]
        return answer({"ids": ids, "may_change": pooled.may_change})

    async def _show_znode(self, request: web.Request, pooled: Pooled) -> web.StreamResponse:
        return answer(await self._znode(pooled, _text(request, "path")))

    async def _znode(self, pooled: Pooled, path: str) -> Report:
        return await console_tree.znode(pooled.session, path)

    async def _show_children(self, request: web.Request, pooled: Pooled) -> web.StreamResponse:
        """Lines of JSON: first how many and the parent's Stat, then the names, slice by slice."""
        count, slices, stat = await pooled.session.names(_text(request, "path"))
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        head = {"count": count, "stat": console_tree.stat_report(stat)}
        await response.write(json.dumps(head).encode() + b"\n")
        for names in slices:
            line = json.dumps(names, ensure_ascii=False, separators=(",", ":"))
            await response.write(line.encode("utf-8", "replace") + b"\n")
            # The server's other clients have their turn between two slices.
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def _complete(self, request: web.Request, pooled: Pooled) -> web.StreamResponse:
        return answer(await console_tree.complete(pooled.session, _text(request, "prefix")))

    async def _search(self, request: web.Request, pooled: Pooled) -> web.StreamResponse:
        search_id = request.query.get("id")
        if search_id is None:
            path, name = _text(request, "path"), _text(request, "name")
            search_id = console_tree.begin_search(pooled, path, name)
        return answer(await console_tree.go_on(pooled, search_id))

    async def _show_quotas(self, _request: web.Request, pooled: Pooled) -> web.StreamResponse:
        return answer(await console_tree.quotas(pooled.session))

    async def _stats(self, request: web.Request, pooled: Pooled) -> web.StreamResponse:
        given = access.json_object(await self._body(request))
        return answer(await console_tree.stats(pooled.session, given))

    async def _change(self, request: web.Request, pooled: Pooled) -> web.StreamResponse:
        given, session = access.json_object(await self._body(request)), pooled.session
        what = request.path.rpartition("/")[2]
        try:
            if what == "create":
                report = await console_tree.create(session, given)
            elif what == "set":
                report = await console_tree.change(session, given)
            else:
                report = await console_tree.delete(session, given)
        except SessionError as error:
            if error.code != ErrorCode.BADVERSION:
                raise
            conflict: Report = {"error": str(error), "code": ErrorCode.BADVERSION.name}
            conflict["current"] = await self._znode(pooled, access.text(given, "path"))
            return answer(conflict, 409)
        return answer(report)

    async def _body(self, request: web.Request) -> bytes:
        """The body, read as far as it is not too long."""
        parts, size, limit = [], 0, self._longest_body_bytes
        async for part in request.content.iter_any():
            size += len(part)
            if size > limit:
                raise Refused(413, f"The body is longer than {limit} bytes")
            parts.append(part)
        return b"".join(parts)


async def _file(body: bytes, kind: str, _request: web.Request) -> web.StreamResponse:
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)


def _text(request: web.Request, name: str) -> str:
    value = request.query.get(name)
    if value is None:
        raise Refused(400, f"{name} must be given")
    return value


def _number(request: web.Request, name: str) -> int:
    value = request.query.get(name, "0")
    if not (value.isascii() and value.isdecimal() and len(value) <= 15):
        raise Refused(400, f"{name} must be a number")
    return int(value)
