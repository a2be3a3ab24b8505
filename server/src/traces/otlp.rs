//! OTLP over HTTP with JSON: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::trace::{Hex, Span, SpanKind, SpanValue};
use serde_json::{Value, json};

/// How long the collector may take for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A collector of spans. It is the operator who names it, so its address is not judged
/// as those of webhooks are.
pub(super) struct Collector {
    agent: ureq::Agent,
    url: String,
    /// What every span is of.
    resource: Value,
}

impl Collector {
    /// The collector at this URL; `name` is what this process is called.
    pub(super) fn new(endpoint: &str, name: &str) -> Self {
        // Fails only where one is installed already, which serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let roots = ureq::tls::RootCerts::PlatformVerifier;
        let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // It would lead away from what the operator named.
            .max_redirects(0)
            .tls_config(tls)
            .build();
        let resource = json!({"attributes": [
            attribute("service.name", &SpanValue::Text("callboard".to_owned())),
            attribute("service.version", &SpanValue::Text(env!("CARGO_PKG_VERSION").to_owned())),
            attribute("service.instance.id", &SpanValue::Text(name.to_owned())),
        ]});
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        Self { agent: config.into(), url, resource }
    }

    /// Sends spans, once.
    ///
    /// # Errors
    /// In words for the operator.
    pub(super) async fn send(&self, spans: Vec<Span>) -> Result<(), String> {
        let body = self.body(&spans).to_string();
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let sent = tokio::task::spawn_blocking(move || {
            agent.post(&url).header("content-type", "application/json").send(body)
        });
        match sent.await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("it answered {}", answer.status())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn body(&self, spans: &[Span]) -> Value {
        let spans: Vec<Value> = spans.iter().map(span).collect();
        let scope = json!({"name": "callboard", "version": env!("CARGO_PKG_VERSION")});
        json!({"resourceSpans": [
            {"resource": self.resource, "scopeSpans": [{"scope": scope, "spans": spans}]}
        ]})
    }
}

fn span(span: &Span) -> Value {
    // The numbers are those of the protocol's enumerations.
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
    };
    let attributes: Vec<Value> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut told = json!({
        "traceId": Hex(&span.context.trace).to_string(),
        "spanId": Hex(&span.context.span).to_string(),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes,
        "status": if span.failed { json!({"code": 2}) } else { json!({}) },
    });
    if let Some(parent) = &span.parent {
        told["parentSpanId"] = Hex(parent).to_string().into();
    }
    if let Some(state) = &span.context.state {
        told["traceState"] = state.as_str().into();
    }
    told
}

fn attribute(name: &str, value: &SpanValue) -> Value {
    // 64-bit numbers are texts in the JSON form of protocol buffers.
    let value = match value {
        SpanValue::Text(text) => json!({"stringValue": text}),
        SpanValue::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": name, "value": value})
}

fn nanoseconds(time: Timestamp) -> String {
    time.as_nanosecond().to_string()
}
