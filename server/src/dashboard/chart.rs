//! Charts as inline SVG, each with a sentence that says the same and a table.

use std::fmt::{self, Write as _};
use std::time::Duration;

use askama::filters::HtmlSafe;
use callboard_domain::clock::Timestamp;
use callboard_domain::stats::{BUCKET_SECONDS, StatsBucket};

use super::mark::{HourTime, counted, grouped};

/// One hour: what arrived, and what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) start: Timestamp,
    pub(super) delivered: u64,
    pub(super) failed: u64,
}

/// The last `count` hours up to `now`, the hours in which nothing happened too.
pub(super) fn hours(buckets: &[StatsBucket], now: Timestamp, count: i64) -> Vec<Hour> {
    let last = now.as_second().div_euclid(BUCKET_SECONDS);
    let hour = |index: i64| {
        let start = Timestamp::from_second(index * BUCKET_SECONDS).unwrap_or(now);
        let bucket = buckets.iter().find(|bucket| bucket.start == start);
        Hour {
            start,
            delivered: bucket.map_or(0, |bucket| bucket.delivered),
            failed: bucket.map_or(0, |bucket| bucket.failed_attempts),
        }
    };
    (last + 1 - count..=last).map(hour).collect()
}

/// When to count from, so that `count` whole hours are shown.
pub(super) fn hours_ago(now: Timestamp, count: u64) -> Timestamp {
    now.saturating_sub(Duration::from_hours(count.saturating_sub(1))).unwrap_or(Timestamp::MIN)
}

/// The share of attempts that succeeded, as text; `None` without attempts.
pub(super) fn success(hours: &[Hour]) -> Option<String> {
    let delivered: u64 = hours.iter().map(|hour| hour.delivered).sum();
    let all = delivered + hours.iter().map(|hour| hour.failed).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let share = (all > 0).then(|| delivered as f64 / all as f64 * 100.0)?;
    // What failed is not to be rounded away.
    let share = if delivered < all { share.min(99.9) } else { share };
    Some(format!("{share:.1}").trim_end_matches(".0").to_owned() + " %")
}

fn summary(hours: &[Hour]) -> String {
    let delivered = hours.iter().map(|hour| hour.delivered).sum();
    let failed = hours.iter().map(|hour| hour.failed).sum();
    let span = counted(hours.len() as u64, "hour", "hours");
    format!(
        "{} delivered and {} in the last {span}.",
        grouped(delivered),
        counted(failed, "failed attempt", "failed attempts")
    )
}

/// Bars by the hour, with a sentence and a table.
#[derive(Debug, Clone)]
pub(super) struct Bars {
    pub(super) hours: Vec<Hour>,
    /// What the chart is called.
    pub(super) title: &'static str,
}

const HEIGHT: u64 = 120;
const STEP: u64 = 30;
const WIDTH: u64 = 24;

/// How high a count stands where `most` is as high as the chart; what is there at all
/// is seen.
fn height(count: u64, most: u64, high: u64) -> u64 {
    if count == 0 { 0 } else { (count * high / most.max(1)).max(2) }
}

fn draw(out: &mut String, hours: &[Hour], (step, width, high): (u64, u64, u64)) {
    let most = hours.iter().map(|hour| hour.delivered + hour.failed).max().unwrap_or(0);
    for (index, hour) in hours.iter().enumerate() {
        let x = index as u64 * step + (step - width) / 2;
        let (good, bad) = (height(hour.delivered, most, high), height(hour.failed, most, high));
        let bad = bad.min(high);
        let good = good.min(high - bad);
        if good + bad == 0 {
            let _ = write!(
                out,
                "<rect class=\"none\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"1\"/>",
                high - 1
            );
        }
        if good > 0 {
            let y = high - good;
            let _ =
                write!(out, "<rect class=\"good\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{good}\"/>");
        }
        if bad > 0 {
            let y = high - good - bad;
            let _ =
                write!(out, "<rect class=\"bad\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{bad}\"/>");
        }
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = summary(&self.hours);
        let wide = self.hours.len() as u64 * STEP;
        let mut drawn = String::new();
        draw(&mut drawn, &self.hours, (STEP, WIDTH, HEIGHT));
        write!(
            f,
            "<figure class=\"chart\"><figcaption>{}</figcaption>\
             <svg viewBox=\"0 0 {wide} {HEIGHT}\" role=\"img\" preserveAspectRatio=\"none\" aria-label=\"{summary}\">{drawn}</svg>",
            self.title
        )?;
        if let (Some(first), Some(last)) = (self.hours.first(), self.hours.last()) {
            write!(
                f,
                "<p class=\"axis\"><span>{}</span><span>{}</span></p>",
                HourTime(first.start),
                HourTime(last.start)
            )?;
        }
        write!(
            f,
            "<p class=\"legend\"><span class=\"key good\">delivered</span> <span class=\"key bad\">failed attempts</span></p>\
             <p class=\"summary\">{summary}</p><details><summary>As a table</summary><div class=\"scroll\" role=\"region\" aria-label=\"{}, as a table\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Hour</th>\
             <th scope=\"col\" class=\"number\">Delivered</th><th scope=\"col\" class=\"number\">Failed attempts</th></tr></thead><tbody>",
            self.title
        )?;
        for hour in &self.hours {
            write!(
                f,
                "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                HourTime(hour.start),
                grouped(hour.delivered),
                grouped(hour.failed)
            )?;
        }
        f.write_str("</tbody></table></div></details></figure>")
    }
}

impl HtmlSafe for Bars {}

/// The same, as small as a word.
#[derive(Debug, Clone)]
pub(super) struct Sparkline(pub(super) Vec<Hour>);

impl fmt::Display for Sparkline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut drawn = String::new();
        draw(&mut drawn, &self.0, (4, 3, 20));
        let (wide, summary) = (self.0.len() * 4, summary(&self.0));
        write!(
            f,
            "<svg class=\"spark\" viewBox=\"0 0 {wide} 20\" role=\"img\" aria-label=\"{summary}\">{drawn}</svg>"
        )
    }
}

impl HtmlSafe for Sparkline {}

#[cfg(test)]
mod tests {
    use callboard_domain::stats::LATENCY_CLASSES;

    use super::*;

    fn hour(delivered: u64, failed: u64) -> Hour {
        Hour { start: Timestamp::UNIX_EPOCH, delivered, failed }
    }

    #[test]
    fn hours_without_anything_are_shown_too() {
        let now: Timestamp = "2026-11-21T19:30:00Z".parse().expect("a time");
        let start = "2026-11-21T18:00:00Z".parse().expect("a time");
        let latencies = [0; LATENCY_CLASSES];
        let bucket = StatsBucket { start, delivered: 5, failed_attempts: 1, given_up: 0, latencies };
        let hours = hours(&[bucket], now, 3);
        assert_eq!(hours.iter().map(|hour| hour.delivered).collect::<Vec<_>>(), [0, 5, 0]);
        assert_eq!(hours[2].start.to_string(), "2026-11-21T19:00:00Z");
        assert!(hours_ago(now, 3) <= hours[0].start.checked_add(Duration::from_hours(1)).expect("a time"));
    }

    #[test]
    fn a_failure_is_never_rounded_away() {
        assert_eq!(success(&[]), None);
        assert_eq!(success(&[hour(0, 0)]), None);
        assert_eq!(success(&[hour(10, 0)]).as_deref(), Some("100 %"));
        assert_eq!(success(&[hour(99_999, 1)]).as_deref(), Some("99.9 %"));
        assert_eq!(success(&[hour(0, 1)]).as_deref(), Some("0 %"));
    }

    #[test]
    fn what_is_there_at_all_is_seen() {
        let chart = Bars { hours: vec![hour(1_000_000, 1), hour(0, 0)], title: "By the hour" }.to_string();
        assert!(chart.contains("class=\"bad\"") && chart.contains("class=\"none\""), "{chart}");
        assert!(chart.contains("1,000,000 delivered and 1 failed attempt in the last 2 hours."), "{chart}");
    }
}
