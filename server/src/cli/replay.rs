//! `callboard replay`: has a server send again what a webhook has had, or send
//! what it has missed.

use std::str::FromStr;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use serde_json::{Value, json};

use super::remote::{self, Remote};
use super::wait::{Elsewhere, until_ended};
use super::{Outcome, clock, job, say};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that somebody gives or leaves out")]
pub(super) struct Arguments {
    /// The webhook's id
    webhook: String,
    /// From when on: a time such as 2026-11-21T19:00:00Z, or how long ago, such as 90s, 30m, 2h or 7d
    #[arg(long, value_name = "TIME")]
    since: Moment,
    /// Until when; now if left out
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only deliveries that are delivered, failed, cancelled or superseded; may be
    /// repeated [default: all but superseded]
    #[arg(long = "state", value_name = "STATE", conflicts_with = "missing")]
    states: Vec<String>,
    /// Instead of deliveries, events that the webhook hears and has no delivery of
    #[arg(long)]
    missing: bool,
    /// Only of this event type
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Only about the subject with this id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Send at most so many a second; fractions are allowed
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Only count, and send nothing
    #[arg(long, conflicts_with = "no_wait")]
    dry_run: bool,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let remote = Remote::new(&arguments.server)?;
    let path = format!("/v1/webhooks/{}/replay", arguments.webhook);
    let answer = remote.post_json(&path, &arguments.request(clock().now()))?;
    if arguments.dry_run {
        say(&if arguments.json { answer.to_string() } else { in_words(&answer) })?;
        return Ok(());
    }
    let ended = if arguments.no_wait { answer } else { until_ended(remote, answer, Elsewhere::Nothing)? };
    say(&if arguments.json { ended.to_string() } else { job::in_words(&ended) })?;
    if ended["state"] == "stopped" {
        return Err("the job was stopped before it was done".into());
    }
    Ok(())
}

impl Arguments {
    /// The body of the request; what is left out is left to the server.
    fn request(&self, now: Timestamp) -> Value {
        json!({
            "since": self.since.before(now),
            "until": self.until.as_ref().map(|until| until.before(now)),
            "states": (!self.states.is_empty()).then_some(&self.states),
            "missing": self.missing,
            "type": self.type_name,
            "subject": self.subject,
            "rate_per_second": self.rate,
            "dry_run": self.dry_run,
        })
    }
}

/// What a dry run came to.
fn in_words(counted: &Value) -> String {
    let total = counted["total"].as_u64().unwrap_or_default();
    let sent = if total == 1 { "1 delivery".to_owned() } else { format!("{total} deliveries") };
    if counted["total_capped"] == true {
        format!("at least {sent} would be sent; there is more than is counted at once")
    } else {
        format!("{sent} would be sent")
    }
}

/// A time, or how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let fault = "must be an RFC 3339 time with an offset, or a number and s, m, h, d or w, such as 2h";
        let unit = text.chars().next_back().ok_or(fault)?;
        let seconds: u64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            'w' => 7 * 24 * 60 * 60,
            _ => return Err(fault),
        };
        let number: u32 = text[..text.len() - 1].parse().map_err(|_| fault)?;
        Ok(Self::Ago(Duration::from_secs(seconds * u64::from(number))))
    }
}

impl Moment {
    /// The time that is meant.
    pub(super) fn before(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => *time,
            Self::Ago(ago) => now.saturating_sub(*ago).unwrap_or(Timestamp::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let now: Timestamp = "2026-11-21T19:00:00Z".parse().expect("a time");
        for (text, time) in [
            ("2026-11-21T20:00:00+02:00", "2026-11-21T18:00:00Z"),
            ("90s", "2026-11-21T18:58:30Z"),
            ("30m", "2026-11-21T18:30:00Z"),
            ("2h", "2026-11-21T17:00:00Z"),
            ("7d", "2026-11-14T19:00:00Z"),
            ("1w", "2026-11-14T19:00:00Z"),
            ("0s", "2026-11-21T19:00:00Z"),
        ] {
            let moment: Moment = text.parse().expect(text);
            assert_eq!(moment.before(now).to_string(), time, "{text}");
        }
        let long: Moment = "4294967295w".parse().expect("a long time");
        assert_eq!(long.before(now), Timestamp::MIN);
        for text in ["", "h", "2", "2y", "-2h", "2 h", "yesterday", "2026-11-21", "2026-11-21T19:00:00", "ü"]
        {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
