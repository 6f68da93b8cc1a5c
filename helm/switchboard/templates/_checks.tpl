{{/* What the schema can't say: sentences that name the values. */}}
{{- define "switchboard.checks" -}}
{{- $v := .Values -}}
{{- $database := compact (list $v.database.url $v.database.existingSecret (ternary "bundled" "" $v.tryOut.mysql.enabled)) -}}
{{- if ne (len $database) 1 -}}
{{- fail "set exactly one of database.url, database.existingSecret and tryOut.mysql.enabled" -}}
{{- end -}}
{{- $redis := compact (list $v.redis.url $v.redis.existingSecret (ternary "bundled" "" $v.tryOut.redis.enabled)) -}}
{{- if ne (len $redis) 1 -}}
{{- fail "set exactly one of redis.url, redis.existingSecret and tryOut.redis.enabled" -}}
{{- end -}}
{{- if and $v.tryOut.redis.enabled $v.redis.cluster -}}
{{- fail "redis.cluster: the bundled Redis is no cluster; turn tryOut.redis.enabled off" -}}
{{- end -}}
{{- $media := compact (list $v.media.url (ternary "volume" "" $v.media.persistence.enabled)) -}}
{{- if ne (len $media) 1 -}}
{{- fail "set exactly one of media.url (s3://bucket/prefix) and media.persistence.enabled" -}}
{{- end -}}
{{- $replicas := ternary $v.messageApi.autoscaling.maxReplicas $v.messageApi.replicas $v.messageApi.autoscaling.enabled -}}
{{- if and $v.media.persistence.enabled (gt (int $replicas) 1) (not (has "ReadWriteMany" $v.media.persistence.accessModes)) -}}
{{- fail "media.persistence.accessModes must have ReadWriteMany when messageApi may have more than one replica" -}}
{{- end -}}
{{- if and $v.secrets.existingSecret (or $v.secrets.jwtSecret $v.secrets.serviceToken) -}}
{{- fail "give secrets.existingSecret, or secrets.jwtSecret and secrets.serviceToken, not both" -}}
{{- end -}}
{{- range $name, $part := dict "gateway" $v.gateway "messageApi" $v.messageApi -}}
{{- if gt (int $part.autoscaling.minReplicas) (int $part.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas must not be greater than %s.autoscaling.maxReplicas" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.grpcTls.enabled (not $v.grpcTls.secret) -}}
{{- fail "grpcTls.secret must name a Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if and $v.grpcTls.enabled $v.grpcTls.mutual (not $v.grpcTls.gatewaySecret) -}}
{{- fail "grpcTls.gatewaySecret must name a Secret with tls.crt, tls.key and ca.crt when grpcTls.mutual is on" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) -}}
{{- fail "ingress.host must be set when ingress.enabled is on" -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs must name a Gateway when httpRoute.enabled is on" -}}
{{- end -}}
{{- end -}}
