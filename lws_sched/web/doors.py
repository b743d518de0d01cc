"""Who may look at the page.

Served by the extender: whoever has a bearer token that may GET the nonResourceURL `/page`. A program sends it in the
Authorization header; a browser cannot, so there it is given once, and kept in a cookie that scripts cannot read, that
goes nowhere else, and that ends with the session.

Served by `lws-sched page`, on loopback: whoever has the key in the address that the command printed. Others on the same
machine do not have it, and neither do web sites that point their own name at 127.0.0.1.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from flask import Request, Response

from lws_sched.admission.callers import Callers, Verdict, on_path

PATH = "/page"
"""The nonResourceURL that stands for the page in roles."""
ROLE = "lws-sched-page"
LONGEST_COOKIE = 3800
"""Characters of a token; browsers drop cookies beyond 4 KiB."""


class Door(Protocol):
    @property
    def asks_for_token(self) -> bool:
        """Whether a browser can be let in by a token."""

    @property
    def cookie(self) -> str:
        """The name of the cookie that the browser brings."""

    def authorization(self, request: Request) -> str:
        """By which a caller is told apart from others; "" where there is only one."""

    def judge(self, request: Request) -> Verdict: ...

    def admit(self, response: Response, secret: str) -> None:
        """Have the browser bring the secret from now on."""


@dataclass(frozen=True)
class TokenDoor:
    callers: Callers
    asks_for_token: bool = True
    cookie: str = "__Host-lws-sched"

    def authorization(self, request: Request) -> str:
        token = request.cookies.get(self.cookie)
        return request.headers.get("Authorization") or (f"Bearer {token}" if token else "")

    def judge(self, request: Request) -> Verdict:
        return self.judge_token(self.authorization(request))

    def judge_token(self, authorization: str) -> Verdict:
        return self.callers.judge(authorization, on_path("get", PATH, role=ROLE))

    def admit(self, response: Response, secret: str) -> None:
        response.set_cookie(self.cookie, secret, path="/", secure=True, httponly=True, samesite="Strict")

    def leave(self, response: Response) -> None:
        response.delete_cookie(self.cookie, path="/", secure=True, httponly=True, samesite="Strict")


@dataclass(frozen=True)
class KeyDoor:
    key: str
    port: int
    asks_for_token: bool = False

    @property
    def cookie(self) -> str:
        return f"lws-sched-page-{self.port}"

    def authorization(self, request: Request) -> str:  # noqa: ARG002 - all who have the key are one
        return ""

    def judge(self, request: Request) -> Verdict:
        if request.host not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            return Verdict(HTTPStatus.FORBIDDEN, sentence="this page is only for the machine that serves it")
        given = request.args.get("key") or request.cookies.get(self.cookie, "")
        if hmac.compare_digest(given.encode(), self.key.encode()):
            return Verdict(HTTPStatus.OK)
        return Verdict(
            HTTPStatus.UNAUTHORIZED,
            sentence="open the whole address that `lws-sched page` printed: it ends with a key",
        )

    def admit(self, response: Response, secret: str) -> None:
        response.set_cookie(self.cookie, secret, path="/", httponly=True, samesite="Strict")
