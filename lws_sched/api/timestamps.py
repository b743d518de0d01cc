"""RFC 3339 times as Kubernetes writes them, to and from seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime


def time_of(seconds: float) -> str:
    """`metav1.Time`: whole seconds, UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(seconds: float) -> str:
    """`metav1.MicroTime`: six decimals, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0.0 of an empty one."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def age(since: float, now: float | None) -> str:
    """How long ago, as kubectl says it; `-` where nobody knows the time."""
    if now is None:
        return "-"
    seconds = max(int(now - since), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
