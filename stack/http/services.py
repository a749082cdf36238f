"""What the controllers call: one object, since Litestar starts a task group for a handler with two dependencies
or more (0.3 ms of CPU a request)."""

from __future__ import annotations

from msgspec import Struct

from projections.engine import Engine
from stack.providers.inference.registry import Models
from stack.providers.rows.port import RowReading
from stack.services.agent import AgentService
from stack.services.benchmark import BenchmarkService
from stack.services.chat_completion import ChatCompletions
from stack.services.comparison import ComparisonService
from stack.services.dataset import DatasetService
from stack.services.erasure import Erasures
from stack.services.evaljob import EvalJobService
from stack.services.evaljob_frames import EvalJobFrames
from stack.services.once import Once
from stack.services.rates import RateLimits
from stack.services.row_scoring import RowScoring
from stack.services.scoring import Scoring
from stack.services.server_state import ServerState
from stack.services.session import SessionService
from stack.services.span_export import SpanExport
from stack.services.state import States
from stack.services.telemetry import TelemetryService
from stack.services.turn import TurnService
from stack.services.views import Views
from stack.settings import Settings
from telemetry.store import TelemetryStore


class Services(Struct, frozen=True, kw_only=True):
    """The use cases of one server, as `stack/wiring.py` made them."""

    agents: AgentService
    sessions: SessionService
    turns: TurnService
    datasets: DatasetService
    row_reader: RowReading
    scoring: Scoring
    row_scoring: RowScoring
    benchmarks: BenchmarkService
    evaljobs: EvalJobService
    evaljob_frames: EvalJobFrames
    comparisons: ComparisonService
    erasures: Erasures
    states: States
    views: Views
    once: Once
    models: Models
    chat_completions: ChatCompletions
    telemetry: TelemetryService
    telemetry_store: TelemetryStore
    telemetry_export: SpanExport
    engine: Engine
    server_state: ServerState
    settings: Settings
    rates: RateLimits
