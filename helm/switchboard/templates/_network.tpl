{{/* One rule of egress. Call with {ports: [6379], to: [...]}; without `to` it is any address. */}}
{{- define "switchboard.egressTo" -}}
- ports:
    {{- range .ports }}
    - {port: {{ int . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Names must be looked up. A policy counts for the pod's own port behind a Service: 5353 on OpenShift. */}}
{{- define "switchboard.egressToNames" -}}
- ports:
    {{- range $port := list 53 5353 }}
    - {port: {{ $port }}, protocol: UDP}
    - {port: {{ $port }}, protocol: TCP}
    {{- end }}
  {{- with .dns }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "switchboard.egressToDatabase" -}}
{{- if .Values.tryOut.mysql.enabled -}}
- ports: [{port: 3306}]
  to:
    - podSelector:
        matchLabels:
          {{- include "switchboard.selector" (list . "mysql") | nindent 10 }}
{{- else -}}
{{- include "switchboard.egressTo" .Values.networkPolicy.database -}}
{{- end -}}
{{- end -}}

{{/*
Fails unless the policy lets through the ports of a URL, or of several with commas. Call with
{name: "redis", policy, of: "redis.url", url, usual: 6379}: `usual` is the port of a URL without one.
*/}}
{{- define "switchboard.checkPorts" -}}
{{- $allowed := list -}}
{{- range .policy.ports }}{{ $allowed = append $allowed (int .) }}{{ end -}}
{{- range $url := splitList "," .url -}}
{{- $place := regexFind "//[^/?#]*" $url | trim -}}
{{- $port := regexFind ":[0-9]+$" $place | trimPrefix ":" | default $.usual | int -}}
{{- if not (has $port $allowed) -}}
{{- fail (printf "networkPolicy.%s.ports must have %d, the port of %s" $.name $port $.of) -}}
{{- end -}}
{{- end -}}
{{- end -}}
