{{- define "wisp-node.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "wisp-node.selector" -}}
app.kubernetes.io/name: wisp-node
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "wisp-node.labels" -}}
{{ include "wisp-node.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The image; there is no default, because it must be in a registry of yours. */}}
{{- define "wisp-node.image" -}}
{{- required "image is missing: the image with the bundle, in a registry of yours; docs/kubernetes.md says how it is made" .Values.image -}}
{{- end -}}
