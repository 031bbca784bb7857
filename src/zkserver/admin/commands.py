"""The admin commands by name: who may ask, and what is answered. No HTTP in here.

A command is a function of the `View` and the parameters, which gives a report: the keys that
Apache ZooKeeper 3.9.5 gives, `error` among them where the command has failed. `snapshot` and
`restore` move whole databases and are in `transfers`; here they have their names and their rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zkserver.admin.view import View
from zkserver.base.settings_values import parse_integer
from zkserver.server import four_letter, peer_reports, reports
from zkserver.server.reports import Report
from zkserver.server.server import Server

Parameters = Mapping[str, str]
NOT_SERVING = four_letter.NOT_SERVING

OfServer = Callable[[Server], Report]
OfView = Callable[[View, Parameters], Report]


@dataclass(frozen=True, slots=True)
class Command:
    """`run` is None for what `transfers` does. `needs_server`: not while nobody is served.

    `needs_auth`: the caller must have all permissions on the root. `method` is the HTTP method.
    `changes`: it does more than tell, so pages of other sites may not have a browser ask for it.
    """

    name: str
    run: OfView | None
    aliases: tuple[str, ...] = ()
    needs_server: bool = True
    needs_auth: bool = False
    method: str = "GET"
    changes: bool = False


def _of_server(function: OfServer) -> OfView:
    def run(view: View, _parameters: Parameters) -> Report:
        server = view.server
        return {"error": NOT_SERVING} if server is None else function(server)

    return run


def _of_view(function: Callable[[View], Report]) -> OfView:
    def run(view: View, _parameters: Parameters) -> Report:
        return function(view)

    return run


def _nothing_but(change: Callable[[Server], None]) -> OfView:
    def run(server: Server) -> Report:
        change(server)
        return {}

    return _of_server(run)


def _stats(server: Server) -> Report:
    connections = reports.connections(server, brief=True)
    return reports.server_stats(server, four_letter.VERSION) | connections


def _reset_observers(view: View) -> Report:
    peer_reports.reset_observers(view.facts)
    return {}


def _trace_mask(view: View) -> Report:
    server = view.server
    mask = four_letter.DEFAULT_TRACE_MASK if server is None else server.trace_mask
    return {"tracemask": mask}


def _set_trace_mask(view: View, parameters: Parameters) -> Report:
    text = parameters.get("traceMask")
    if text is None:
        return {"error": "setTraceMask requires long traceMask argument"}
    try:
        mask = parse_integer(text, 64)
    except ValueError:
        return {"error": f"setTraceMask requires long traceMask argument, got {text}"}
    if view.server is not None:
        view.server.trace_mask = mask
    return {"tracemask": mask}


def _configuration_text(server: Server) -> Report:
    return {"initial_configuration": reports.configuration_text(server.config.text)}


_ALL = (
    Command("configuration", _of_server(reports.configuration), ("conf", "config")),
    Command("connections", _of_server(reports.connections), ("cons",)),
    Command("connection_stat_reset", _nothing_but(reports.reset_connections), ("crst",),
            changes=True),
    Command("hash", _of_server(lambda server: {"digests": reports.digests(server)})),
    Command("dirs", _of_server(reports.directory_sizes)),
    Command("dump", _of_server(reports.dump)),
    Command("environment", _of_view(View.environment), ("env", "envi"), needs_server=False),
    Command("get_trace_mask", _of_view(_trace_mask), ("gtmk",), needs_server=False),
    Command("initial_configuration", _of_server(_configuration_text), ("icfg",)),
    Command(
        "is_read_only", _of_server(lambda server: {"read_only": server.is_read_only}), ("isro",)
    ),
    Command("last_snapshot", _of_view(View.last_snapshot), ("lsnp",)),
    Command("leader", _of_view(View.leader), ("lead",)),
    Command("monitor", _of_server(four_letter.monitor), ("mntr",)),
    Command("observer_connection_stat_reset", _of_view(_reset_observers), ("orst",),
            changes=True),
    Command("observers", _of_view(View.observers), ("obsr",)),
    Command("restore", None, ("rest",), needs_auth=True, method="POST", changes=True),
    Command("ruok", _of_server(lambda _: {})),
    Command("server_stats", _of_server(
        lambda server: reports.server_stats(server, four_letter.VERSION)), ("srvr",)),
    Command("set_trace_mask", _set_trace_mask, ("stmk",), needs_server=False, changes=True),
    Command("snapshot", None, ("snap",), needs_auth=True, changes=True),
    Command("stat_reset", _nothing_but(reports.reset_stats), ("srst",), changes=True),
    Command("stats", _of_server(_stats), ("stat",)),
    Command("system_properties", _of_view(View.system_properties), ("sysp",), needs_server=False),
    Command("voting_view", _of_view(View.voting_view)),
    Command("watch_summary", _of_server(reports.watch_summary), ("wchs",)),
    Command(
        "watches",
        _of_server(
            lambda server: {
                "session_id_to_watched_paths": reports.with_text_keys(reports.watches(server))
            }
        ),
        ("wchc",),
    ),
    Command(
        "watches_by_path",
        _of_server(lambda server: {"path_to_session_ids": reports.watches_by_path(server)}),
        ("wchp",),
    ),
    Command("zabstate", _of_view(View.zab_state), needs_server=False),
)

COMMANDS: dict[str, Command] = {
    name: command for command in _ALL for name in (command.name, *command.aliases)
}
"""By primary name and by alias."""

NAMES = tuple(sorted(command.name for command in _ALL))


def complete(name: str, report: Report) -> Report:
    """A report with the keys that every answer has; `name` is what was asked for."""
    return report | {"command": name} if "error" in report else failed(name, None, report)


def failed(name: str, error: str | None, report: Report | None = None) -> Report:
    """The report of a command that was not run, or that went wrong on the way."""
    return (report or {}) | {"command": name, "error": error}
