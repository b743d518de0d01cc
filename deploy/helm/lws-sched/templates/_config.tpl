{{- /* Written by deploy/tools/generate_chart.py from deploy/kustomize/default. Do not edit. */}}
{{- define "lws-sched.controller.defaults" -}}
apiVersion: config.lws.x-k8s.io/v1alpha1
kind: Configuration
leaderElection:
  leaderElect: true
internalCertManagement:
  enable: true
{{- end }}
{{- define "lws-sched.extender.defaults" -}}
apiVersion: config.lws-sched.io/v1alpha1
kind: ExtenderConfiguration
leaderElection:
  leaderElect: true
internalCertManagement:
  enable: true
verbs:
  bindAddress: :8900
# The scheduler beside it is a second one: the cluster's own does not ask, so a taint keeps its pods off.
reservations:
  taintNodes: true
{{- end }}
{{- define "lws-sched.scheduler.defaults" -}}
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection:
  leaderElect: true
  resourceName: lws-sched-scheduler
  resourceNamespace: {{ .Release.Namespace }}
clientConnection:
  qps: 500
  burst: 1000
profiles:
- schedulerName: lws-sched
  percentageOfNodesToScore: 100
  plugins:
    postFilter:
      disabled:
      - {name: DefaultPreemption}
extenders:
- urlPrefix: https://lws-sched-extender-verbs.{{ .Release.Namespace }}.svc:8900
  enableHTTPS: true
  # The extender answers nobody but the holder of this certificate. It makes both, and keeps them in one Secret.
  tlsConfig:
    caFile: /verbs/ca.crt
    certFile: /verbs/client.crt
    keyFile: /verbs/client.key
  filterVerb: filter
  bindVerb: bind
  nodeCacheCapable: true
  ignorable: false
  httpTimeout: 15s
  managedResources:
  - {name: lws-sched.io/member, ignoredByScheduler: false}
  - {name: amd.com/gpu, ignoredByScheduler: false}
  - {name: aws.amazon.com/neuron, ignoredByScheduler: false}
  - {name: aws.amazon.com/neuroncore, ignoredByScheduler: false}
  - {name: aws.amazon.com/neurondevice, ignoredByScheduler: false}
  - {name: google.com/tpu, ignoredByScheduler: false}
  - {name: gpu.intel.com/i915, ignoredByScheduler: false}
  - {name: gpu.intel.com/xe, ignoredByScheduler: false}
  - {name: habana.ai/gaudi, ignoredByScheduler: false}
  - {name: huawei.com/Ascend910, ignoredByScheduler: false}
  - {name: nvidia.com/gpu, ignoredByScheduler: false}
{{- end }}
