{{- define "lws-sched.image" -}}
image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "lws-sched.scheduler.image" -}}
{{- $version := regexFind "^v[0-9]+\\.[0-9]+\\.[0-9]+" .Capabilities.KubeVersion.Version -}}
{{ .Values.scheduler.image.repository }}:{{ .Values.scheduler.image.tag | default $version }}
{{- end }}

{{- /* Where the pods of a Deployment go: (root, its values). */}}
{{- define "lws-sched.pod" -}}
{{- $root := index . 0 }}{{ $own := index . 1 -}}
{{- $spec := dict }}
{{- with $root.Values.priorityClassName }}{{ $_ := set $spec "priorityClassName" . }}{{ end }}
{{- with $root.Values.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end }}
{{- with $own.nodeSelector }}{{ $_ := set $spec "nodeSelector" . }}{{ end }}
{{- with $own.tolerations }}{{ $_ := set $spec "tolerations" . }}{{ end }}
{{- with $spec }}{{ toYaml . }}{{ end }}
{{- end }}

{{- /* --- configuration files: the defaults, what other values ask for, what the user adds ------------------------ */}}
{{- define "lws-sched.controller.config" -}}
{{- $config := include "lws-sched.controller.defaults" . | fromYaml }}
{{- if eq .Values.certificates.source "cert-manager" }}
{{- $given := dict "webhook" (dict "certDir" "/certificates") "internalCertManagement" (dict "enable" false) }}
{{- $config = mergeOverwrite $config $given }}
{{- end }}
{{- if .Values.controller.volcano }}
{{- $config = mergeOverwrite $config (dict "gangSchedulingManagement" (dict "schedulerProvider" "volcano")) }}
{{- end }}
{{- mergeOverwrite $config .Values.controller.config | toYaml }}
{{- end }}

{{- define "lws-sched.extender.config" -}}
{{- $config := include "lws-sched.extender.defaults" . | fromYaml }}
{{- if eq .Values.certificates.source "cert-manager" }}
{{- $given := dict "webhook" (dict "certDir" "/certificates") "internalCertManagement" (dict "enable" false) }}
{{- $config = mergeOverwrite $config $given (dict "verbs" (dict "certDir" "/verbs")) }}
{{- end }}
{{- if ne .Values.scheduler.mode "second" }}
{{- /* Every pod is shown to the extender: no taint is needed. */}}
{{- $config = mergeOverwrite $config (dict "reservations" (dict "taintNodes" false)) }}
{{- end }}
{{- mergeOverwrite $config .Values.extender.config | toYaml }}
{{- end }}

{{- define "lws-sched.scheduler.config" -}}
{{- include "lws-sched.scheduler.defaults" . | fromYaml | toYaml }}
{{- end }}

{{- /* --- certificates ------------------------------------------------------------------------------------------- */}}
{{- define "lws-sched.controller.certificateMounts" }}
{{- if eq .Values.certificates.source "cert-manager" }}
        - {name: certificates, mountPath: /certificates, readOnly: true}
{{- end }}
{{- end }}

{{- define "lws-sched.controller.certificateVolumes" }}
{{- if eq .Values.certificates.source "cert-manager" }}
      - name: certificates
        secret: {secretName: lws-webhook-server-cert}
{{- end }}
{{- end }}

{{- define "lws-sched.extender.certificateMounts" }}
{{- if eq .Values.certificates.source "cert-manager" }}
        - {name: certificates, mountPath: /certificates, readOnly: true}
        - {name: verbs, mountPath: /verbs, readOnly: true}
{{- end }}
{{- end }}

{{- define "lws-sched.extender.certificateVolumes" }}
{{- if eq .Values.certificates.source "cert-manager" }}
      - name: certificates
        secret: {secretName: lws-sched-extender-cert}
      - name: verbs
        secret: {secretName: lws-sched-extender-verbs}
{{- end }}
{{- end }}

{{- define "lws-sched.scheduler.verbs" -}}
{{- $ours := eq .Values.certificates.source "internal" -}}
secret:
  secretName: {{ ternary "lws-sched-extender-verbs" "lws-sched-scheduler-client" $ours }}
  items:
  - {key: ca.crt, path: ca.crt}
  - {key: {{ ternary "client.crt" "tls.crt" $ours }}, path: client.crt}
  - {key: {{ ternary "client.key" "tls.key" $ours }}, path: client.key}
{{- end }}

{{- /* Of a webhook configuration, who fills in the caBundle: (root, its name). */}}
{{- define "lws-sched.injected" }}
{{- $root := index . 0 }}{{ $name := index . 1 }}
{{- if eq $root.Values.certificates.source "cert-manager" }}
  annotations:
    cert-manager.io/inject-ca-from: {{ $root.Release.Namespace }}/{{ ternary "lws-sched-extender" "lws-serving-cert" (eq $name "lws-sched-pod-placement") }}
{{- end }}
{{- end }}

{{- /* The annotations of what only lives while the release is uninstalled; the weight says in which order. */}}
{{- define "lws-sched.uninstall.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
