"""The listener for kube-scheduler's calls: HTTP on an event loop of its own, in a thread of its own.

A thread-pool server would deadlock here: bind calls are held until their whole group has arrived, and a group may be
larger than any pool. On the loop a held call costs a future. `filter` is answered on the loop itself, as it only looks
up; `bind` is answered through a callback from whichever thread finished the commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from aiohttp import web

from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs, FilterResult
from lws_sched.extender.verbs import Verbs

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 2**20
"""A filter call for 5,000 nodes is about 300 kB."""
T = TypeVar("T")


@dataclass(frozen=True)
class Codec:
    """Bytes in, bytes out; decoders are made once."""

    filter_args: msgspec.json.Decoder[ExtenderArgs]
    binding_args: msgspec.json.Decoder[BindingArgs]
    encoder: msgspec.json.Encoder


CODEC = Codec(msgspec.json.Decoder(ExtenderArgs), msgspec.json.Decoder(BindingArgs), msgspec.json.Encoder())


class Listener:
    """Serves the verbs at http://host:port/{filter,bind}. `start` returns once it accepts calls."""

    def __init__(self, verbs: Verbs, host: str, port: int) -> None:
        self._verbs = verbs
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="verbs", daemon=True)
        self._ready: threading.Event = threading.Event()
        self._failure: BaseException | None = None
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port in use, also where 0 was asked for."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._open())
        except OSError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        self._loop.run_forever()
        if self._runner is not None:
            self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _open(self) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/filter", self._filter)
        app.router.add_post("/bind", self._bind)
        app.router.add_get("/healthz", _healthz)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=4096).start()

    async def _filter(self, request: web.Request) -> web.Response:
        args = await _decode(request, CODEC.filter_args)
        if isinstance(args, str):
            return _answer(FilterResult(error=args))
        try:
            return _answer(self._verbs.filter(args))
        except Exception:  # a bug must cost one scheduling attempt, with a reason, and not the listener
            log.exception("filter failed pod=%s/%s", args.pod.metadata.namespace, args.pod.metadata.name)
            return _answer(FilterResult(error="lws-sched: the filter failed; see the extender's log"))

    async def _bind(self, request: web.Request) -> web.Response:
        args = await _decode(request, CODEC.binding_args)
        if isinstance(args, str):
            return _answer(BindingResult(error=args))
        answer: asyncio.Future[BindingResult] = self._loop.create_future()

        def respond(result: BindingResult) -> None:
            self._loop.call_soon_threadsafe(_settle, answer, result)

        def is_alive() -> bool:
            return not answer.done() and request.transport is not None and not request.transport.is_closing()

        self._verbs.bind(args, respond, is_alive)
        return _answer(await answer)


def _settle(answer: asyncio.Future[BindingResult], result: BindingResult) -> None:
    if not answer.done():
        answer.set_result(result)


async def _decode(request: web.Request, decoder: msgspec.json.Decoder[T]) -> T | str:
    """The call's arguments, or one sentence on what is wrong with them."""
    try:
        return decoder.decode(await request.read())
    except msgspec.DecodeError as error:
        return f"lws-sched: malformed {request.path[1:]} call: {error}"


def _answer(result: FilterResult | BindingResult) -> web.Response:
    return web.Response(body=CODEC.encoder.encode(result), content_type="application/json")


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
