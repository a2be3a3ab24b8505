//! Small pieces of HTML that many pages show: times, states, durations. They are
//! types, so that a template can't forget to escape one.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::State;
use callboard_domain::job::JobState;
use callboard_domain::webhook::{Status, Webhook};

/// A time: in UTC, and by the clock of whoever reads where the page's script runs.
/// Pointed at or focused, it shows the exact time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.0.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        let text = self.0.strftime("%b %-d, %H:%M:%S");
        write!(f, "<time datetime=\"{exact}\" title=\"{exact}\">{text}<span class=\"utc\"> UTC</span></time>")
    }
}

impl HtmlSafe for Time {}

/// The start of an hour, in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HourTime(pub(super) Timestamp);

impl fmt::Display for HourTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exact, text) = (self.0.strftime("%Y-%m-%dT%H:%M:%SZ"), self.0.strftime("%b %-d, %H:%M"));
        write!(f, "<time class=\"hour\" datetime=\"{exact}\" title=\"{exact}\">{text} UTC</time>")
    }
}

impl HtmlSafe for HourTime {}

/// A duration, as short as it can be said: `340 µs`, `12 ms`, `1.2 s`, `5 min`, `3 h`.
pub(super) fn short(duration: Duration) -> String {
    let micros = duration.as_micros();
    let seconds = duration.as_secs();
    match micros {
        0 => "0 ms".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => match duration.subsec_millis() / 100 {
            0 => format!("{seconds} s"),
            tenths => format!("{seconds}.{tenths} s"),
        },
        _ => match seconds {
            ..3_600 => format!("{} min", seconds / 60),
            3_600..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} days", seconds / 86_400),
        },
    }
}

/// How long ago, or how far ahead, `time` is at `now`.
pub(super) fn distance(time: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(now.duration_since(time)) {
        Ok(past) if past.as_secs() == 0 => "now".to_owned(),
        Ok(past) => format!("{} ago", short(Duration::from_secs(past.as_secs()))),
        Err(_) => {
            let ahead = Duration::try_from(time.duration_since(now)).unwrap_or_default();
            format!("in {}", short(Duration::from_secs(ahead.as_secs().max(1))))
        }
    }
}

/// A count with its digits in groups.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things, with the word for them.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// Bytes as people say them.
pub(super) fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let in_units = |unit: u64| format!("{:.1}", count as f64 / unit as f64);
    match count {
        ..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{} KiB", in_units(1_024)),
        1_048_576..1_073_741_824 => format!("{} MiB", in_units(1_048_576)),
        _ => format!("{} GiB", in_units(1_073_741_824)),
    }
}

/// A state as an icon and a word: never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Badge {
    /// What it looks like.
    pub(super) kind: Kind,
    pub(super) word: &'static str,
}

/// What a badge looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    Waiting,
    Bad,
    Off,
    Held,
    Busy,
}

impl Kind {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "wait",
            Self::Bad => "bad",
            Self::Off => "off",
            Self::Held => "held",
            Self::Busy => "busy",
        }
    }

    /// The lines of its icon, in a square of 16.
    const fn path(self) -> &'static str {
        match self {
            Self::Good => "M3.5 8.5l3 3 6-7",
            Self::Waiting => "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
            Self::Bad => "M4.5 4.5l7 7m0-7l-7 7",
            Self::Off => "M3.8 3.8l8.4 8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
            Self::Held => "M6 4v8m4-8v8",
            Self::Busy => "M3 8h9M8.5 4.5L12 8l-3.5 3.5",
        }
    }
}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, path) = (self.kind.class(), self.kind.path());
        write!(
            f,
            "<span class=\"badge {class}\"><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>{}</span>",
            self.word
        )
    }
}

impl HtmlSafe for Badge {}

impl From<State> for Badge {
    fn from(state: State) -> Self {
        let kind = match state {
            State::Pending => Kind::Busy,
            State::Waiting => Kind::Waiting,
            State::Delivered => Kind::Good,
            State::Failed => Kind::Bad,
            State::Superseded | State::Cancelled => Kind::Off,
        };
        Self { kind, word: state.as_str() }
    }
}

impl From<JobState> for Badge {
    fn from(state: JobState) -> Self {
        let kind = match state {
            JobState::Running => Kind::Busy,
            JobState::Finished => Kind::Good,
            JobState::Stopped => Kind::Off,
        };
        Self { kind, word: state.as_str() }
    }
}

impl From<&Webhook> for Badge {
    fn from(webhook: &Webhook) -> Self {
        match (webhook.status, webhook.failing_since) {
            (Status::Active, Some(_)) => Self { kind: Kind::Bad, word: "failing" },
            (Status::Active, None) => Self { kind: Kind::Good, word: "active" },
            (Status::Paused, _) => Self { kind: Kind::Held, word: "paused" },
            (Status::Disabled, _) => Self { kind: Kind::Off, word: "disabled" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_counts_are_said_as_people_say_them() {
        let texts = [0, 340, 12_900, 1_290_000, 300_000_000, 10_800_000_000, 864_000_000_000]
            .map(|micros| short(Duration::from_micros(micros)));
        assert_eq!(texts, ["0 ms", "340 µs", "12 ms", "1.2 s", "5 min", "3 h", "10 days"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(|count| counted(count, "webhook", "webhooks")), ["1 webhook", "2 webhooks"]);
        assert_eq!([1_023, 1_536, 1_048_576].map(bytes), ["1023 B", "1.5 KiB", "1.0 MiB"]);
    }

    #[test]
    fn distances_are_told_in_both_directions() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let texts = [100, 40, -200, 130].map(|second| distance(at(second), at(100)));
        assert_eq!(texts, ["now", "1 min ago", "5 min ago", "in 30 s"]);
    }
}
