"""The composition root: the only place that selects the implementations."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import ExitStack

from projections import trainjob as trainjob_views
from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.reader import HydratingReader
from schemas.events.turn import Owner
from stack.data_folder import DataFolder
from stack.http.event_stream import LongStreams
from stack.http.services import Services
from stack.log_loss import open_log_and_views
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.fetch.port import Fetcher
from stack.providers.inference.registry import Models
from stack.providers.local.provider import LocalModels
from stack.providers.rerank.registry import Rerankers
from stack.providers.retrieval.collections import Collections
from stack.providers.retrieval.extraction import TextExtraction
from stack.providers.retrieval.ranking import DocumentRanking
from stack.providers.rows.reader import RowReader
from stack.providers.rows.settings import ReadLimits
from stack.providers.scoring.worker_pool import WorkerPool
from stack.providers.shields.registry import Shields
from stack.providers.tools.registry import ToolGroups
from stack.runs.ownership import Ownership
from stack.runs.runs import Runs
from stack.runs.supervisor import Supervisor
from stack.services.agents.agent import AgentService
from stack.services.agents.family import Families
from stack.services.agents.fork import ForkService
from stack.services.agents.fork_point import ForkPoints
from stack.services.agents.session import SessionService
from stack.services.datasets.dataset import DatasetService
from stack.services.effects import RealEffects
from stack.services.erasure import Erasures
from stack.services.evals.benchmark import BenchmarkService
from stack.services.evals.candidates import Candidates
from stack.services.evals.comparison import ComparisonService
from stack.services.evals.evaljob import EvalJobService
from stack.services.evals.evaljob_driver import EvalJobDriver, EvalLimits
from stack.services.evals.running_job import RunningJob
from stack.services.inference.embedding import Embeddings
from stack.services.inference.pass_through import PassThrough
from stack.services.inference.rerank import Reranking
from stack.services.log_events import LogEvents
from stack.services.positions import Positions
from stack.services.replay.one_at_a_time import OneAtATime
from stack.services.replay.redacted_export import RedactedExport
from stack.services.replay.session_check import SessionChecks
from stack.services.replay.session_export import SessionExport, turn_settings
from stack.services.replay.session_import import SessionImport
from stack.services.replay.session_playback import SessionPlayback
from stack.services.requests.once import Once
from stack.services.requests.rates import RateLimits
from stack.services.safety.asking import GuardModels
from stack.services.safety.safety import Safety
from stack.services.scoring.judge import Judge
from stack.services.scoring.row_scoring import RowScoring
from stack.services.scoring.scoring import Scoring
from stack.services.server_state import ServerState
from stack.services.sql.setup import sql_service
from stack.services.state import States
from stack.services.telemetry.decoding_process import decoding_process
from stack.services.telemetry.jaeger import JaegerService
from stack.services.telemetry.span_export import SpanExport
from stack.services.telemetry.telemetry import TelemetryService
from stack.services.tools.directory import ToolDirectory
from stack.services.tools.resource_fetcher import ResourceFetcher
from stack.services.training.running_trainjob import RunningTrainJob
from stack.services.training.trainjob import TrainJobService
from stack.services.turns.approval_webhook import ApprovalWebhook
from stack.services.turns.approvals import ApprovalService
from stack.services.turns.content import ContentLoader
from stack.services.turns.conversation import Conversations
from stack.services.turns.effect_settling import EffectService
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn import TurnService
from stack.services.turns.turn_driver import TurnDriver, TurnLimits
from stack.services.turns.turn_plan import TurnPlans
from stack.services.views import Views
from stack.settings import Settings
from stack.version import VERSION
from telemetry.own.signals import Signals
from telemetry.store.store import OnDamage, TelemetryStore
from telemetry.store.upkeep import Retention
from telemetry.wire.decoded import ReadScope

logger = logging.getLogger("replaystack.server")


class Server(Services):
    """All parts of one server. Must be created inside the event loop in which it runs."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        fetcher: Fetcher | None = None,
        *,
        accept_loss: bool = False,
        drop_kept_tables: bool = False,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.store, self.warehouse = open_log_and_views(
            folder.path, memory_bytes=settings.database_memory_bytes, accept_loss=accept_loss
        )
        node, boot = settings.node or folder.node, secrets.token_hex(8)
        self.rates = RateLimits(settings)
        self.signals = Signals(
            VERSION, f"{node}-{boot}", settings.own_telemetry, on_tokens=self.rates.charge_tokens
        )
        self.tracing = self.signals.tracing
        self._open_telemetry(accept_loss, drop_kept_tables)
        self.engine = Engine(
            self.warehouse,
            self.store.feed,
            current_plan(),
            linger_ms=settings.view_linger_ms,
            linger_max_ms=settings.view_linger_max_ms,
        )
        self.models = Models(
            settings.inference,
            openai_base_url=settings.openai_base_url,
            openai_api_key=settings.openai_api_key,
            discovery=settings.discover_models,
            local=self._local_models(),
        )
        self.collections = Collections(
            settings.collections,
            Embeddings(self.models, self.signals.calls),
            folder.path / "collections",
        )
        self.toolgroups = ToolGroups(
            settings.toolgroups, self.collections, settings.max_retrieved_tokens, folder.path
        )
        self.tools = ToolDirectory(self.toolgroups)
        self.supervisor = Supervisor()
        self.long_streams = LongStreams()
        self.views = Views(HydratingReader(self.warehouse, self.store.hydrate), self.engine, self.store)
        self.states = States(self.store, self.views)
        self.once = Once(self.store)
        conversations = Conversations(self.store)
        limits = TurnLimits(
            turn_deadline_s=settings.turn_deadline_s,
            restart_limit=settings.restart_limit,
            restart_max_age_h=settings.restart_max_age_h,
            max_running_turns=settings.max_running_turns,
        )
        self.ranking = DocumentRanking()
        effects = RealEffects(self.signals.calls, self.tracing, self.ranking, settings.max_retrieved_tokens)
        self.pass_through = PassThrough(self.models, self.signals.calls, settings.max_completions)
        self.reranking = Reranking(Rerankers(settings.rerank), self.signals.calls, settings.max_completions)
        self.shields = Shields(settings.shields, GuardModels(self.models, effects).ask)
        self.safety = Safety(self.shields, effects)
        workers = WorkerPool()
        self.scoring = Scoring(Judge(self.models, effects, workers), workers)
        ownership = Ownership(Owner(node, boot))
        turn_runs = Runs[RunningTurn](self.store, self.supervisor, ownership)
        job_runs = Runs[RunningJob](self.store, self.supervisor, ownership)
        train_runs = Runs[RunningTrainJob](self.store, self.supervisor, ownership)
        self.runs = (turn_runs, job_runs, train_runs)
        plans = TurnPlans(
            self.states,
            self.models,
            conversations,
            self.toolgroups,
            self.safety,
            settings.max_context_document_characters,
        )
        driver = TurnDriver(turn_runs, self.states, plans, effects, self.signals, limits)
        fetcher = fetcher or GuardedFetcher()
        self.extraction = TextExtraction()
        content = ContentLoader(ResourceFetcher(fetcher, self.toolgroups), self.extraction)
        self.turns = TurnService(
            self.store,
            self.states,
            self.views,
            self.models,
            effects,
            driver,
            content,
        )
        self.log_events = LogEvents(self.store)
        self.playback = SessionPlayback(self.store, self.states, self.turns)
        webhook = None
        if settings.approval_webhook_url:
            webhook = ApprovalWebhook(
                settings.approval_webhook_url, settings.approval_webhook_secret, self.supervisor, effects
            )
        self.approvals = ApprovalService(self.views, self.turns, effects, webhook)
        driver.on_waiting = self.approvals.waits
        self.effects = EffectService(self.store, self.states, self.views, plans, effects)
        families = Families(self.states)
        self.sessions = SessionService(
            self.store, self.states, self.views, self.turns, conversations, families
        )
        points = ForkPoints(self.store, self.states, self.views)
        self.forks = ForkService(self.store, self.states, points, families, self.models, driver, effects)
        self.positions = Positions(self.store)
        self.agents = AgentService(
            self.store,
            self.states,
            self.views,
            self.sessions,
            self.toolgroups,
            shields=self.safety.ids,
            max_bytes=settings.max_agent_bytes,
        )
        self.session_export = SessionExport(self.store, self.states, turn_settings(settings))
        queue = OneAtATime()
        self.session_checks = SessionChecks(self.session_export, queue)
        self.redacted_export = RedactedExport(self.session_export, queue)
        self.session_import = SessionImport(self.store, self.states, self.views, settings.max_agent_bytes)
        self.row_reader = RowReader(
            fetcher,
            settings.dataset_roots,
            folder.path,
            ReadLimits(
                max_bytes=settings.max_dataset_bytes,
                max_fetch_bytes=settings.max_dataset_fetch_bytes,
                max_rows=settings.max_dataset_rows,
                cpu_s=settings.max_dataset_cpu_s,
                memory_bytes=settings.max_dataset_memory_bytes,
            ),
        )
        self.datasets = DatasetService(self.store, self.states, self.views, self.row_reader)
        self.trainjobs = TrainJobService(
            self.store, self.views, self.datasets, train_runs, self.signals, settings, folder.path
        )
        self.telemetry = TelemetryService(
            self.warehouse, self._telemetry_up_to_date, settings.telemetry_max_spans
        )
        self.sql = sql_service(
            settings, folder.path, self.warehouse, self.store, self.engine, self._telemetry_head
        )
        self.jaeger = JaegerService(self.telemetry)
        self.telemetry_export = SpanExport(self.telemetry, self.datasets)
        self.row_scoring = RowScoring(self.scoring, self.datasets)
        eval_driver = EvalJobDriver(
            job_runs,
            Candidates(self.store, self.models, self.agents, self.sessions, self.turns, effects, content),
            self.states,
            self.datasets,
            self.scoring,
            self.tracing,
            EvalLimits(
                eval_concurrency=settings.eval_concurrency,
                eval_row_attempts=settings.eval_row_attempts,
                eval_running_jobs=settings.eval_running_jobs,
                restart_limit=settings.restart_limit,
                turn_deadline_s=settings.turn_deadline_s,
            ),
        )
        self.evaljobs = EvalJobService(
            self.store,
            self.states,
            self.views,
            self.datasets,
            self.scoring,
            eval_driver,
            settings.eval_max_rows,
        )
        self.comparisons = ComparisonService(self.views, self.evaljobs)
        self.benchmarks = BenchmarkService(
            self.store,
            self.states,
            self.views,
            self.datasets,
            self.scoring,
            self.agents,
            self.evaljobs,
        )
        self.erasures = Erasures(
            folder.path,
            self.store,
            self.views,
            self.engine,
            self.telemetry_store,
            self.signals,
            settings.telemetry_retention_days,
        )
        self.erasures.on_rewritten = self.sql.forget
        self.server_state = ServerState(
            str(folder.path),
            self.store,
            self.engine,
            self.models,
            self.supervisor,
            self.turns,
            self.telemetry_store,
        )
        self.server_state.problems = {
            "tools": self.toolgroups.problems,
            "collections": self.collections.problems,
            "rerankers": self.reranking.rerankers.problems,
        }

    def _open_telemetry(self, accept_loss: bool, drop_kept_tables: bool) -> None:
        """Opens the store of telemetry; closes the log and the views if that fails. Raises OSError."""
        with ExitStack() as opened:
            opened.callback(self.store.close)
            opened.callback(self.warehouse.close)
            self.telemetry_store = TelemetryStore(
                self.folder.path,
                self.warehouse,
                Retention(
                    self.settings.telemetry_retention_days,
                    self.settings.telemetry_retention_bytes,
                    sealed_spans=self.settings.telemetry_sealed_spans,
                ),
                decoding_process(),
                refuses=self.store.trouble,
                on_damage=OnDamage(accept_loss, drop_kept_tables),
            )
            opened.pop_all()

    async def start(self) -> None:
        self.telemetry_store.start()
        self.signals.start(self.telemetry_store.submit)
        await asyncio.to_thread(self.engine.start)
        self.server_state.unknown_effects = self.effects.unknown
        self.supervisor.spawn("models", self.models.prepare())
        self.supervisor.spawn("toolgroups", self.toolgroups.prepare())
        self.supervisor.spawn("collections", self.collections.run())
        self.supervisor.spawn("recovery", self._recover())

    def _local_models(self) -> LocalModels | None:
        """Returns None if there can be none: neither files nor checkpoints."""
        settings = self.settings
        if not (settings.local_models or settings.train_python):
            return None

        async def checkpoint(name: str) -> tuple[str, str] | None:
            return await self.views.read(("trainjob",), trainjob_views.checkpoint, name)

        return LocalModels(
            settings.local_models, self.folder.path / "local", settings.local_running_models, checkpoint
        )

    async def _telemetry_up_to_date(self, scope: ReadScope | None) -> None:
        await self.signals.flushed(metrics=scope is not None and scope.metrics)
        await self.telemetry_store.reached(scope)

    async def _telemetry_head(self) -> int:
        await self.signals.flushed()
        head = self.telemetry_store.head()
        await self.telemetry_store.reached()
        return head

    async def _recover(self) -> None:
        await self.turns.recover()
        await self.evaljobs.recover()
        await self.trainjobs.recover()
        await self.agents.finish_deletes()
        self.supervisor.spawn("erasure", self.erasures.run())
        self.supervisor.spawn("approval deadlines", self.approvals.expire())

    async def park_turns(self) -> None:
        """First step of a shutdown: turns and jobs finish or are left for the next start, so that streams
        end; rows are read to their end or not at all; documents are no longer read;
        SQL queries are ended."""
        self.long_streams.end()
        grace_s = self.settings.shutdown_grace_s
        parked = [runs.park(grace_s) for runs in self.runs]
        await asyncio.gather(
            *parked, self.row_reader.aclose(grace_s), self.extraction.aclose(), self.sql.aclose()
        )

    async def stop(self) -> None:
        """Ends everything in order: running work, then the stores that it uses, the log last."""
        await self.park_turns()
        await self.supervisor.stop()
        await self.trainjobs.aclose()
        await self.scoring.aclose()
        await self.toolgroups.aclose()
        await self.shields.aclose()
        await self.models.aclose()
        await self.reranking.rerankers.aclose()
        await self.ranking.aclose()
        await self.collections.aclose()
        await asyncio.to_thread(self.engine.stop)
        self.views.close()
        self.telemetry.close()
        await asyncio.to_thread(self.signals.close)
        await self.telemetry_store.stop()
        self.warehouse.close()
        self.store.close()
        await asyncio.to_thread(self.signals.shutdown)
