"""The gRPC server: TLS, limits, health, reflection, and `calls` behind them.

* TLS always. The certificate is asked for at each handshake, so a rotated one is served to every new connection.
* A call that names no deadline, or a far one, gets `LONGEST_SECONDS`.
* `CALLS` run at once, each on a thread of its own that mostly waits; more are refused with RESOURCE_EXHAUSTED.
* A message may have `MESSAGE_BYTES`, the metadata of a call `METADATA_BYTES`; a handshake may take ten seconds; a
  connection on which nothing happens, or whose other end does not answer, is closed.
* grpc.health.v1 and reflection need no token: what they tell is no secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lws_sched.admission import certificates
from lws_sched.admission.certificates import Certificate
from lws_sched.kube.port import Clock
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.calls import Call, Calls
from lws_sched.service.limits import MESSAGE_BYTES
from lws_sched.service.refusal import Refusal
from lws_sched.service.watching import WATCHERS
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Histogram, Instrument

log = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["Placement"].full_name
LONGEST_SECONDS = 60.0
CALLS = WATCHERS + 24
METADATA_BYTES = 32 * 2**10
STOP_SECONDS = 5.0
_MINUTE_MS = 60_000
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
    ("grpc.max_concurrent_streams", CALLS),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 5 * _MINUTE_MS),
    ("grpc.keepalive_time_ms", _MINUTE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Two processes on one port would share its calls, and nobody would notice.
    ("grpc.so_reuseport", 0),
)


class CallMeter:
    """What is counted of calls, under the names that gRPC servers commonly use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = Counter(families.GRPC_STARTED)
        self._handled = Counter(families.GRPC_HANDLED)
        self._seconds = Histogram(families.GRPC_SECONDS)

    def instruments(self) -> tuple[Instrument, ...]:
        return (self._started, self._handled, self._seconds)

    def began(self, type_: str, method: str) -> Callable[[str], None]:
        """To be called with the status when the call has ended."""
        labels, began = (type_, SERVICE, method), self._clock.monotonic()
        self._started.add(*labels)

        def ended(code: str) -> None:
            self._handled.add(*labels, code)
            self._seconds.observe(self._clock.monotonic() - began, *labels)

        return ended


@dataclass(frozen=True)
class _Call:
    """`calls.Call` of a gRPC context."""

    context: Any
    clock: Clock
    end: float

    @property
    def authorization(self) -> str:
        values = [value for key, value in self.context.invocation_metadata() if key == "authorization"]
        return str(values[0]) if len(values) == 1 else ""

    def remaining(self) -> float:
        left = self.context.time_remaining()
        return min(self.end - self.clock.monotonic(), LONGEST_SECONDS if left is None else left)

    def is_wanted(self) -> bool:
        return bool(self.context.is_active())

    def on_end(self, task: Callable[[], None]) -> None:
        if not self.context.add_callback(task):
            task()

    def cut(self) -> None:
        self.context.cancel()


class PlacementServer:
    """To be started when the caches are complete. Until it is given a certificate to `use`, it has one of its own that
    no client trusts."""

    def __init__(self, calls: Calls, host: str, port: int, meter: CallMeter, clock: Clock) -> None:
        self._calls, self._meter, self._clock = calls, meter, clock
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._certificate = certificates.issue(["localhost"], clock.now())
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="placement")
        self._server = grpc.server(self._pool, options=OPTIONS, maximum_concurrent_rpcs=CALLS)
        self._health = health.HealthServicer()
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._handlers()),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._port = 0

    @property
    def port(self) -> int:
        """The port in use once started, also where 0 was asked for."""
        return self._port

    def use(self, certificate: Certificate) -> None:
        """Serve this certificate to every connection from now on; those that exist are not disturbed."""
        self._certificate = certificate

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        served = self._certificate
        last = [served]

        def changed() -> Any:
            current = self._certificate
            if current is last[0]:
                return None
            last[0] = current
            return _configuration(current)

        credentials = grpc.dynamic_ssl_server_credentials(_configuration(served), changed)
        try:
            self._port = self._server.add_secure_port(self._address, credentials)
        except RuntimeError as problem:
            raise OSError(f"the placement service cannot listen on {self._address}: {problem}") from problem
        self._server.start()
        for name in ("", SERVICE):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Take no more calls, let those under way end, but not for long."""
        self._health.enter_graceful_shutdown()
        stopped = self._server.stop(STOP_SECONDS)
        self._calls.hub.stop()
        stopped.wait()
        self._calls.desk.stop()
        self._pool.shutdown(wait=False)

    # --- calls -------------------------------------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Any]:
        unary = {"Plan": self._calls.plan, "Explain": self._calls.explain, "Defragment": self._calls.defragment}
        handlers = {name: grpc.unary_unary_rpc_method_handler(self._unary(name, call)) for name, call in unary.items()}
        watch = grpc.unary_stream_rpc_method_handler(
            self._watch, response_serializer=pb.PlacementEvent.SerializeToString
        )
        return {**handlers, "WatchPlacements": watch}

    def _unary(self, name: str, answer: Callable[[bytes, Call], bytes]) -> Callable[[bytes, Any], bytes]:
        def handle(body: bytes, context: Any) -> bytes:
            ended = self._meter.began("unary", name)
            try:
                response = answer(body, self._call(context))
                if len(response) > MESSAGE_BYTES:
                    raise Refusal("RESOURCE_EXHAUSTED", "the answer is larger than a message may be: ask for less")
            except Exception as problem:
                refusal = _refusal(name, problem)
                ended(_title(refusal.code))
                context.abort(grpc.StatusCode[refusal.code], refusal.sentence)
            ended("OK")
            return response

        return handle

    def _watch(self, body: bytes, context: Any) -> Iterator[pb.PlacementEvent]:
        ended = self._meter.began("server_stream", "WatchPlacements")
        try:
            yield from self._calls.watch(body, self._call(context))
        except GeneratorExit:
            ended("Canceled")
            raise
        except Exception as problem:
            refusal = _refusal("WatchPlacements", problem)
            ended(_title(refusal.code))
            context.abort(grpc.StatusCode[refusal.code], refusal.sentence)
        ended("OK" if context.is_active() else "Canceled")

    def _call(self, context: Any) -> _Call:
        return _Call(context, self._clock, self._clock.monotonic() + LONGEST_SECONDS)


def _configuration(certificate: Certificate) -> Any:
    return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.certificate)])


def _refusal(name: str, problem: Exception) -> Refusal:
    if isinstance(problem, Refusal):
        return problem
    log.error("a call failed method=%s", name, exc_info=problem)
    return Refusal("INTERNAL", "the call failed: see the extender's log")


def _title(code: str) -> str:
    """A status as the metrics of gRPC servers write it: `InvalidArgument`."""
    return {"OK": "OK", "CANCELLED": "Canceled"}.get(code, code.title().replace("_", ""))
