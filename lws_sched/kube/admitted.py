"""What admission makes of the members of a set: asked by server-side dry runs, which store nothing."""

from __future__ import annotations

from lws_sched.api.core import POD, PodSpec
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.intake import shapes
from lws_sched.intake.cluster import Cluster as Objects
from lws_sched.intake.shapes import template_shapes
from lws_sched.intake.wanted import MemberShapes
from lws_sched.kube.errors import Forbidden, Invalid, NotFound, Unavailable
from lws_sched.kube.port import Cluster

WEBHOOK_FAILED = "failed calling webhook"
"""How the API server begins where it cannot create an object because a webhook does not answer."""


def admitted_shapes(cluster: Cluster, objects: Objects, lws: LeaderWorkerSet) -> tuple[MemberShapes, str]:
    """The shapes, and a note where the dry runs were refused and the templates are taken as they are; "" else.

    Raises ApiError where the API server cannot say now.
    """
    try:
        specs: list[PodSpec] = [cluster.create(POD, body, dry_run=True).spec for body in shapes.dry_runs(lws)]
    except (Invalid, Forbidden, NotFound) as error:
        return template_shapes(objects, lws), f"the templates of {lws.metadata.name} are taken as they are: {error}"
    except Unavailable as error:
        if WEBHOOK_FAILED not in str(error):
            raise
        note = f"no pod of {lws.metadata.name} could be created now: {error}; `lws-sched check` tells more"
        return template_shapes(objects, lws), note
    return shapes.member_shapes(specs), ""
