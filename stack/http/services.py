"""The services that controllers call, as one object: Litestar starts a task group for a handler with two or
more dependencies (0.3 ms of CPU per request)."""

from __future__ import annotations

from projections.warehouse.engine import Engine
from stack.http.event_stream import LongStreams
from stack.providers.inference.registry import Models
from stack.providers.retrieval.collections import Collections
from stack.providers.rows.port import RowReading
from stack.services.agents.agent import AgentService
from stack.services.agents.fork import ForkService
from stack.services.agents.session import SessionService
from stack.services.datasets.dataset import DatasetService
from stack.services.erasure import Erasures
from stack.services.evals.benchmark import BenchmarkService
from stack.services.evals.comparison import ComparisonService
from stack.services.evals.evaljob import EvalJobService
from stack.services.inference.pass_through import PassThrough
from stack.services.inference.rerank import Reranking
from stack.services.log_events import LogEvents
from stack.services.positions import Positions
from stack.services.replay.redacted_export import RedactedExport
from stack.services.replay.session_check import SessionChecks
from stack.services.replay.session_export import SessionExport
from stack.services.replay.session_import import SessionImport
from stack.services.replay.session_playback import SessionPlayback
from stack.services.requests.once import Once
from stack.services.requests.rates import RateLimits
from stack.services.safety.safety import Safety
from stack.services.scoring.row_scoring import RowScoring
from stack.services.scoring.scoring import Scoring
from stack.services.server_state import ServerState
from stack.services.sql.sql import SqlService
from stack.services.state import States
from stack.services.telemetry.jaeger import JaegerService
from stack.services.telemetry.span_export import SpanExport
from stack.services.telemetry.telemetry import TelemetryService
from stack.services.tools.directory import ToolDirectory
from stack.services.training.trainjob import TrainJobService
from stack.services.turns.approvals import ApprovalService
from stack.services.turns.effect_settling import EffectService
from stack.services.turns.turn import TurnService
from stack.services.views import Views
from stack.settings import Settings
from telemetry.store.store import TelemetryStore


class Services:
    """The services of one server. `Server` in `stack/wiring.py` implements this class and creates them."""

    agents: AgentService
    sessions: SessionService
    session_checks: SessionChecks
    redacted_export: RedactedExport
    session_export: SessionExport
    session_import: SessionImport
    forks: ForkService
    turns: TurnService
    playback: SessionPlayback
    log_events: LogEvents
    tools: ToolDirectory
    approvals: ApprovalService
    effects: EffectService
    datasets: DatasetService
    row_reader: RowReading
    safety: Safety
    scoring: Scoring
    row_scoring: RowScoring
    benchmarks: BenchmarkService
    evaljobs: EvalJobService
    comparisons: ComparisonService
    trainjobs: TrainJobService
    erasures: Erasures
    states: States
    views: Views
    positions: Positions
    once: Once
    models: Models
    pass_through: PassThrough
    reranking: Reranking
    collections: Collections
    sql: SqlService
    telemetry: TelemetryService
    jaeger: JaegerService
    telemetry_store: TelemetryStore
    telemetry_export: SpanExport
    engine: Engine
    server_state: ServerState
    settings: Settings
    rates: RateLimits
    long_streams: LongStreams
