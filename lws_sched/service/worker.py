"""A planning process: `python -m lws_sched.service.worker <bytes>`, with a socket to the extender as standard input.

Planning runs here and not in the extender for three reasons. The extender's interpreter lock belongs to
kube-scheduler's calls. A plan that takes longer than its caller waits can only be stopped by stopping its process. And
what is read here comes from callers: text that needs too much memory, or crashes a parser, takes down nobody else.

The process is nice to all others, may use so many bytes of memory, and ends when the extender does.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import socket
import sys

from lws_sched.intake.documents import BadInput
from lws_sched.intake.explaining import NotThere
from lws_sched.service import frames
from lws_sched.service.answering import Known, answered
from lws_sched.service.frames import Admitted, Changes, Done, Explain, Failed, Plan, Question, Template, Templates

log = logging.getLogger(__name__)

NICENESS = 10


class _Unwanted(Exception):
    """Nobody waits for the answer."""


class Worker:
    """Answers one question after the other until the connection ends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._known = Known()

    def run(self) -> None:
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                frame = self._next()
                if isinstance(frame, Changes):
                    self._known.learn(frame)
                elif isinstance(frame, Plan | Explain):
                    self._answer(frame)

    def _answer(self, question: Question) -> None:
        with contextlib.suppress(_Unwanted):
            self._send(self._answered(question))

    def _answered(self, question: Question) -> frames.Frame:
        try:
            return Done(answered(question, self._known, self._admitted))
        except NotThere as problem:
            return Failed("NOT_FOUND", str(problem))
        except BadInput as problem:
            return Failed("INVALID_ARGUMENT", str(problem))
        except MemoryError:
            return Failed("RESOURCE_EXHAUSTED", "the request needs more memory than planning may use: ask for less")
        except (_Unwanted, EOFError, ConnectionError):
            raise
        except Exception:
            log.exception("a question could not be answered")
            return Failed("INTERNAL", "planning failed: see the extender's log")

    def _admitted(self, sets: tuple[Template, ...]) -> Admitted:
        self._send(Templates(sets))
        answer = self._next()
        if not isinstance(answer, Admitted):
            raise _Unwanted
        return answer

    def _next(self) -> frames.ToWorker:
        frame: frames.ToWorker = frames.TO_WORKER.decode(frames.received(self._connection))
        return frame

    def _send(self, frame: frames.Frame) -> None:
        self._connection.sendall(frames.encoded(frame))


def main() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.nice(NICENESS)
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # As in the extender: thousands of objects that live long and hold no cycles.
    gc.set_threshold(50_000, 50, 100)
    Worker(socket.socket(fileno=0)).run()


if __name__ == "__main__":
    main()
