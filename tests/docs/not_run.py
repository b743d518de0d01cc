"""Commands of the documentation that do not run here, and why. Reviewed like code: a command runs if it can."""

from __future__ import annotations

RUN_BY_CI = "run by .ci/run, as it stands"
UNINSTALL = "would end what the other pages run on; tests/system/test_chart_plane.py and tests/unit/cli run it"
HELM = "needs an installed release; tests/system/test_chart_plane.py does it with real Helm"
SERVICE = "needs the Service and the pod network of a cluster; the service's own tests call it"
NOT_RUN: dict[str, str] = {
    "make demo": RUN_BY_CI,
    "make cluster NODES=64 HOSTS_PER_RACK=4": "runs until Ctrl-C; what it starts is what these pages run on",
    "lws-sched controller --config lws.yaml": "the programs themselves, which run under these pages",
    "lws-sched extender --config extender.yaml": "the programs themselves, which run under these pages",
    "pip install lws-sched": "would put a second copy beside the one tested; tests/unit/packaging builds the wheel",
    "lws-sched page": "runs until Ctrl-C; its own tests open it in a browser",
    "lws-sched uninstall": UNINSTALL,
    "lws-sched uninstall --yes": UNINSTALL,
    "kubectl delete -k deploy/kustomize/default": UNINSTALL,
    "kubectl kustomize deploy/kustomize/default "
    "| yq 'select(.kind != \"CustomResourceDefinition\")' | kubectl delete -f -": UNINSTALL,
    "kubectl delete leaderworkersets --all --all-namespaces": UNINSTALL,
    "kubectl delete crd leaderworkersets.leaderworkerset.x-k8s.io groupplacements.lws-sched.io": UNINSTALL,
    "helm uninstall lws-sched --namespace lws-system": HELM,
    "helm uninstall lws-sched --namespace lws-system --no-hooks": HELM,
    "kubectl --namespace lws-system scale deployment lws-controller-manager --replicas=0": (
        "the upstream controller is not installed here; tests/scenarios/test_adoption.py takes its sets over"
    ),
    "kubectl --namespace lws-system port-forward service/lws-sched-extender 9444": SERVICE,
    "kubectl --namespace lws-system get configmap lws-sched-placement "
    "--output 'jsonpath={.data.ca\\.crt}' > ca.crt": SERVICE,
    "kubectl --namespace team create token planner > token": SERVICE,
    "lws-sched plan -f lws.yaml --server localhost:9444": SERVICE,
    "grpcurl -cacert ca.crt -authority lws-sched-extender.lws-system.svc "
    '-H "authorization: Bearer $(cat token)" \\\n    -d \'{"namespace": "team", "name": "llama"}\' '
    "localhost:9444 lwssched.placement.v1alpha1.Placement/Explain": SERVICE,
}
"""By the command, as the page has it."""
