{{/*
A generated secret: made by the first installation, then read back from the cluster, so that no
upgrade changes it. Within one rendering it is the same wherever it is asked for.
Call with (list $ "name of the Secret" "KEY" 48).
*/}}
{{- define "switchboard.generated" -}}
{{- $root := index . 0 -}}{{- $secret := index . 1 -}}{{- $key := index . 2 -}}
{{- $made := $root.Values._generated | default dict -}}
{{- $name := printf "%s/%s" $secret $key -}}
{{- if not (hasKey $made $name) -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace $secret -}}
{{- $old := index ($there.data | default dict) $key -}}
{{- $_ := set $made $name (ternary ($old | default "" | b64dec) (randAlphaNum (index . 3)) (not (empty $old))) -}}
{{- $_ := set $root.Values "_generated" $made -}}
{{- end -}}
{{- index $made $name -}}
{{- end -}}

{{/* The Secret with JWT_SECRET and SERVICE_TOKEN. */}}
{{- define "switchboard.secretName" -}}
{{ .Values.secrets.existingSecret | default (include "switchboard.fullname" .) }}
{{- end -}}

{{/* The Secret with the addresses of the stores that were given as values. */}}
{{- define "switchboard.storesName" -}}
{{ include "switchboard.fullname" . }}-stores
{{- end -}}

{{- define "switchboard.databaseUrl" -}}
{{- if .Values.tryOut.mysql.enabled -}}
{{- $name := printf "%s-mysql" (include "switchboard.fullname" .) -}}
mysql://switchboard:{{ include "switchboard.generated" (list . $name "MYSQL_PASSWORD" 32) }}@{{ $name }}.{{ .Release.Namespace }}.svc:3306/switchboard
{{- else -}}
{{ .Values.database.url }}
{{- end -}}
{{- end -}}

{{- define "switchboard.redisUrl" -}}
{{- if .Values.tryOut.redis.enabled -}}
{{- $name := printf "%s-redis" (include "switchboard.fullname" .) -}}
redis://:{{ include "switchboard.generated" (list . $name "REDIS_PASSWORD" 32) }}@{{ $name }}.{{ .Release.Namespace }}.svc:6379
{{- else -}}
{{ .Values.redis.url }}
{{- end -}}
{{- end -}}

{{/* One entry of a projected volume: (list "secret" "key in it" "file"). */}}
{{- define "switchboard.projected" -}}
- secret:
    name: {{ index . 0 }}
    items:
      - {key: {{ index . 1 | quote }}, path: {{ index . 2 }}}
{{- end -}}

{{- define "switchboard.databaseSource" -}}
{{- $own := list (include "switchboard.storesName" .) "DATABASE_URL" "DATABASE_URL" -}}
{{- $theirs := list .Values.database.existingSecret .Values.database.existingSecretKey "DATABASE_URL" -}}
{{- include "switchboard.projected" (ternary $theirs $own (not (empty .Values.database.existingSecret))) -}}
{{- end -}}

{{- define "switchboard.databaseCaSource" -}}
{{- with .Values.database.caSecret }}
{{- include "switchboard.projected" (list . $.Values.database.caKey "database-ca.crt") }}
{{- end }}
{{- end -}}

{{- define "switchboard.redisSource" -}}
{{- $own := list (include "switchboard.storesName" .) "REDIS_URL" "REDIS_URL" -}}
{{- $theirs := list .Values.redis.existingSecret .Values.redis.existingSecretKey "REDIS_URL" -}}
{{- include "switchboard.projected" (ternary $theirs $own (not (empty .Values.redis.existingSecret))) -}}
{{- end -}}

{{/* What both services read as files. Mounted whole, so that a change in a Secret arrives. */}}
{{- define "switchboard.sharedSources" -}}
{{ include "switchboard.projected" (list (include "switchboard.secretName" .) "SERVICE_TOKEN" "SERVICE_TOKEN") }}
{{ include "switchboard.redisSource" . }}
{{- with .Values.redis.caSecret }}
{{ include "switchboard.projected" (list . $.Values.redis.caKey "redis-ca.crt") }}
{{- end }}
{{- end -}}

{{/* The environment of both services that says where their files are. */}}
{{- define "switchboard.sharedFiles" -}}
REDIS_URL_FILE: /etc/switchboard/secrets/REDIS_URL
SERVICE_TOKEN_FILE: /etc/switchboard/secrets/SERVICE_TOKEN
{{- if .Values.redis.caSecret }}
REDIS_CA_FILE: /etc/switchboard/secrets/redis-ca.crt
{{- end }}
{{- if .Values.redis.cluster }}
REDIS_CLUSTER: true
{{- end }}
{{- with .Values.telemetry.endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
OTEL_TRACES_SAMPLER_ARG: {{ $.Values.telemetry.tracesShare }}
{{- end }}
{{- end -}}

{{/* Pods are replaced when the addresses that were given as values change. */}}
{{- define "switchboard.checksum" -}}
{{- list .Values.database.url .Values.redis.url .Values.secrets.jwtSecret | toJson | sha256sum -}}
{{- end -}}
