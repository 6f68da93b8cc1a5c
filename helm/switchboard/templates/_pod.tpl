{{/* What the Pod Security Standard `restricted` asks of a pod. Call with a user's id. */}}
{{- define "switchboard.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The same of a container. */}}
{{- define "switchboard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* A setting's value as the programs read it: lists with commas, numbers without an exponent. */}}
{{- define "switchboard.scalar" -}}
{{- if kindIs "slice" . -}}
{{- join "," . | quote -}}
{{- else if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}
{{- int64 . | toString | quote -}}
{{- else -}}
{{- toString . | quote -}}
{{- end -}}
{{- end -}}

{{/* Settings as environment variables. Call with a list of maps; later ones win. */}}
{{- define "switchboard.env" -}}
{{- $all := dict -}}
{{- range . }}{{ $all = mergeOverwrite $all (deepCopy (. | default dict)) }}{{ end -}}
{{- range $name, $value := $all }}
- name: {{ $name }}
  value: {{ include "switchboard.scalar" $value }}
{{- end -}}
{{- end -}}

{{/* Where a pod may run and what it costs. Call with (list $ "gateway" .Values.gateway). */}}
{{- define "switchboard.placement" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $values := index . 2 -}}
{{- if $values.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "switchboard.selector" (list $root $component) | nindent 8 }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Liveness asks nothing of MySQL or Redis; readiness is off as soon as a stop begins. */}}
{{- define "switchboard.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* How long a load balancer needs until it sends nothing more; the pod works on meanwhile. */}}
{{- define "switchboard.preStop" -}}
{{- if gt (int .settings.DRAIN_DELAY) 0 -}}
preStop:
  sleep:
    seconds: {{ int .settings.DRAIN_DELAY }}
{{- end -}}
{{- end -}}

{{/* preStop and the program's own stop, and a little for the kubelet. */}}
{{- define "switchboard.grace" -}}
{{- add (int .settings.DRAIN_DELAY) (int .settings.SHUTDOWN_GRACE) 5 -}}
{{- end -}}
