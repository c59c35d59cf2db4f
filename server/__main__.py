"""``python -m wellhead.server module:app``: patches, then imports the application, then serves it.

Nothing of the application is imported before gevent has patched, so that its drivers cooperate. The frame around the
server; what is wrong with the arguments is one line on stderr and exit code 2.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from typing import Any

import click

_CANNOT_START = 2


class CannotStartError(click.ClickException):
    """Something in the arguments, or in what they name, is wrong."""

    exit_code = _CANNOT_START


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--reload", is_flag=True, help="Start anew when a source file changes. For development.")
@click.option("--patch/--no-patch", default=True, show_default=True, help="Let gevent patch the standard library.")
@click.option("--certfile", help="Serve over TLS with this certificate chain (PEM).")
@click.option("--keyfile", help="Its private key, unless it is in the certificate's file.")
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What is logged to stderr; the access log is at info. Without effect when the application configures logging.",
)
def main(
    app: str,
    host: str,
    port: int,
    reload: bool,
    patch: bool,
    certfile: str | None,
    keyfile: str | None,
    log_level: str,
) -> None:
    """Serve the WSGI application APP of MODULE, until SIGTERM or SIGINT."""
    if patch:
        from gevent import monkey  # type: ignore[import-untyped]  # no type information

        monkey.patch_all()
    if keyfile is not None and certfile is None:
        raise CannotStartError("--keyfile needs --certfile")
    if reload:
        from werkzeug._reloader import run_with_reloader

        os.environ["PYTHONUNBUFFERED"] = "1"
        run_with_reloader(lambda: _serve_or_exit(app, host, port, certfile, keyfile, log_level))
    else:
        _serve(app, host, port, certfile, keyfile, log_level)


def load_application(name: str) -> Any:
    """Import ``module:attribute``; attributes may be dotted, the default is ``app``. Raises CannotStartError.

    An error within the module is not caught: it is the application's, and its traceback says where.
    """
    module_name, _, path = name.partition(":")
    path = path or "app"
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        hint = f": the file {name} is the module {name[:-3]}" if name.endswith(".py") and os.path.isfile(name) else ""
        raise CannotStartError(f"there is no module {module_name!r} in {os.getcwd()} or on the path{hint}") from error
    except (ValueError, TypeError) as error:
        if module_name and not module_name.startswith("."):
            raise
        raise CannotStartError(f"{name!r} names no module") from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise CannotStartError(f"module {module_name!r} has no {path!r}") from None
    if not callable(found):
        raise CannotStartError(f"{name!r} is no WSGI application: a {type(found).__name__} cannot be called")
    return found


def _serve(app: str, host: str, port: int, certfile: str | None, keyfile: str | None, log_level: str) -> None:
    from .runtime.log_lines import LineHandler
    from .runtime.server import serve

    logging.basicConfig(level=log_level.upper(), handlers=[LineHandler()])
    application = load_application(app)
    try:
        serve(application, host, port, certfile=certfile, keyfile=keyfile)
    except OSError as error:
        raise CannotStartError(_why(error, host, port, certfile)) from error


def _serve_or_exit(*arguments: Any) -> None:
    """In the reloader's thread: where an error would go unheard, and the server's end would not be the process's."""
    code = 0
    try:
        _serve(*arguments)
    except CannotStartError as error:
        error.show()
        code = _CANNOT_START
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _why(error: OSError, host: str, port: int, certfile: str | None) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use"
    if certfile is not None and error.errno not in (errno.EACCES, errno.EADDRNOTAVAIL):
        return f"cannot serve with certificate {certfile}: {error}"
    return f"cannot listen on {host}:{port}: {error}"


if __name__ == "__main__":
    main(prog_name="python -m wellhead.server")
