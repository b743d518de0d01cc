"""The command lines of the stock components, and how to see that each is ready.

Everything listens on 127.0.0.1 and trusts one CA. What differs from an ordinary cluster,
and why:

* etcd does not fsync: a test cluster need not survive a power cut (it does survive `kill -9`).
* Request limits of clients and servers are raised, so that a test measures the scheduler
  and the product, not a throttle.
* Admission is the stock set, ServiceAccount included (it costs nothing at start-up): pods
  get their token volume as they would in a user's cluster.
* Nodes have no heartbeat. kwok could renew a Lease per node, but that is a constant load
  on the measured machine, and a kwok that was killed would get its nodes back only when
  the Leases end. So the node lifecycle controller waits a week for a heartbeat instead; a
  test that wants a lost node says so (`nodes.set_readiness`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import urllib3

from tests.controlplane import pki
from tests.controlplane.ports import LOCALHOST

STAGES = Path(__file__).parent / "kwok.yaml"
SERVICE_RANGE = "172.20.0.0/16"
POD_RANGE = "10.0.0.0/8"
MANAGED_BY_KWOK = ("kwok.x-k8s.io/node", "fake")

# No address ranges for nodes, no certificate signing; and the TTL controller would write to every node
# each time their number passes a threshold, for a kubelet cache that nobody has.
CONTROLLERS_OFF = (
    "node-ipam-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "podcertificaterequest-cleaner-controller",
    "ttl-controller",
)


class Ports(NamedTuple):
    """One port per server; fixed for the life of a control plane, so that a restart keeps them."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int


class Site(NamedTuple):
    """Where one control plane lives: what the command lines need to know."""

    bin: Path
    workdir: Path
    ports: Ports
    keys: pki.Files
    kubeconfig: Path
    tokens: Path
    scheduler_config: Path


def etcd(site: Site) -> list[str]:
    client, peer = _url("http", site.ports.etcd), _url("http", site.ports.etcd_peer)
    return [
        str(site.bin / "etcd"),
        "--name=etcd",
        f"--data-dir={site.workdir / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=etcd={peer}",
        "--unsafe-no-fsync",
        # A lone member waits one election timeout at every start; it has no rival to lose against.
        "--heartbeat-interval=20",
        "--election-timeout=200",
        f"--quota-backend-bytes={8 << 30}",
        "--log-level=warn",
    ]


def apiserver(site: Site, extra: Sequence[str]) -> list[str]:
    return [
        str(site.bin / "kube-apiserver"),
        f"--etcd-servers={_url('http', site.ports.etcd)}",
        f"--bind-address={LOCALHOST}",
        f"--advertise-address={LOCALHOST}",
        f"--secure-port={site.ports.apiserver}",
        *_serving_certificate(site),
        f"--client-ca-file={site.keys.ca}",
        f"--token-auth-file={site.tokens}",
        # No front proxy holds a certificate of this CA, but without the flags its readers log errors for ever.
        f"--requestheader-client-ca-file={site.keys.ca}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={site.keys.service_account_key}",
        f"--service-account-signing-key-file={site.keys.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # The reconciler refuses a loopback address, and nobody looks up the service's endpoints.
        "--endpoint-reconciler-type=none",
        # SIGTERM ends it in 2 s; otherwise it waits up to a minute for its clients to give up their watches.
        "--shutdown-send-retry-after=true",
        "--max-requests-inflight=4000",
        "--max-mutating-requests-inflight=2000",
        *extra,
    ]


def controller_manager(site: Site, extra: Sequence[str]) -> list[str]:
    return [
        str(site.bin / "kube-controller-manager"),
        *_client_of_apiserver(site),
        f"--bind-address={LOCALHOST}",
        f"--secure-port={site.ports.controller_manager}",
        "--leader-elect=false",
        f"--controllers={','.join(['*', *(f'-{name}' for name in CONTROLLERS_OFF)])}",
        "--use-service-account-credentials=false",
        f"--service-account-private-key-file={site.keys.service_account_key}",
        f"--root-ca-file={site.keys.ca}",
        "--node-monitor-grace-period=168h",
        "--kube-api-qps=2000",
        "--kube-api-burst=4000",
        *extra,
    ]


def scheduler(site: Site, extra: Sequence[str]) -> list[str]:
    # --kubeconfig is ignored beside --config: the connection is part of the configuration file.
    connection = [flag for flag in _client_of_apiserver(site) if not flag.startswith("--kubeconfig")]
    return [
        str(site.bin / "kube-scheduler"),
        f"--config={site.scheduler_config}",
        *connection,
        f"--bind-address={LOCALHOST}",
        f"--secure-port={site.ports.scheduler}",
        *extra,
    ]


def kwok(site: Site) -> list[str]:
    key, value = MANAGED_BY_KWOK
    return [
        str(site.bin / "kwok"),
        f"--kubeconfig={site.kubeconfig}",
        f"--config={STAGES}",
        f"--manage-nodes-with-annotation-selector={key}={value}",
        "--node-lease-duration-seconds=0",
        f"--cidr={POD_RANGE}",
        f"--node-ip={LOCALHOST}",
        f"--server-address={LOCALHOST}:{site.ports.kwok}",
    ]


def answers_ok(scheme: str, port: int, path: str, keys: pki.Files, token: str = "") -> Callable[[], bool]:
    """A readiness probe: does GET on the port and path answer 200?"""
    pool = urllib3.PoolManager(num_pools=1, ca_certs=str(keys.ca), retries=False, timeout=2.0)
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def probe() -> bool:
        try:
            return pool.request("GET", _url(scheme, port) + path, headers=headers).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    return probe


def _url(scheme: str, port: int) -> str:
    return f"{scheme}://{LOCALHOST}:{port}"


def _serving_certificate(site: Site) -> list[str]:
    return [f"--tls-cert-file={site.keys.cert}", f"--tls-private-key-file={site.keys.key}"]


def _client_of_apiserver(site: Site) -> list[str]:
    flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{flag}={site.kubeconfig}" for flag in flags), *_serving_certificate(site)]
