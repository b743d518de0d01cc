"""Whether a kube-scheduler's configuration is fit for groups: what `deploy/scheduler` says, checked on any file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lws_sched.api import names

TIMEOUT = "15s"
"""Bind calls are held for up to 12 s."""
VERBS = {"filterVerb": "filter", "bindVerb": "bind"}


@dataclass(frozen=True)
class Fault:
    said: str
    fix: str


def faults(configuration: Mapping[str, Any]) -> Iterator[Fault]:
    """Everything in a KubeSchedulerConfiguration that keeps groups from being placed, or lets them be split."""
    profiles = [each for each in _list(configuration, "profiles") if each.get("schedulerName") == names.SCHEDULER]
    if not profiles:
        yield Fault(f"it has no profile {names.SCHEDULER}", "add the profile of deploy/scheduler")
    for profile in profiles:
        yield from _of_profile(profile, configuration)
    extenders = [each for each in _list(configuration, "extenders") if _is_ours(each)]
    if not extenders:
        yield Fault("it has no extender that manages lws-sched.io/member", "add the extender of deploy/scheduler")
    for extender in extenders:
        yield from _of_extender(extender)


def _of_profile(profile: Mapping[str, Any], configuration: Mapping[str, Any]) -> Iterator[Fault]:
    percentage = profile.get("percentageOfNodesToScore", configuration.get("percentageOfNodesToScore"))
    if percentage != 100:
        yield Fault(
            f"percentageOfNodesToScore of the profile is {percentage if percentage else 'not set'}: on a large cluster "
            "the search may stop before it comes to a member's node",
            "set it to 100",
        )
    post_filter = (profile.get("plugins") or {}).get("postFilter") or {}
    if not {"DefaultPreemption", "*"} & {each.get("name") for each in _list(post_filter, "disabled")}:
        yield Fault(
            "DefaultPreemption is on: it evicts single pods for a single member",
            "disable it under plugins.postFilter of the profile",
        )


def _of_extender(extender: Mapping[str, Any]) -> Iterator[Fault]:
    for verb, path in VERBS.items():
        if extender.get(verb) != path:
            yield Fault(f"{verb} of the extender is {extender.get(verb) or 'not set'}", f"set it to {path}")
    if extender.get("ignorable"):
        yield Fault("the extender is ignorable: without its answer members are bound one by one", "set it to false")
    if not extender.get("nodeCacheCapable"):
        yield Fault("nodeCacheCapable of the extender is not true: it is sent nodes it cannot use", "set it to true")
    if extender.get("httpTimeout") != TIMEOUT:
        yield Fault(
            f"httpTimeout of the extender is {extender.get('httpTimeout') or 'not set'}: bindings are held for 12 s",
            f"set it to {TIMEOUT}",
        )
    yield from _of_resources(_list(extender, "managedResources"))
    url, tls = str(extender.get("urlPrefix", "")), extender.get("tlsConfig") or {}
    if url.startswith("https://") and not (extender.get("enableHTTPS") and tls.get("certFile") and tls.get("caFile")):
        yield Fault(
            "the extender is called over TLS without a client certificate: it will not answer",
            "set enableHTTPS, and caFile, certFile and keyFile in tlsConfig",
        )


def _of_resources(managed: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    known = {each.get("name") for each in managed}
    missing = [each for each in names.MANAGED_RESOURCES if each not in known]
    if missing:
        yield Fault(
            f"the extender does not manage {', '.join(missing)}: pods that want them may take held slots",
            "list all of deploy/scheduler under managedResources",
        )
    ignored = [str(each.get("name")) for each in managed if each.get("ignoredByScheduler")]
    if ignored:
        yield Fault(f"{', '.join(ignored)} has ignoredByScheduler: every profile stops counting it", "set it to false")


def _is_ours(extender: Mapping[str, Any]) -> bool:
    return any(each.get("name") == names.MEMBER_RESOURCE for each in _list(extender, "managedResources"))


def _list(mapping: Mapping[str, Any], key: str) -> list[Any]:
    return [each for each in mapping.get(key) or () if isinstance(each, Mapping)]
