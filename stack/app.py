"""The ASGI application and the process that serves it."""

from __future__ import annotations

import asyncio
import copy
import logging
import math
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from litestar import Litestar
from litestar.di import Provide
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp

from projections.warehouse.errors import StorageFailed
from stack.data_folder import DataFolder, FolderUnusable
from stack.errors import Unavailable
from stack.gc_tuning import freeze_started
from stack.http.admin import AdminController
from stack.http.agent import AgentController
from stack.http.approval import ApprovalController
from stack.http.benchmark import BenchmarkController
from stack.http.benchmark_path import escaping_ids
from stack.http.chat_completion import ChatCompletionController
from stack.http.comparison import ComparisonController
from stack.http.completion import CompletionController
from stack.http.connections import Connections
from stack.http.dataset import DatasetController
from stack.http.datasetio import DatasetIOController
from stack.http.edge import edge
from stack.http.effect import EffectController
from stack.http.embedding import EmbeddingController
from stack.http.erasure import ErasureController
from stack.http.error import exception_handlers
from stack.http.evaljob import EvalJobController
from stack.http.event import EventController
from stack.http.extra_ports import ExtraPorts, receiving_only
from stack.http.health import HealthController
from stack.http.jaeger import JaegerController
from stack.http.mcp import McpController
from stack.http.model import ModelController
from stack.http.openapi import OpenAPIController
from stack.http.otlp import OtlpController
from stack.http.page import PageController
from stack.http.protocol import protocol_factory
from stack.http.provider import ProviderController
from stack.http.query import check_query
from stack.http.rerank import RerankController
from stack.http.route import RouteController
from stack.http.safety import SafetyController
from stack.http.scoring import ScoringController
from stack.http.scoring_function import ScoringFunctionController
from stack.http.session import SessionController
from stack.http.session_file import SessionFileController
from stack.http.session_frames import SessionFramesController
from stack.http.session_list import SessionListController
from stack.http.shield import ShieldController
from stack.http.sql import SqlController
from stack.http.telemetry import TelemetryController
from stack.http.tool import ToolController
from stack.http.trainjob import TrainJobController
from stack.http.turn import TurnController
from stack.http.vector_db import VectorDBController
from stack.settings import Settings
from stack.wiring import Server

logger = logging.getLogger("replaystack.server")

CONTROLLERS = [
    AdminController,
    AgentController,
    BenchmarkController,
    ChatCompletionController,
    ComparisonController,
    CompletionController,
    DatasetController,
    DatasetIOController,
    EmbeddingController,
    ApprovalController,
    EffectController,
    ErasureController,
    EvalJobController,
    EventController,
    HealthController,
    JaegerController,
    McpController,
    ModelController,
    OpenAPIController,
    PageController,
    OtlpController,
    ProviderController,
    RerankController,
    RouteController,
    SafetyController,
    ScoringController,
    ScoringFunctionController,
    SessionController,
    SessionFileController,
    SessionFramesController,
    SessionListController,
    ShieldController,
    SqlController,
    TelemetryController,
    ToolController,
    TrainJobController,
    TurnController,
    VectorDBController,
]


class Application(Litestar):
    """Litestar without its support for Pydantic and attrs."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        # Litestar imports both if they are installed, which development tools need: an eighth of a start.
        return [*plugins, MsgspecDIPlugin()]


def build(server: Server) -> ASGIApp:
    """Returns the whole application for a wired server."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        await server.start()
        try:
            yield
        finally:
            await server.stop()

    app = Application(
        CONTROLLERS,
        before_request=check_query,
        dependencies={"services": Provide(lambda: server, sync_to_thread=False)},
        exception_handlers=exception_handlers(),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # the outermost middleware limits bodies
        debug=False,
    )
    routed = escaping_ids(app)
    return edge(
        routed, server.settings, tracing=server.tracing, admin_token=server.folder.token, rates=server.rates
    )


class _Process(uvicorn.Server):
    """A uvicorn server that ends the streams before it waits for their connections."""

    def __init__(
        self,
        config: uvicorn.Config,
        server: Server,
        connections: Connections,
        announce: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._server = server
        self._announce = announce
        self._ports = ExtraPorts(
            server.settings, server.telemetry_store.intake, server.sql, server.folder.token, server.rates
        )
        server.server_state.ports = self._ports.state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shuts down on SIGINT and SIGTERM. uvicorn would raise the signal once more at the end, which would
        end the process before the data folder is released."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            if self.lifespan.should_exit:
                raise
            # The same as uvicorn does if the address cannot be bound; it has logged the reason.
            where = f"{self.config.host}:{self.config.port}"
            raise Unavailable(f"Cannot listen on {where}. Choose another port with --port.") from None
        if self.started and not self.should_exit:
            try:
                await self._open_ports()
            except BaseException:
                # uvicorn would not stop the server's threads and close its files.
                await self.lifespan.shutdown()
                raise

    async def _open_ports(self) -> None:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await self._ports.open(self._receiver_protocol())
        self._connections.start()

    def _receiver_protocol(self) -> Callable[[], asyncio.Protocol]:
        config = copy.copy(self.config)
        config.loaded_app = receiving_only(self.config.loaded_app)
        protocol = protocol_factory(self._connections)
        return lambda: protocol(config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._ports.close()
        await self._server.park_turns()
        await super().shutdown(sockets)
        self._connections.stop()


def serve(
    settings: Settings,
    announced: Callable[[str], None] | None = None,
    *,
    accept_loss: bool = False,
    drop_kept_tables: bool = False,
) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit code. `announced` is called with the URL once it
    responds. With `accept_loss`, logs that lost events or telemetry are served as they are. With
    `drop_kept_tables`, telemetry tables that were kept from a damaged log are dropped.

    Raises FolderInUse, FolderUnusable, LogIncomplete, and Unavailable if the address is in use.
    """
    folder = DataFolder(settings.data)
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            return runner.run(_serve(settings, folder, announced, accept_loss, drop_kept_tables))
    except (OSError, StorageFailed) as error:
        raise FolderUnusable(
            f"{folder.path} cannot be used: {error}. Free space or correct its permissions, or choose another with --data."
        ) from error
    finally:
        folder.close()


async def _serve(
    settings: Settings,
    folder: DataFolder,
    announced: Callable[[str], None] | None,
    accept_loss: bool,
    drop_kept_tables: bool,
) -> int:
    server = Server(settings, folder, accept_loss=accept_loss, drop_kept_tables=drop_kept_tables)

    def announce(url: str) -> None:
        folder.announce(url)
        freeze_started()
        logger.info("serving %s, data in %s", url, folder.path)
        if announced is not None:
            announced(url)

    connections = Connections(settings)
    config = uvicorn.Config(
        build(server),
        host=settings.host,
        port=settings.port,
        http=protocol_factory(connections),
        timeout_keep_alive=math.ceil(settings.idle_timeout_s),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Addresses in headers can be forged, and limits are per address.
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(settings.shutdown_grace_s)),
        limit_concurrency=None,
        h11_max_incomplete_event_size=None,
    )
    process = _Process(config, server, connections, announce)
    await process.serve()
    return 0 if process.started else 1


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


__all__ = ["build", "serve"]
