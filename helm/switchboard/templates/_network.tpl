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

{{/* Names must be looked up. */}}
{{- define "switchboard.egressToNames" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
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
