"""What one process needs to edit batches of one run: an event loop in a thread, the ledger, the providers' lanes, the CPU pool."""

import asyncio
import contextlib
import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import cv2

from manifests.error_codes import ErrorCode
from manifests.schemas import MANIFEST_SCHEMA
from manifests.summary import Expected
from tasks.config import ConfigurationError, Settings
from tasks.credits import AccountTerms, Ledger, LedgerError, OpenAttempt
from tasks.editing.byte_budget import ByteBudget
from tasks.editing.decisions import RoutingDecisions
from tasks.editing.deliveries import Deliveries
from tasks.editing.errors import StoppedError
from tasks.editing.lane import Lane
from tasks.editing.once import OnceAtATime
from tasks.editing.places import Places
from tasks.editing.planned_run import PlannedRun
from tasks.editing.progress import Progress
from tasks.editing.sending import LaneSettings
from tasks.editing.sources import SourceReader
from tasks.editing.stopping import StopSwitch
from tasks.editing.storage import Storage
from tasks.editing.together import AskedTogether
from tasks.editing.upstream import Upstream
from tasks.imaging.allocator import keep_freed_memory
from tasks.observability.events import Event
from tasks.providers.registry import make_providers
from tasks.routing import PolicyName
from tasks.routing.course import Course
from tasks.routing.planner import Tally

T = TypeVar("T")
CORES: Final = os.cpu_count() or 1
MEANWHILE_S: Final = 1.0
PLANNED_COLUMNS: Final = tuple(name for name in MANIFEST_SCHEMA.names if name != "item_id")
LITTLE_FILES_BYTES: Final = 8_000  # to decode: 15 ms at the very worst, a tenth of one as a rule
LITTLE_PIXELS_BYTES: Final = 65_536  # 128 × 128 and a mask: 1 ms to judge
DECODED_AT_ONCE: Final = CORES + 1  # pictures as pixels; one more than cores, so that none waits for a hand-over


class Runtime:
    """One process's share of a run. Made by `runtime_of`; its parts belong to its own event loop."""

    def __init__(self, plan: PlannedRun, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings
        self.progress = Progress(total=plan.row_count, started=time.monotonic())
        self.clock: Callable[[], float] = time.time
        self.leftovers: dict[str, OpenAttempt] = {}  # by content key: what an earlier process sent and did not book
        self._loop = _fast_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cleanplate-editing", daemon=True)
        self._thread.start()
        self._entrance = threading.Lock()
        self._under_way: set[Future[Any]] = set()
        self._left_at = time.monotonic()  # when the last work ended
        self._closing = False
        self._cpu = ThreadPoolExecutor(CORES, thread_name_prefix="cleanplate-pixels")
        gc.set_threshold(20_000, 20, 50)  # Python's own 700 collects too often for thousands of live tasks
        keep_freed_memory()
        cv2.setNumThreads(1)  # pictures are spread over the cores, not the parts of one picture
        try:
            self.run(self._open())
        except BaseException:
            self._end_loop()
            raise

    def run(self, work: Coroutine[Any, Any, T], *, meanwhile: Callable[[], None] | None = None) -> T:
        """Do `work` on the event loop and wait for it, from any other thread. Raises StoppedError once it is being closed.

        `meanwhile` is called every second of the wait, and once after it.
        """
        with self._entrance:
            if self._closing:
                work.close()
                raise StoppedError(ErrorCode.INTERRUPTED)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._under_way.add(future)
        future.add_done_callback(self._left)
        done = False
        while meanwhile is not None and not done:
            done = bool(wait([future], timeout=MEANWHILE_S).done)
            meanwhile()
        return future.result()

    @property
    def idle_s(self) -> float:
        """How long nothing has been under way."""
        return 0.0 if self._under_way else time.monotonic() - self._left_at

    def _left(self, future: Future[Any]) -> None:
        self._left_at = time.monotonic()
        self._under_way.discard(future)

    async def cpu(self, function: Callable[..., T], *args: Any, little: bool = False, **kwargs: Any) -> T:
        """Run a CPU-bound function in a thread; what it calls releases the interpreter lock.

        `little`: it is done here and now, since threads that pass the interpreter lock to and fro would take longer.
        """
        if little:
            return function(*args, **kwargs)
        return await self._loop.run_in_executor(self._cpu, lambda: function(*args, **kwargs))

    def stop(self, code: ErrorCode) -> None:
        """Take up nothing new. Safe from signal handlers and other threads."""
        self._loop.call_soon_threadsafe(self.switch.throw, code)

    def close(self, *, settle: bool = True) -> None:
        """Settle what is under way, or cancel it (what was sent may then stay in doubt), and give everything back.

        Whoever waits in `run` comes back: nobody waits for a loop that has ended.
        """
        if not self._thread.is_alive():
            return
        with self._entrance:
            self._closing = True
            under_way = set(self._under_way)
        if settle and under_way:  # the run failed above its batches; they come to their end
            self.stop(ErrorCode.INTERRUPTED)
            wait(under_way)
        asyncio.run_coroutine_threadsafe(self._close(settle=settle), self._loop).result()
        self._end_loop()

    async def recover(self, content_keys: Collection[str]) -> None:
        """Take over the requests for these contents that dead processes left open; others may have other rows in hand."""
        for left in await self.ledger.recover(content_keys=content_keys):
            if left.content_key is not None:
                self.leftovers[left.content_key] = left

    async def _open(self) -> None:
        config = self.plan.config
        self.switch = StopSwitch()
        self.storage = Storage()
        self.memory = ByteBudget(self.settings.memory_mb * 1_000_000)
        self.kept_pixels = ByteBudget(self.settings.memory_mb * 1_000_000 // 4)
        self.decoded = Places(DECODED_AT_ONCE)
        self.once = OnceAtATime()
        self.upstream = Upstream(on_empty=self._nudge)
        self.decisions = RoutingDecisions()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()  # for whoever can tell people
        try:
            self.ledger = await Ledger.open(
                self.settings.ledger_url.get_secret_value(), durable=self.settings.ledger_durable
            )
        except LedgerError as error:
            raise ConfigurationError(f"the ledger cannot be opened (CLEANPLATE_LEDGER_URL): {error}") from error
        if self.plan.joined and not await self.ledger.knows_run(self.plan.run_id):
            await self.ledger.aclose()
            raise ConfigurationError(
                f"this process's ledger does not know run {self.plan.run_id}, so limits and budget would not be shared: "
                "CLEANPLATE_LEDGER_URL must name the same database for the run and for every worker that joins it"
            )
        await self.ledger.open_run(self.plan.run_id, config.budget_usd, probe_parked=config.shard is None)
        self.past_attempts = AskedTogether(self.ledger.attempts_by_content)
        self.deliveries = Deliveries(self.ledger, self.storage, run_id=self.plan.run_id, reuse=config.reuse)
        self.sources = SourceReader(self.storage, self.ledger)
        self.lanes: dict[str, Lane] = {}
        for key, provider in make_providers(config.providers, self.settings).items():
            terms = self.settings.providers.of(key)
            await self.ledger.open_account(key, AccountTerms.of(terms))
            lane_settings = LaneSettings(
                run_id=self.plan.run_id, provider=terms, routing=self.settings.routing, retry=self.settings.retry
            )
            self.lanes[key] = Lane(
                provider,
                self.ledger,
                lane_settings,
                self.switch,
                self.clock,
                lambda: self.upstream.busy,
                self._events.put,
            )
        self.course = await asyncio.to_thread(self._chart)
        self._pumps = [asyncio.create_task(lane.run()) for lane in self.lanes.values()]
        left_s = config.time_left_s(datetime.fromtimestamp(self.clock(), UTC))
        if left_s is not None:
            self._loop.call_later(left_s, self.switch.throw, ErrorCode.DEADLINE_REACHED)

    def _chart(self) -> Course:
        """The plan that rows are routed by: made from counts of like rows, so it takes no memory worth mentioning."""
        tally = Tally()
        if len(self.plan.config.providers) > 1:
            for rows in self.plan.manifest.stream(PLANNED_COLUMNS):
                tally.add_columns(rows.table)
        deadline_s = self.plan.config.deadline_s
        return Course(
            tally.classes,
            policy=PolicyName(self.plan.config.policy),
            settings=self.settings.routing,
            deadline=None if deadline_s is None else self.clock() + deadline_s,
        )

    def expected(self) -> Expected | None:
        """What the first plan said; None when nothing was planned, as with a single provider."""
        first = self.course.first
        if first is None or len(self.plan.config.providers) == 1:
            return None
        return Expected(cost_usd=first.usd, duration_s=first.finish_s)

    def drain_events(self) -> list[Event]:
        """What happened since the last call that people may want to be told."""
        drained = []
        with contextlib.suppress(queue.Empty):
            while True:
                drained.append(self._events.get_nowait())
        return drained

    def _nudge(self) -> None:
        for lane in self.lanes.values():
            lane.nudge()

    async def _close(self, *, settle: bool) -> None:
        ending = set(self._pumps) if settle else asyncio.all_tasks() - {asyncio.current_task()}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for lane in self.lanes.values():
            await lane.provider.aclose()
        await self.ledger.aclose()
        await self.storage.aclose()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._cpu.shutdown()
        self._loop.close()


def _fast_event_loop() -> asyncio.AbstractEventLoop:
    """An event loop by uvloop, where that runs: a row is a hundred steps of the loop."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not to be had on Windows

    return uvloop.new_event_loop()
