"""What to tell whom the API server does not answer, or says no to: the object, the cause, and what to do next."""

from __future__ import annotations

from lws_sched.kube.errors import ApiError, Forbidden, NotFound, Unavailable

READER = "lws-sched-reader"
"""The ClusterRole that allows all that the commands read (deploy/rbac/users.yaml)."""


def sentence(error: ApiError) -> str:
    if isinstance(error, Unavailable) and not error.status:
        return f"{error}; {_unreachable(str(error))}"
    if error.status == 401:
        return "the API server does not accept these credentials: log in again, or choose others with --context"
    if isinstance(error, Forbidden):
        return f"{error}; {_forbidden(str(error))}"
    if isinstance(error, NotFound):
        return f"the API server does not know this: {error}; `lws-sched check` tells whether the installation is whole"
    return f"the API server says: {error}"


def _unreachable(message: str) -> str:
    if "certificate verify failed" in message:
        return "the kubeconfig's certificate-authority is not the one that this server's certificate is from"
    return "is the cluster up, and is this the --context that you mean?"


def _forbidden(message: str) -> str:
    role = f"or have an administrator bind the ClusterRole {READER} to you"
    if "cluster scope" in message and ("nodes" not in message):
        return f"name a namespace of yours with -n where the command has it, {role}"
    return f"ask for that right, {role}"
