"""What a user is told whom the API server does not answer, or says no to."""

from __future__ import annotations

from lws_sched.cli.refusals import sentence
from lws_sched.kube.errors import ApiError, Forbidden, NotFound, Unavailable


def test_a_server_that_is_not_there_is_named_and_the_context_is_put_in_question() -> None:
    said = sentence(Unavailable("no answer from the API server at a:1 to GET /x: Connection refused", status=0))
    assert said.endswith("Connection refused; is the cluster up, and is this the --context that you mean?")


def test_a_certificate_that_is_not_trusted_is_the_kubeconfig_s_matter() -> None:
    said = sentence(Unavailable("no answer: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", status=0))
    assert said.endswith("the kubeconfig's certificate-authority is not the one that this server's certificate is from")


def test_credentials_that_are_not_known_send_nobody_to_an_administrator() -> None:
    assert "log in again" in sentence(Forbidden("Unauthorized", status=401))


def test_a_missing_right_is_named_with_the_role_that_has_it_or_the_namespace_that_may_do() -> None:
    nodes = sentence(Forbidden('nodes is forbidden: User "u" cannot list resource "nodes" at the cluster scope'))
    pods = sentence(Forbidden('pods is forbidden: User "u" cannot list resource "pods" at the cluster scope'))
    assert nodes.endswith("ask for that right, or have an administrator bind the ClusterRole lws-sched-reader to you")
    assert "name a namespace of yours with -n" in pods


def test_all_else_is_told_as_the_server_says_it() -> None:
    assert "`lws-sched check`" in sentence(NotFound("leaderworkersets not found"))
    assert sentence(ApiError("the queue is full", status=418)) == "the API server says: the queue is full"
