"""When a self-made webhook certificate is made anew, so that nobody ever meets one that they do not trust.

A Secret holds what all replicas share: the certificate served, the authorities to trust, and, during a change, the
certificate that follows. To change, the next certificate is made and its authority put beside the old one; only after
`TRUSTED_SECONDS`, when every API server has long learnt of it, is the next one served. The old authority stays trusted
until it ends by itself: a replica that has not noticed yet may still serve what it signed.

`turned` is a function from what the Secret holds to what it should hold; the replicas call it side by side and write
its result under the Secret's resourceVersion, so one of them wins and the others read that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lws_sched.admission import certificates
from lws_sched.admission.certificates import CLOCK_SKEW_SECONDS, Certificate, InvalidCertificate

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
NEXT_CERTIFICATE, NEXT_KEY = "next.crt", "next.key"
TRUSTED_SECONDS = 300.0
"""How long an authority is trusted before anything that it signed is served."""

Issue = Callable[[], Certificate]


@dataclass(frozen=True)
class Held:
    """What the Secret holds. None where there is no certificate, or one that is of no use to anybody."""

    serving: Certificate | None
    following: Certificate | None
    authorities: bytes


EMPTY = Held(None, None, b"")


def held(data: Mapping[str, bytes]) -> Held:
    """Read a Secret's data. What cannot be read is as good as absent: it is made anew."""
    authorities = data.get(AUTHORITIES, b"")
    return Held(
        _read(data.get(CERTIFICATE, b""), data.get(KEY, b""), authorities),
        _read(data.get(NEXT_CERTIFICATE, b""), data.get(NEXT_KEY, b""), authorities),
        authorities,
    )


def data(state: Held) -> dict[str, bytes | None]:
    """The Secret's data for a state; None for what must not be there."""
    serving, following = state.serving, state.following
    return {
        CERTIFICATE: serving.certificate if serving else None,
        KEY: serving.key if serving else None,
        AUTHORITIES: state.authorities,
        NEXT_CERTIFICATE: following.certificate if following else None,
        NEXT_KEY: following.key if following else None,
    }


def turned(
    state: Held, names: Sequence[str], now: float, issue: Issue, trusted_seconds: float = TRUSTED_SECONDS
) -> Held:
    """What the Secret should hold: the argument itself where that is what it does."""
    serving = state.serving if _is_good(state.serving, names, now) else None
    following = state.following if _is_good(state.following, names, now) else None
    if serving is None:
        serving, following = following or issue(), None
    elif following is not None and now >= _issued_at(following) + trusted_seconds:
        serving, following = following, None
    elif following is None and serving.expires_soon(now):
        following = issue()
    issued = [each.authority for each in (serving, following) if each is not None]
    authorities = certificates.bundle(state.authorities, *issued, now=now)
    if (serving, following) == (state.serving, state.following) and authorities == certificates.bundle(
        state.authorities, now=0.0
    ):
        return state
    return Held(_trusting(serving, authorities), _trusting(following, authorities) if following else None, authorities)


def _trusting(certificate: Certificate, authorities: bytes) -> Certificate:
    return Certificate(certificate.certificate, certificate.key, authorities)


def _is_good(certificate: Certificate | None, names: Sequence[str], now: float) -> bool:
    return certificate is not None and now < certificate.not_after and set(names) <= set(certificate.names)


def _issued_at(certificate: Certificate) -> float:
    return certificate.not_before + CLOCK_SKEW_SECONDS


def _read(certificate: bytes, key: bytes, authorities: bytes) -> Certificate | None:
    if not (certificate and key and authorities):
        return None
    try:
        return certificates.read(certificate, key, authorities)
    except InvalidCertificate:
        return None
