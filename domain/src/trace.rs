//! Traces across programs: the context that a publisher sends along, as W3C Trace
//! Context says it, and the spans of our own.

use std::fmt;

use crate::clock::Timestamp;

/// Most bytes of `tracestate` that are passed on; the specification asks for 512.
const LONGEST_STATE: usize = 512;

/// Where something stands in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that what follows is below.
    pub span: [u8; 8],
    /// Whether spans of the trace are kept.
    pub sampled: bool,
    /// What others have to say to each other, passed on as it is.
    pub state: Option<String>,
}

impl TraceContext {
    /// Reads `traceparent` and `tracestate`. `None` when the first is not well-formed:
    /// then there is no trace.
    #[must_use]
    pub fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.split('-');
        let version = bytes::<1>(parts.next()?)?;
        let (trace, span) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [flags] = bytes::<1>(parts.next()?)?;
        // Later versions may have more behind it; version 255 is none.
        let is_whole = parts.next().is_none() || version > [0];
        let is_valid = version != [255] && trace != [0; 16] && span != [0; 8] && is_whole;
        let state = state.filter(|state| {
            let visible = |byte: u8| matches!(byte, b' '..=b'~');
            (1..=LONGEST_STATE).contains(&state.len()) && state.bytes().all(visible)
        });
        let sampled = flags & 1 == 1;
        is_valid.then(|| Self { trace, span, sampled, state: state.map(str::to_owned) })
    }

    /// As `traceparent` has it.
    #[must_use]
    pub fn parent(&self) -> String {
        format!("00-{}-{}-{:02x}", Hex(&self.trace), Hex(&self.span), u8::from(self.sampled))
    }
}

/// Bytes as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Lower-case hexadecimal digits, as the specification asks for them.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut found = [0; N];
    for (place, byte) in found.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(found)
}

/// What a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Something within the program.
    Internal,
    /// A request of somebody else to hand something on.
    Producer,
    /// A request to somebody else.
    Client,
}

/// What is said of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its trace, and itself.
    pub context: TraceContext,
    /// The span that it is below.
    pub parent: Option<[u8; 8]>,
    /// What it is called.
    pub name: &'static str,
    /// What it is about.
    pub kind: SpanKind,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it failed.
    pub failed: bool,
    /// What else there is to say.
    pub attributes: Vec<(&'static str, SpanValue)>,
}

/// Who makes spans, and gets those that are over. It never waits.
pub trait Tracer: fmt::Debug + Send + Sync {
    /// A new span below `parent`, whose decision counts, or of a new trace. `None` when
    /// its trace is not kept.
    fn begin(&self, parent: Option<&TraceContext>) -> Option<TraceContext>;

    /// Takes a span that is over.
    fn end(&self, span: Span);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_told_as_it_was_read() {
        let context = TraceContext::read(PARENT, Some("congo=t61rcWkgMzE")).expect("a context");
        assert!(context.sampled);
        assert_eq!(context.parent(), PARENT);
        assert_eq!(context.state.as_deref(), Some("congo=t61rcWkgMzE"));
        let unsampled = TraceContext::read(&PARENT.replace("-01", "-00"), None).expect("a context");
        assert_eq!((unsampled.sampled, unsampled.state), (false, None));
        let later = TraceContext::read(&format!("{}-more", PARENT.replacen("00", "01", 1)), None);
        assert_eq!(later.map(|context| context.parent()).as_deref(), Some(PARENT));
    }

    #[test]
    fn what_is_not_well_formed_is_no_context() {
        let upper = PARENT.to_uppercase();
        let trailing = format!("{PARENT}-more");
        for wrong in [
            "",
            "00",
            upper.as_str(),
            trailing.as_str(),
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::read(wrong, None), None, "{wrong}");
        }
        let long = "x".repeat(513);
        for state in ["", long.as_str(), "a\nb"] {
            let context = TraceContext::read(PARENT, Some(state)).expect("a context");
            assert_eq!(context.state, None);
        }
    }
}
