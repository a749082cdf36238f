"""`replaystack serve`: runs the server in the foreground."""

from __future__ import annotations

import sys
from typing import Any

import click

from stack.cli.options import loaded, settings_options
from stack.config import require_safe_listener, secrets_of
from stack.gc_tuning import pause_until_started
from stack.settings import Settings


@click.command(name="serve")
@settings_options()
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Accept that a log lost something, and record what and when. Event log: start although it lost events that the "
    "read models still hold; these are set aside as views.duckdb.lost-*, the only copy of what was lost, and built again "
    "from the events that are left. Telemetry log: damage that is there now is no longer reported as a problem; what the "
    "tables hold of it is kept. A backup that is incomplete is served as it is. Without a loss it has no effect. For one "
    "start: leave it out of scripts and service files.",
)
@click.option(
    "--drop-kept-tables",
    is_flag=True,
    help="Drop the tables in telemetry.duckdb that were kept because they hold what the telemetry log lost "
    "(`replaystack doctor` lists them). For one start.",
)
def command(accept_loss: bool, drop_kept_tables: bool, **options: Any) -> None:
    """Serve the HTTP API until SIGINT or SIGTERM.

    Keys and model providers are not options, because command lines show in every process listing: set them in
    the environment or in the settings file.
    """
    pause_until_started()
    settings = loaded(options).settings
    require_safe_listener(settings)
    from stack import logs

    logs.configure(settings.log_level, settings.log_format, secrets_of(settings))
    from stack.app import serve

    sys.exit(
        serve(
            settings,
            lambda url: _announce(url, settings),
            accept_loss=accept_loss,
            drop_kept_tables=drop_kept_tables,
        )
    )


def _announce(url: str, settings: Settings) -> None:
    providers = [provider.id for provider in settings.inference]
    if settings.openai_base_url or settings.openai_api_key:
        providers.append("openai")
    providers.append("demo (lexical, no language model)")
    found = ", and what answers on the usual loopback ports" if settings.discover_models else ""
    click.echo(f"Replaystack serves {url}")
    click.echo(f"  page       {url}/ui/")
    click.echo(f"  data       {settings.data}")
    click.echo(f"  models     {', '.join(providers)}{found}")
    ports = {"HTTP": settings.otlp_http_port, "gRPC": settings.otlp_grpc_port}
    also = [f"{port} ({name})" for name, port in ports.items() if port]
    click.echo(f"  telemetry  OTLP on this port{''.join(f', {one}' for one in also)}")
    if settings.flight_port:
        click.echo(f"  sql        Arrow Flight SQL on {settings.flight_port}")
    click.echo(f"  try        curl {url}/v1/models")
    click.echo("  stop       Ctrl-C")
