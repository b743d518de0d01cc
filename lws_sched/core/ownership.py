"""Owner references: who made an object, and with whom it goes away."""

from __future__ import annotations

from typing import Any

from lws_sched.api.meta import Kind, Meta


def owner_reference(kind: Kind[Any], owner: Meta) -> dict[str, Any]:
    """The reference that makes `owner` an object's controller, and its foreground deletion wait for the object."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(child: Meta, owner: Meta) -> bool:
    """By this very incarnation of the owner: names are used again, UIDs never."""
    controller = child.controller
    return controller is not None and controller.uid == owner.uid
