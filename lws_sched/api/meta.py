"""Object metadata, and `Kind`: the address of an object type on the API server together with its Python type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """Base of every wire type: immutable, camelCase on the wire, defaults left out when encoded.

    A value that cannot change after it was made cannot become part of a cycle, so the garbage collector need not look
    at it: with some 10,000 objects in memory that was the larger half of what decoding one more cost.
    """


class OwnerReference(Wire, frozen=True, kw_only=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class Meta(Wire, frozen=True, kw_only=True):
    """The part of ObjectMeta that we read. Timestamps stay RFC 3339 strings."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The managing owner, as Kubernetes defines it: the one reference with `controller: true`."""
        return next((ref for ref in self.owner_references if ref.controller), None)


class Object(Protocol):
    """What every kind has."""

    @property
    def metadata(self) -> Meta: ...


T = TypeVar("T", bound=Object)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """Where a type lives on the API server, and the Struct that its objects decode into."""

    group: str
    version: str
    kind: str
    plural: str
    type: type[T]
    namespaced: bool = True

    def __post_init__(self) -> None:
        # msgspec works out what a type looks like at its first use, and crashes when two threads do so at once.
        msgspec.json.Decoder(self.type)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def body(self, metadata: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """A JSON body of this kind, ready for `create` or `apply`."""
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": dict(metadata), **fields}

    def __str__(self) -> str:
        return self.kind


def key_of(obj: Object) -> str:
    """`namespace/name`, or the bare name of a cluster-scoped object: the key used in queues, indexes and logs."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def split_key(key: str) -> tuple[str, str]:
    """The namespace ("" when cluster-scoped) and the name in a key made by `key_of`."""
    namespace, _, name = key.rpartition("/")
    return namespace, name
