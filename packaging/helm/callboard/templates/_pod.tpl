{{- /* The pod, which is the same on either database but for where its data is. */}}

{{- define "callboard.pod" -}}
{{- $postgres := eq .Values.database.kind "postgres" }}
metadata:
  labels:
    {{- include "callboard.labels" . | nindent 4 }}
  annotations:
    # New settings are read by new pods only.
    callboard/settings: {{ .Values.settings | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  # The variables of service links would begin with CALLBOARD_ where the release is
  # called callboard, and the program refuses those that are no settings.
  enableServiceLinks: false
  automountServiceAccountToken: false
  # 5 seconds for the load balancers, 35 for what is under way.
  terminationGracePeriodSeconds: 50
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: callboard
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      env:
        - name: CALLBOARD_CONFIG
          value: /etc/callboard/callboard.toml
        - name: CALLBOARD_LISTEN
          value: 0.0.0.0:8080
        {{- if $postgres }}
        - name: CALLBOARD_DATABASE_FILE
          value: /run/secrets/callboard-database/{{ .Values.database.postgres.key }}
        {{- else }}
        - name: CALLBOARD_DATABASE
          value: sqlite:/var/lib/callboard/callboard.db
        {{- end }}
        - name: CALLBOARD_ENCRYPTION_KEYS_FILE
          value: /run/secrets/callboard-encryption/{{ .Values.encryption.key }}
        {{- if .Values.adminToken.existingSecret }}
        - name: CALLBOARD_ADMIN_TOKEN_FILE
          value: /run/secrets/callboard-admin/{{ .Values.adminToken.key }}
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - name: CALLBOARD_TLS_CERTIFICATE_FILE
          value: /run/secrets/callboard-tls/tls.crt
        - name: CALLBOARD_TLS_PRIVATE_KEY_FILE
          value: /run/secrets/callboard-tls/tls.key
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
      # The first start of a new version may have to write a large database anew.
      startupProbe:
        {{- include "callboard.probe" (list . "/healthz") | nindent 8 }}
        periodSeconds: 5
        failureThreshold: 360
      # A process that does not answer is started anew; a database that is away is no
      # reason to.
      livenessProbe:
        {{- include "callboard.probe" (list . "/healthz") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        {{- include "callboard.probe" (list . "/readyz") | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      lifecycle:
        # A node accepts nothing more once it is asked to stop, and load balancers
        # hear of that a moment later.
        preStop:
          sleep:
            seconds: 5
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: settings
          mountPath: /etc/callboard
          readOnly: true
        - name: data
          mountPath: /var/lib/callboard
        - name: tmp
          mountPath: /tmp
        {{- range $name, $secret := include "callboard.secrets" . | fromYaml }}
        - name: {{ $name }}
          mountPath: /run/secrets/callboard-{{ $name }}
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: settings
      configMap:
        name: {{ include "callboard.name" . }}
    - name: tmp
      emptyDir: {}
    {{- if $postgres }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- range $name, $secret := include "callboard.secrets" . | fromYaml }}
    - name: {{ $name }}
      secret:
        secretName: {{ $secret }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if $postgres }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "callboard.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "callboard.probe" -}}
{{- $root := index . 0 -}}
httpGet:
  path: {{ index . 1 }}
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (ne $root.Values.tls.existingSecret "") }}
{{- end }}

{{- /* Which Secrets are mounted, by the names of their volumes. */}}
{{- define "callboard.secrets" -}}
{{- if eq .Values.database.kind "postgres" }}
database: {{ required "database.postgres.existingSecret: name a Secret with the URL of the database" .Values.database.postgres.existingSecret }}
{{- end }}
encryption: {{ required "encryption.existingSecret: name a Secret with the keys; `callboard keys generate` makes one" .Values.encryption.existingSecret }}
{{- with .Values.adminToken.existingSecret }}
admin: {{ . }}
{{- end }}
{{- with .Values.tls.existingSecret }}
tls: {{ . }}
{{- end }}
{{- end }}
