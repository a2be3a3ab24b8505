//! Spans of what the engine does, where somebody collects them, and the context that
//! receivers get.
//!
//! A context stays with a delivery for as long as that is in memory. The database has no
//! room for it: what is tried again later, or was brought back from there, has none.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, Outcome};
use callboard_domain::trace::{Span, SpanKind, SpanValue, TraceContext};
use http::header::HeaderName;

use crate::Engine;
use crate::http::Headers;
use crate::lanes::Work;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A span under way: itself, and what it is below.
pub(crate) struct Begun {
    pub(crate) context: TraceContext,
    parent: Option<[u8; 8]>,
    began: Timestamp,
}

impl Engine {
    /// Begins a span now; `None` where nobody collects any, or its trace is not kept.
    pub(crate) fn begin_span(&self, parent: Option<&TraceContext>) -> Option<Begun> {
        let context = self.options.tracer.as_ref()?.begin(parent)?;
        Some(Begun { context, parent: parent.map(|parent| parent.span), began: self.clock.now() })
    }

    /// Ends a span now.
    pub(crate) fn end_span(
        &self,
        (begun, name, kind): (Begun, &'static str, SpanKind),
        failed: bool,
        attributes: Vec<(&'static str, SpanValue)>,
    ) {
        let Begun { context, parent, began } = begun;
        if let Some(tracer) = &self.options.tracer {
            let ended = self.clock.now();
            tracer.end(Span { context, parent, name, kind, began, ended, failed, attributes });
        }
    }

    /// Begins the span of an attempt, where its delivery has a trace.
    pub(crate) fn begin_attempt(&self, work: &Work) -> Option<Begun> {
        work.queued.trace.as_deref().and_then(|trace| self.begin_span(Some(trace)))
    }

    /// What the receiver of an attempt is told of the trace.
    pub(crate) fn context_for<'a>(
        &self,
        work: &'a Work,
        span: Option<&'a Begun>,
    ) -> Option<&'a TraceContext> {
        let context = span.map(|span| &span.context).or(work.queued.trace.as_deref());
        context.filter(|_| self.options.pass_traces_on)
    }

    /// Ends the span of an attempt.
    pub(crate) fn end_attempt(&self, span: Begun, work: &Work, attempt: &Attempt) {
        let text = |text: &dyn ToString| SpanValue::Text(text.to_string());
        let mut attributes = vec![
            ("callboard.event", text(&work.queued.event.id)),
            ("callboard.delivery", text(&attempt.delivery)),
            ("callboard.webhook", text(&work.target.webhook.id)),
            ("callboard.attempt", SpanValue::Number(attempt.number.into())),
        ];
        if let Some(cause) = attempt.cause {
            attributes.push(("error.type", text(&cause.as_str())));
        }
        if let Some(status) = attempt.status {
            attributes.push(("http.response.status_code", SpanValue::Number(status.into())));
        }
        let failed = attempt.outcome != Outcome::Delivered;
        self.end_span((span, "attempt", SpanKind::Client), failed, attributes);
    }
}

/// Adds a context to the headers of a request.
pub(crate) fn tell(headers: &mut Headers, context: &TraceContext) {
    headers.set(TRACEPARENT, context.parent());
    if let Some(state) = &context.state {
        headers.set(TRACESTATE, state.clone());
    }
}
