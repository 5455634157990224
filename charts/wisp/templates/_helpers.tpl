{{/* The name of the release's objects. */}}
{{- define "wisp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels by which a module's pods are found; they never change. Takes a module's context. */}}
{{- define "wisp.selector" -}}
app.kubernetes.io/name: wisp
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* The labels of every object. Takes the root. */}}
{{- define "wisp.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* All modules with the defaults under them, as YAML of {NAME: VALUES}; whatever cannot work is refused here, by name. */}}
{{- define "wisp.modules" -}}
{{- $all := dict -}}
{{- range $name, $own := .Values.modules -}}
{{- $module := mergeOverwrite (deepCopy $.Values.defaults) (deepCopy (default dict $own)) -}}
{{- if eq $module.mode "shim" -}}
{{- if not $module.image -}}
{{- fail (printf "modules.%s.image is missing: the image of the module" $name) -}}
{{- end -}}
{{- else -}}
{{- if not $.Values.engine.image -}}
{{- fail (printf "engine.image is missing: modules.%s has mode container and runs it" $name) -}}
{{- end -}}
{{- if not (dig "deployments" dict $module.config) -}}
{{- fail (printf "modules.%s.config.deployments is missing: mode container needs the guest, for instance `embedder: { guest: builtin:embedder, models: { encoder: MODEL } }`" $name) -}}
{{- end -}}
{{- end -}}
{{- if not $module.models -}}
{{- fail (printf "modules.%s.models is empty: name a model and its image, claim or hostPath" $name) -}}
{{- end -}}
{{- range $model, $place := $module.models -}}
{{- $places := 0 -}}
{{- range $kind := list "image" "claim" "hostPath" -}}
{{- if index (default dict $place) $kind -}}{{- $places = add1 $places -}}{{- end -}}
{{- end -}}
{{- if ne (int $places) 1 -}}
{{- fail (printf "modules.%s.models.%s must have one of image, claim and hostPath; it has %d" $name $model (int $places)) -}}
{{- end -}}
{{- end -}}
{{- if and $module.tls.certManager.issuerRef (not $module.tls.secretName) -}}
{{- fail (printf "modules.%s.tls.secretName is missing: the secret that cert-manager makes" $name) -}}
{{- end -}}
{{- $_ := set $all $name $module -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The name of a module's objects. Takes a module's context. */}}
{{- define "wisp.module" -}}
{{- printf "%s-%s" (include "wisp.fullname" .root) .name | trunc 58 | trimSuffix "-" -}}
{{- end -}}

{{/* The wisp.toml of a module. Takes its context. */}}
{{- define "wisp.config" -}}
{{- $module := .module -}}
{{- $server := dict
      "grpc" (printf "0.0.0.0:%v" $module.ports.grpc)
      "http" (printf "0.0.0.0:%v" $module.ports.http)
      "admin" (printf "0.0.0.0:%v" $module.ports.admin)
      "drain" (dict "delay_ms" (mul 1000 $module.drainDelaySeconds | int64) "timeout_ms" (mul 1000 $module.drainTimeoutSeconds | int64)) -}}
{{- if $module.tls.secretName -}}
{{- $tls := dict "cert" "/etc/wisp/tls/tls.crt" "key" "/etc/wisp/tls/tls.key" -}}
{{- if $module.tls.clientCA -}}{{- $_ := set $tls "client_ca" "/etc/wisp/tls/ca.crt" -}}{{- end -}}
{{- $_ := set $server "tls" $tls -}}
{{- end -}}
{{- $models := dict -}}
{{- range $name, $place := $module.models -}}
{{- $_ := set $models $name (mergeOverwrite (dict "source" (printf "/models/%s" $name)) (deepCopy (default dict $place.config))) -}}
{{- end -}}
{{- $config := dict "server" $server "models" $models -}}
{{- if $module.tenants -}}
{{- $tenants := dict -}}
{{- range $name, $tenant := $module.tenants -}}
{{- $_ := set $tenants $name (mergeOverwrite (dict "token_file" (printf "/etc/wisp/tenants/%s/token" $name)) (omit (deepCopy $tenant) "secretName")) -}}
{{- end -}}
{{- $_ := set $config "tenants" $tenants -}}
{{- end -}}
{{- include "wisp.toml" (dict "value" (mergeOverwrite $config (deepCopy $module.config))) | trimPrefix "\n" -}}
{{- end -}}

{{/* A map as TOML: values of a table before its tables, keys sorted. Helm's own toToml writes whole numbers as floats. */}}
{{- define "wisp.toml" -}}
{{- $path := default "" .path -}}
{{- $plain := "" -}}
{{- $tables := "" -}}
{{- range $key := keys .value | sortAlpha -}}
{{- $value := index $.value $key -}}
{{- $quoted := ternary $key ($key | quote) (regexMatch "^[A-Za-z0-9_-]+$" $key) -}}
{{- if kindIs "map" $value -}}
{{- $inner := ternary (printf "%s.%s" $path $quoted) $quoted (ne $path "") -}}
{{- $text := include "wisp.toml" (dict "value" $value "path" $inner) -}}
{{- $header := ternary "" (printf "\n[%s]\n" $inner) (hasPrefix "\n" $text) -}}
{{- $tables = printf "%s%s%s" $tables $header $text -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $plain = printf "%s%s = %s\n" $plain $quoted (include "wisp.tomlValue" $value) -}}
{{- end -}}
{{- end -}}
{{- $plain -}}{{- $tables -}}
{{- end -}}

{{/* A value as TOML. Helm reads every number as a float; those without a fraction are whole. */}}
{{- define "wisp.tomlValue" -}}
{{- if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}{{- $items = append $items (include "wisp.tomlValue" .) -}}{{- end -}}
[{{ join ", " $items }}]
{{- else if kindIs "map" . -}}
{{- $value := . -}}
{{- $items := list -}}
{{- range $key := keys $value | sortAlpha -}}
{{- $items = append $items (printf "%s = %s" ($key | quote) (include "wisp.tomlValue" (index $value $key))) -}}
{{- end -}}
{ {{- join ", " $items -}} }
{{- else if kindIs "float64" . -}}
{{- if eq . (floor .) -}}{{- int64 . -}}{{- else -}}{{- . -}}{{- end -}}
{{- else if kindIs "string" . -}}
{{- toJson . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* A probe over HTTP on the admin port. Takes {module, path, probe}. */}}
{{- define "wisp.httpProbe" -}}
httpGet:
  path: {{ .path }}
  port: admin
  {{- if dig "server" "tls" "admin" false .module.config }}
  scheme: HTTPS
  {{- end }}
{{- with .probe }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether a module can answer: asked over gRPC, or over HTTP where gRPC is encrypted, which the kubelet cannot speak. */}}
{{- define "wisp.readinessProbe" -}}
{{- if .module.tls.secretName -}}
{{ include "wisp.httpProbe" (dict "module" .module "path" "/readyz" "probe" .module.probes.readiness) }}
{{- else -}}
grpc:
  port: {{ .module.ports.grpc }}
{{- with .module.probes.readiness }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The name of a volume: a label of DNS, whatever the model or tenant is called. Takes {kind, name}. */}}
{{- define "wisp.volume" -}}
{{- $plain := regexReplaceAll "[^a-z0-9-]+" (lower .name) "-" -}}
{{- if and (eq $plain .name) (lt (len .name) 50) -}}
{{- printf "%s-%s" .kind $plain | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s-%s" .kind ($plain | trunc 40 | trimAll "-") (sha256sum .name | trunc 8) -}}
{{- end -}}
{{- end -}}
