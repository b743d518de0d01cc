from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanRequest(_message.Message):
    __slots__ = ("manifests", "namespace", "cluster")
    MANIFESTS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    manifests: str
    namespace: str
    cluster: str
    def __init__(self, manifests: _Optional[str] = ..., namespace: _Optional[str] = ..., cluster: _Optional[str] = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("groups", "notes")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[Answer]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, groups: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("name", "namespace", "feasible", "domain", "slots", "proof", "value", "bound", "reason", "fix", "size", "standing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    FEASIBLE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    feasible: bool
    domain: Domain
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    proof: str
    value: int
    bound: int
    reason: str
    fix: str
    size: int
    standing: bool
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ..., feasible: _Optional[bool] = ..., domain: _Optional[_Union[Domain, _Mapping]] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., proof: _Optional[str] = ..., value: _Optional[int] = ..., bound: _Optional[int] = ..., reason: _Optional[str] = ..., fix: _Optional[str] = ..., size: _Optional[int] = ..., standing: _Optional[bool] = ...) -> None: ...

class Domain(_message.Message):
    __slots__ = ("level", "value")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    level: str
    value: str
    def __init__(self, level: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("pod", "node")
    POD_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    pod: str
    node: str
    def __init__(self, pod: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("name", "namespace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("set", "groups")
    SET_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    set: str
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    def __init__(self, set: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("name", "namespace", "state", "since", "asked", "domain", "proof", "reason", "fix", "now", "members", "sentences")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    state: str
    since: str
    asked: Asked
    domain: Domain
    proof: str
    reason: str
    fix: str
    now: Answer
    members: _containers.RepeatedCompositeFieldContainer[Member]
    sentences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ..., state: _Optional[str] = ..., since: _Optional[str] = ..., asked: _Optional[_Union[Asked, _Mapping]] = ..., domain: _Optional[_Union[Domain, _Mapping]] = ..., proof: _Optional[str] = ..., reason: _Optional[str] = ..., fix: _Optional[str] = ..., now: _Optional[_Union[Answer, _Mapping]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., sentences: _Optional[_Iterable[str]] = ...) -> None: ...

class Asked(_message.Message):
    __slots__ = ("required", "exclusive", "preferred")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    required: str
    exclusive: str
    preferred: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, required: _Optional[str] = ..., exclusive: _Optional[str] = ..., preferred: _Optional[_Iterable[str]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("pod", "state", "ready", "slot", "node", "restarts", "message")
    POD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    pod: str
    state: str
    ready: bool
    slot: str
    node: str
    restarts: int
    message: str
    def __init__(self, pod: _Optional[str] = ..., state: _Optional[str] = ..., ready: _Optional[bool] = ..., slot: _Optional[str] = ..., node: _Optional[str] = ..., restarts: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class DefragmentRequest(_message.Message):
    __slots__ = ("manifests", "namespace", "cluster")
    MANIFESTS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    manifests: str
    namespace: str
    cluster: str
    def __init__(self, manifests: _Optional[str] = ..., namespace: _Optional[str] = ..., cluster: _Optional[str] = ...) -> None: ...

class DefragmentResponse(_message.Message):
    __slots__ = ("groups", "notes")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[Moves]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, groups: _Optional[_Iterable[_Union[Moves, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Moves(_message.Message):
    __slots__ = ("answer", "moves", "moved", "at_least")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    answer: Answer
    moves: _containers.RepeatedCompositeFieldContainer[Move]
    moved: int
    at_least: int
    def __init__(self, answer: _Optional[_Union[Answer, _Mapping]] = ..., moves: _Optional[_Iterable[_Union[Move, _Mapping]]] = ..., moved: _Optional[int] = ..., at_least: _Optional[int] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("group", "pods", "is_owned")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PODS_FIELD_NUMBER: _ClassVar[int]
    IS_OWNED_FIELD_NUMBER: _ClassVar[int]
    group: str
    pods: _containers.RepeatedCompositeFieldContainer[MovedPod]
    is_owned: bool
    def __init__(self, group: _Optional[str] = ..., pods: _Optional[_Iterable[_Union[MovedPod, _Mapping]]] = ..., is_owned: _Optional[bool] = ...) -> None: ...

class MovedPod(_message.Message):
    __slots__ = ("pod", "from_node", "to_node")
    POD_FIELD_NUMBER: _ClassVar[int]
    FROM_NODE_FIELD_NUMBER: _ClassVar[int]
    TO_NODE_FIELD_NUMBER: _ClassVar[int]
    pod: str
    from_node: str
    to_node: str
    def __init__(self, pod: _Optional[str] = ..., from_node: _Optional[str] = ..., to_node: _Optional[str] = ...) -> None: ...

class WatchPlacementsRequest(_message.Message):
    __slots__ = ("namespace", "leader_worker_set")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LEADER_WORKER_SET_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    leader_worker_set: str
    def __init__(self, namespace: _Optional[str] = ..., leader_worker_set: _Optional[str] = ...) -> None: ...

class PlacementEvent(_message.Message):
    __slots__ = ("type", "placement")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[PlacementEvent.Type]
        LISTED: _ClassVar[PlacementEvent.Type]
        COMPLETE: _ClassVar[PlacementEvent.Type]
        CHANGED: _ClassVar[PlacementEvent.Type]
        GONE: _ClassVar[PlacementEvent.Type]
    TYPE_UNSPECIFIED: PlacementEvent.Type
    LISTED: PlacementEvent.Type
    COMPLETE: PlacementEvent.Type
    CHANGED: PlacementEvent.Type
    GONE: PlacementEvent.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    type: PlacementEvent.Type
    placement: PlacementState
    def __init__(self, type: _Optional[_Union[PlacementEvent.Type, str]] = ..., placement: _Optional[_Union[PlacementState, _Mapping]] = ...) -> None: ...

class PlacementState(_message.Message):
    __slots__ = ("name", "namespace", "leader_worker_set", "group_index", "size", "revision", "state", "since", "domain", "slots", "bound", "reason", "fix", "proof", "resource_version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LEADER_WORKER_SET_FIELD_NUMBER: _ClassVar[int]
    GROUP_INDEX_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    leader_worker_set: str
    group_index: int
    size: int
    revision: str
    state: str
    since: str
    domain: Domain
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    bound: int
    reason: str
    fix: str
    proof: str
    resource_version: str
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ..., leader_worker_set: _Optional[str] = ..., group_index: _Optional[int] = ..., size: _Optional[int] = ..., revision: _Optional[str] = ..., state: _Optional[str] = ..., since: _Optional[str] = ..., domain: _Optional[_Union[Domain, _Mapping]] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., bound: _Optional[int] = ..., reason: _Optional[str] = ..., fix: _Optional[str] = ..., proof: _Optional[str] = ..., resource_version: _Optional[str] = ...) -> None: ...
