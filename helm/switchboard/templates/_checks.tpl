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
{{- $issuers := list -}}
{{- range $v.issuers -}}
{{- if has .issuer $issuers -}}
{{- fail (printf "issuers has %s twice" .issuer) -}}
{{- end -}}
{{- $issuers = append $issuers .issuer -}}
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
{{- $gateways := ternary $v.gateway.autoscaling.maxReplicas $v.gateway.replicas $v.gateway.autoscaling.enabled -}}
{{- if and $v.httpRoute.enabled (gt (int $gateways) 1) (not (or $v.httpRoute.sessionPersistence $v.httpRoute.websocketsOnly)) -}}
{{- fail "polling clients of Socket.IO must stay at one gateway: set httpRoute.sessionPersistence (the Gateway must know it), or httpRoute.websocketsOnly if no client polls, or one fixed replica (gateway.replicas: 1, gateway.autoscaling.enabled: false)" -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
{{- include "switchboard.portChecks" . -}}
{{- end -}}
{{- end -}}

{{/* The policies let through what the URLs name. What stands in a Secret is not looked into. */}}
{{- define "switchboard.portChecks" -}}
{{- $v := .Values -}}
{{- $policy := $v.networkPolicy -}}
{{- with $v.database.url -}}
{{- include "switchboard.checkPorts" (dict "name" "database" "policy" $policy.database "of" "database.url" "url" . "usual" 3306) -}}
{{- end -}}
{{- with $v.redis.url -}}
{{- include "switchboard.checkPorts" (dict "name" "redis" "policy" $policy.redis "of" "redis.url" "url" . "usual" 6379) -}}
{{- end -}}
{{- with $v.telemetry.endpoint -}}
{{- $usual := ternary 443 80 (hasPrefix "https:" .) -}}
{{- include "switchboard.checkPorts" (dict "name" "telemetry" "policy" $policy.telemetry "of" "telemetry.endpoint" "url" . "usual" $usual) -}}
{{- end -}}
{{- range $v.issuers -}}
{{- include "switchboard.checkPorts" (dict "name" "issuers" "policy" $policy.issuers "of" (printf "jwksUrl of %s" .issuer) "url" .jwksUrl "usual" 443) -}}
{{- end -}}
{{- if hasPrefix "s3:" $v.media.url -}}
{{- range $v.messageApi.env -}}
{{- if and .value (has .name (list "AWS_ENDPOINT" "AWS_ENDPOINT_URL" "AWS_ENDPOINT_URL_S3")) -}}
{{- $usual := ternary 443 80 (hasPrefix "https:" .value) -}}
{{- include "switchboard.checkPorts" (dict "name" "objectStore" "policy" $policy.objectStore "of" (printf "%s in messageApi.env" .name) "url" .value "usual" $usual) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
