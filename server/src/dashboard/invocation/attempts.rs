//! The attempts of an invocation as a timeline.

use std::fmt::{self, Write as _};
use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use callboard_domain::delivery::{LoggedAttempt, Timings};

use crate::dashboard::mark::{Badge, Time, counted, short};
use crate::dashboard::payload::{Payload, visible};
use crate::dashboard::words;

/// Most attempts that are shown: the latest ones.
const MOST: usize = 50;

/// Where the time of an attempt went, as a bar and in words.
struct Phases {
    timings: Timings,
    /// How long the longest attempt took, in microseconds: as wide as there is room.
    longest: u64,
}

/// How wide a bar can be.
const WIDTH: u64 = 1_000;

impl Phases {
    fn parts(&self) -> [(&'static str, &'static str, u64); 4] {
        let Timings { dns_us, connect_us, tls_us, exchange_us } = self.timings;
        [
            ("dns", "DNS", dns_us),
            ("connect", "connect", connect_us),
            ("tls", "TLS", tls_us),
            ("wait", "wait", exchange_us),
        ]
    }

    /// The parts that happened, in words.
    fn said(&self) -> impl Iterator<Item = (&'static str, String)> {
        let happened = self.parts().into_iter().filter(|(.., micros)| *micros > 0);
        happened
            .map(|(class, name, micros)| (class, format!("{name} {}", short(Duration::from_micros(micros)))))
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.said().map(|(_, text)| text).collect::<Vec<_>>().join(", ");
        if label.is_empty() {
            return Ok(());
        }
        let (mut drawn, mut from) = (String::new(), 0);
        for (class, _, micros) in self.parts() {
            if micros == 0 {
                continue;
            }
            // What happened at all is seen.
            let width = (micros.saturating_mul(WIDTH) / self.longest.max(1)).max(3);
            let _ = write!(
                drawn,
                "<rect class=\"{class}\" x=\"{from}\" y=\"0\" width=\"{width}\" height=\"10\"/>"
            );
            from += width;
        }
        write!(
            f,
            "<svg class=\"phases\" viewBox=\"0 0 {} 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">{drawn}</svg><p class=\"legend\">",
            WIDTH + 12
        )?;
        for (class, text) in self.said() {
            write!(f, "<span class=\"key {class}\">{text}</span> ")?;
        }
        f.write_str("</p>")
    }
}

impl HtmlSafe for Phases {}

/// What the receiver answered.
struct Answered {
    headers: Vec<(String, String)>,
    body: Option<Payload>,
    /// Whether Callboard kept its start only.
    cut: bool,
}

/// An attempt.
struct Row {
    number: u32,
    badge: Badge,
    title: String,
    at: Time,
    took: Option<String>,
    peer: Option<String>,
    message: Option<String>,
    advice: Option<&'static str>,
    phases: Phases,
    answered: Option<Answered>,
}

/// All of them.
#[derive(Template)]
#[template(path = "invocation/attempts.html")]
pub(in crate::dashboard) struct Timeline {
    rows: Vec<Row>,
    /// Of how many earlier ones nothing is shown.
    earlier: Option<String>,
}

impl HtmlSafe for Timeline {}

impl Timeline {
    pub(in crate::dashboard) fn new(attempts: &[LoggedAttempt]) -> Self {
        let earlier = attempts.len().saturating_sub(MOST);
        let shown = attempts.get(earlier..).unwrap_or(attempts);
        let longest = shown.iter().map(|attempt| total(&attempt.detail.timings)).max().unwrap_or(0);
        let mut rows: Vec<Row> = shown.iter().map(|attempt| row(attempt, longest)).collect();
        // What to do about it is said once, where it went wrong so last.
        let later = shown.iter().skip(1);
        for ((row, attempt), later) in rows.iter_mut().zip(shown).zip(later) {
            if attempt.cause == later.cause {
                row.advice = None;
            }
        }
        Self {
            rows,
            earlier: (earlier > 0)
                .then(|| counted(earlier as u64, "earlier attempt is", "earlier attempts are")),
        }
    }
}

const fn total(timings: &Timings) -> u64 {
    timings
        .dns_us
        .saturating_add(timings.connect_us)
        .saturating_add(timings.tls_us)
        .saturating_add(timings.exchange_us)
}

/// What a message says that the title does not.
fn beyond<'a>(title: &str, message: &'a str) -> &'a str {
    message.strip_prefix(title).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message)
}

fn row(attempt: &LoggedAttempt, longest: u64) -> Row {
    let detail = &attempt.detail;
    let title = match (attempt.status, attempt.cause) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(cause)) => words::title(cause).to_owned(),
        (None, None) => attempt.state.as_str().to_owned(),
    };
    let answered = attempt.status.map(|_| Answered {
        headers: detail.answer_headers.iter().map(|(name, value)| (visible(name), visible(value))).collect(),
        body: (!detail.answer_body.is_empty()).then(|| Payload::new(detail.answer_body.as_bytes())),
        cut: detail.answer_cut,
    });
    Row {
        number: attempt.number,
        badge: Badge::from(attempt.state),
        at: Time(attempt.started_at),
        took: attempt.was_made().then(|| short(attempt.duration)),
        peer: detail.peer.clone(),
        message: (!detail.message.is_empty()).then(|| visible(beyond(&title, &detail.message))),
        advice: attempt.cause.map(words::advice),
        title,
        phases: Phases { timings: detail.timings, longest },
        answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_wide_as_its_share_of_the_longest_and_says_its_parts() {
        let timings = Timings { dns_us: 0, connect_us: 1, tls_us: 250_000, exchange_us: 250_000 };
        let bar = Phases { timings, longest: 1_000_000 }.to_string();
        assert!(bar.contains("aria-label=\"connect 1 µs, TLS 250 ms, wait 250 ms\""), "{bar}");
        assert!(bar.contains("class=\"connect\" x=\"0\" y=\"0\" width=\"3\""), "{bar}");
        assert!(bar.contains("class=\"wait\" x=\"253\" y=\"0\" width=\"250\""), "{bar}");
        assert_eq!(Phases { timings: Timings::default(), longest: 1 }.to_string(), "");
    }
}
