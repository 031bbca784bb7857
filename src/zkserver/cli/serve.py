"""From a command line to a running server: which configuration, which environment.

Which zoo.cfg is used, in this order (the rules of bin/zkServer.sh and zkEnv.sh):

1. The argument: a name with a directory in it as it stands; a bare name is looked
   for in the configuration directory, then in the current directory.
2. `ZOOCFG`, by the same rule.
3. zoo.cfg in the configuration directory: `--config`, else `ZOOCFGDIR`, else the
   directory `conf` beside the program's `bin`.
4. None at all: port 2181 and the data directory `data` of the current directory,
   or what `--port` and `--data-dir` say.

The shell scripts `zookeeper-env.sh` and `java.env` of the configuration directory
are read for the environment variables that they set, because deployments keep
their `-D` flags there. Precedence of a property: zoo.cfg, then `-D` of the command
line, then `JVMFLAGS`, then `SERVER_JVMFLAGS`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zkserver.base.errors import ExitCode, FatalError
from zkserver.cli import STARTED_MS

if TYPE_CHECKING:
    from aiohttp import web

    from zkserver.admin.view import View
    from zkserver.base.config import Config, ConfigSource
    from zkserver.base.properties import ConfigWarning
    from zkserver.runtime.attachment import Attachment
    from zkserver.runtime.logs import Log

DEFAULT_PORT = 2181
DEFAULT_DATA_DIR = "data"
PID_FILE_NAME = "zookeeper_server.pid"
CONSOLE_MODULES = ("zkserver.admin.console", "zkserver.cli.console_session")
ENVIRONMENT_SCRIPTS = ("zookeeper-env.sh", "java.env")


class CommandError(Exception):
    """A command that cannot be carried out; `exit_code` is what the shell gets."""

    def __init__(self, message: str, exit_code: int = ExitCode.INVALID_INVOCATION) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, unread: names as given, properties as name=value."""

    cfg: str | None = None
    config_dir: str | None = None
    port: int | None = None
    data_dir: str | None = None
    defines: tuple[str, ...] = ()
    json_logs: bool = False
    log_level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A server as the shell sees it: its options, configuration file and environment."""

    options: Options
    config_file: Path | None
    environ: Mapping[str, str]

    @property
    def config_name(self) -> str:
        """The configuration file as messages name it."""
        return "none, defaults apply" if self.config_file is None else str(self.config_file)

    @property
    def pid_file(self) -> Path:
        """Where the process id of the daemon is kept (`ZOOPIDFILE`)."""
        named = self.environ.get("ZOOPIDFILE")
        return Path(named) if named else self.data_dir / PID_FILE_NAME

    @property
    def out_file(self) -> Path:
        """Where the daemon's standard output and error go (`ZOO_LOG_DIR`)."""
        named = self.environ.get("ZOO_LOG_DIR")
        directory = Path(named) if named else self.data_dir / "logs"
        user = self.environ.get("USER", "")
        return directory / f"zookeeper-{user}-server-{os.uname().nodename}.out"

    @property
    def data_dir(self) -> Path:
        """dataDir, read without judging the rest of the configuration."""
        if self.config_file is None:
            return Path(self.options.data_dir or DEFAULT_DATA_DIR)
        data_dir = self.keys().get("dataDir", "")
        if not data_dir:
            raise CommandError(f"{self.config_file}: dataDir is not set")
        return Path(data_dir)

    def keys(self) -> dict[str, str]:
        """The keys of the configuration file and their trimmed values; {} without a file."""
        return {} if self.config_file is None else read_keys(self.config_file)


def locate(options: Options, environ: Mapping[str, str]) -> Deployment:
    """Find the configuration of a server by the rules above; reads the environment scripts."""
    named_dir = options.config_dir or environ.get("ZOOCFGDIR")
    config_dir = Path(named_dir) if named_dir else Path(sys.prefix, "conf")
    environ = with_scripts(config_dir, environ)
    name = options.cfg or environ.get("ZOOCFG")
    standalone_options = options.port is not None or options.data_dir is not None
    if name:
        config_file = _named_file(name, config_dir, is_dir_named=named_dir is not None)
    elif standalone_options and not named_dir:
        config_file = None
    else:
        found = config_dir / "zoo.cfg"
        config_file = found if named_dir or found.is_file() else None
    if config_file is not None and standalone_options:
        raise CommandError(
            f"--port and --data-dir are for a server without zoo.cfg: set clientPort "
            f"and dataDir in {config_file}"
        )
    return Deployment(options, config_file, environ)


def _named_file(name: str, config_dir: Path, *, is_dir_named: bool) -> Path:
    if os.sep in name:
        return Path(name)
    in_config_dir = config_dir / name
    return in_config_dir if is_dir_named or in_config_dir.is_file() else Path(name)


def with_scripts(config_dir: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment after zookeeper-env.sh and java.env of that directory, where they are."""
    scripts = [
        os.path.abspath(config_dir / name)
        for name in ENVIRONMENT_SCRIPTS
        if (config_dir / name).is_file()
    ]
    if not scripts:
        return environ
    import shutil
    import subprocess

    shell = shutil.which("bash") or "/bin/sh"
    program = 'set -a; for script in "$@"; do . "$script" >&2; done; exec env -0'
    done = subprocess.run(
        [shell, "-c", program, shell, *scripts],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{', '.join(scripts)}: {shell} ended with {done.returncode}")
    pairs = (line.partition("=") for line in os.fsdecode(done.stdout).split("\0") if line)
    return {name: value for name, _, value in pairs}


def read_keys(path: Path) -> dict[str, str]:
    """The keys of a properties file and their trimmed values; the last of a name counts."""
    from zkserver.base import properties

    entries = properties.parse(_read_config(path), str(path))
    return {entry.key: properties.trim(entry.value) for entry in entries}


def _read_config(path: Path) -> str:
    """A properties file as Java decodes it; one that cannot be read ends the command."""
    try:
        return path.read_text("iso-8859-1")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def read_text(path: str) -> str | None:
    """A file that the configuration names, as Java decodes it, or None if there is none."""
    try:
        return Path(path).read_text("iso-8859-1")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def run_foreground(deployment: Deployment) -> int:
    """Run the server until it ends; the exit code of the process."""
    from zkserver.runtime import logs

    options = deployment.options
    logs.configure(json=options.json_logs, level=options.log_level)
    log = logs.get_log("config")
    if options.json_logs:
        log.info("using config", file=deployment.config_name)
    try:
        check_data_directories(deployment)
        config, warnings = load_config(deployment, log)
    except (CommandError, FatalError) as error:
        if not options.json_logs:
            raise
        # Machines read this stream: the last line must be one of theirs too.
        log.error(str(error), exit_code=int(error.exit_code))
        return int(error.exit_code)

    from zkserver.runtime.main import run

    return run(
        config,
        warnings=warnings,
        json_logs=options.json_logs,
        log_level=options.log_level,
        started_ms=STARTED_MS,
        attachments=attachments(config),
    )


def attachments(config: Config) -> list[Attachment]:
    """What looks at the server from within its process, as the configuration wants it."""
    from zkserver.base.config_rules import PROMETHEUS_PROVIDER

    found: list[Attachment] = []
    # Each is imported only if it is wanted: a start takes as long as its imports.
    if config.metrics_provider_class_name == PROMETHEUS_PROVIDER:
        from zkserver.admin.prometheus import PrometheusServer

        found.append(PrometheusServer(config))
    if config.admin_enable_server:
        from zkserver.admin.admin_server import AdminServer

        found.append(AdminServer(config, [_add_console], modules=CONSOLE_MODULES))
    return found


def _add_console(app: web.Application, view: View) -> None:
    """The console, which is imported when the first request comes."""
    from zkserver.admin.console import add_console
    from zkserver.cli.console_session import open_session

    add_console(open_session, app, view)


def load_config(deployment: Deployment, log: Log) -> tuple[Config, list[ConfigWarning]]:
    """The configuration of a server that can run, and what to tell its owner."""
    from zkserver.base import config as configuration

    try:
        config, warnings = configuration.load(_config_source(deployment, log))
    except configuration.ConfigError as error:
        for warning in error.warnings:
            log.warn(str(warning))
        raise CommandError(f"{error}\nInvalid config, exiting abnormally") from error
    if config.client_port is None:
        raise CommandError(
            f"{deployment.config_name}: clientPort is not set, so no client could connect"
        )
    return config, warnings


def _config_source(deployment: Deployment, log: Log) -> ConfigSource:
    """What the file, the environment and the command line say, in the reader's form."""
    from zkserver.base import config as configuration

    options, environ = deployment.options, deployment.environ
    properties: dict[str, str] = {}
    if environ.get("ZOO_DATADIR_AUTOCREATE_DISABLE"):
        properties["zookeeper.datadir.autocreate"] = "false"
    for variable in ("SERVER_JVMFLAGS", "JVMFLAGS"):
        found, ignored = configuration.jvm_flags(environ.get(variable, ""))
        properties.update(found)
        for flag in ignored:
            log.debug("a flag for a JVM is ignored", variable=variable, flag=flag)
    properties.update(configuration.parse_define(define) for define in options.defines)
    file = deployment.config_file
    if file is not None:
        return configuration.ConfigSource(
            file_name=str(file),
            text=_read_config(file),
            properties=properties,
            read_text=read_text,
        )
    port = DEFAULT_PORT if options.port is None else options.port
    return configuration.ConfigSource(
        properties=properties,
        arguments={"dataDir": str(deployment.data_dir), "clientPort": str(port)},
        read_text=read_text,
    )


def check_data_directories(deployment: Deployment) -> None:
    """Refuse to go on where the data directories must exist and do not.

    That is the case when `ZOO_DATADIR_AUTOCREATE_DISABLE` is set to anything.
    """
    if not deployment.environ.get("ZOO_DATADIR_AUTOCREATE_DISABLE"):
        return
    log_dir = deployment.keys().get("dataLogDir", "")
    for kind, directory in (("data", deployment.data_dir), ("txnlog", Path(log_dir))):
        if str(directory) != "." and not (directory / "version-2").is_dir():
            raise CommandError(
                f"ZooKeeper {kind} directory is missing at {directory} "
                f"fix the path or run initialize",
                ExitCode.UNEXPECTED_ERROR,
            )


def foreground_command(options: Options) -> list[str]:
    """The command line that runs the same server in the foreground.

    -P keeps modules that lie in the current directory from being imported.
    """
    command = [sys.executable, "-P", "-m", "zkserver.cli.main", "start-foreground"]
    for define in options.defines:
        command.append(f"-D{define}")
    for name, value in (
        ("--config", options.config_dir),
        ("--port", options.port),
        ("--data-dir", options.data_dir),
    ):
        if value is not None:
            command += [name, str(value)]
    if options.json_logs:
        command.append("--json-logs")
    if options.log_level != "INFO":
        command += ["--log-level", options.log_level]
    if options.cfg is not None:
        command += ["--", options.cfg]
    return command


def client_endpoint(
    deployment: Deployment, say: Callable[[str], None]
) -> tuple[str, int] | None:
    """clientPortAddress ("" if not set) and client port of a server; None if there is none.

    The port is clientPort of the file, or the last part of this server's own
    server.N line (`…;[address:]port`), there or in the dynamic configuration file.
    """
    if deployment.config_file is None:
        port = deployment.options.port
        return "", DEFAULT_PORT if port is None else port
    keys = deployment.keys()
    if _is_number(keys.get("clientPort", "")):
        return keys.get("clientPortAddress", ""), int(keys["clientPort"])
    myid = (read_text(os.path.join(keys.get("dataDir", ""), "myid")) or "").strip()
    if not _is_number(myid):
        say(
            "myid could not be determined, will not able to locate clientPort "
            "in the server configs.\n"
        )
    else:
        member = keys.get(f"server.{myid}", "")
        if ";" not in member:
            say(
                "Client port not found in static config file. "
                "Looking in dynamic config file.\n"
            )
            dynamic_file = keys.get("dynamicConfigFile")
            member = read_keys(Path(dynamic_file)).get(f"server.{myid}", "") if dynamic_file else ""
        address, _, port_text = member.rpartition(";")[2].rpartition(":")
        if ";" in member and _is_number(port_text):
            return address or keys.get("clientPortAddress", ""), int(port_text)
        say("Client port not found in the server configs\n")
    say("Client port not found. Looking for secureClientPort in the static config.\n")
    if keys.get("secureClientPort"):
        say("Only secureClientPort is set, and TLS is not built yet.\n")
    else:
        say("Unable to find either secure or unsecure client port in any configs. Terminating.\n")
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
