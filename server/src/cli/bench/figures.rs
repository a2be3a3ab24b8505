//! Figures with their names and units, and the arithmetic on them.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// Named figures. A name is `snake_case` and ends in its unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    /// The same with one more.
    pub(super) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, value));
        self
    }

    /// The figure of this name; not a number, if there is none.
    pub(super) fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value)
    }

    /// The median of each figure over `rounds`, which have the same names.
    pub(super) fn medians(rounds: &[Self]) -> Self {
        let names = rounds.first().map_or(&[][..], |first| &first.0);
        let median_of = |name| median(&rounds.iter().map(|round| round.get(name)).collect::<Vec<_>>());
        Self(names.iter().map(|(name, _)| (*name, median_of(name))).collect())
    }

    /// An object with a member for each.
    pub(super) fn json(&self) -> Value {
        Value::Object(
            self.0.iter().map(|(name, value)| ((*name).to_owned(), number(*value))).collect::<Map<_, _>>(),
        )
    }

    /// All of them in one line.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(name, value)| words(name, *value)).collect::<Vec<_>>().join(", ")
    }
}

/// A number as JSON: whole ones without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "only numbers that are whole and small are cast")]
fn number(value: f64) -> Value {
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    if whole { json!(value as i64) } else { json!(value) }
}

/// A figure in words: its unit behind the value instead of in the name.
pub(super) fn words(name: &str, value: f64) -> String {
    const UNITS: [(&str, &str); 3] = [("_ms", " ms"), ("_mib", " MiB"), ("_seconds", " s")];
    let spaced = |text: &str| text.replace('_', " ");
    let value = amount(value);
    if let Some(what) = name.strip_suffix("_per_second") {
        return format!("{value} {}/s", spaced(what));
    }
    match UNITS.iter().find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, unit))) {
        Some((what, unit)) => format!("{} {value}{unit}", spaced(what)),
        None => format!("{} {value}", spaced(name)),
    }
}

/// As many digits as say something.
pub(super) fn amount(value: f64) -> String {
    match value.abs() {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        _ if value.abs() >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median; of an even number, halfway between the two in the middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let upper = middle(sorted.len() / 2);
    if sorted.len() % 2 == 1 { upper } else { middle((sorted.len() / 2).wrapping_sub(1)).midpoint(upper) }
}

/// The shortest of these sorted times that `thousandths` of them don't exceed;
/// zero, if there is none.
pub(super) fn percentile(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(Duration::ZERO)
}

/// `one` as a multiple of `other`; not a number, where there is no other.
pub(super) fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { f64::NAN }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files and memory are far below 2^52")]
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1_024.0 * 1_024.0)
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
pub(super) fn count(value: u64) -> f64 {
    value as f64
}

/// How many a second `count` in `took` are.
pub(super) fn per_second(counted: u64, took: Duration) -> f64 {
    ratio(count(counted), took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        milliseconds.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let hundred = times(1..=100);
        assert_eq!(percentile(&hundred, 990), Duration::from_millis(99));
        assert_eq!(percentile(&hundred, 500), Duration::from_millis(50));
        assert_eq!(percentile(&hundred, 1_000), Duration::from_millis(100));
        assert_eq!(percentile(&times(1..=10), 990), Duration::from_millis(10));
        assert_eq!(percentile(&times([7]), 500), Duration::from_millis(7));
        assert_eq!(percentile(&[], 990), Duration::ZERO);
    }

    #[test]
    fn a_median_is_in_the_middle_of_odd_and_even_numbers() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!((median(&[5.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_to_nothing_is_not_a_number() {
        assert!((ratio(3.0, 4.0) - 0.75).abs() < f64::EPSILON);
        assert!(ratio(1.0, 0.0).is_nan() && ratio(1.0, f64::NAN).is_nan());
        assert!((per_second(10, Duration::from_millis(500)) - 20.0).abs() < f64::EPSILON);
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let round =
            |rate, wait| Figures::default().with("events_per_second", rate).with("publish_p99_ms", wait);
        let medians = Figures::medians(&[round(10.0, 3.0), round(30.0, 1.0), round(20.0, 2.5)]);
        assert_eq!(medians, round(20.0, 2.5));
        assert_eq!(medians.json().to_string(), r#"{"events_per_second":20,"publish_p99_ms":2.5}"#);
        assert_eq!(medians.text(), "20 events/s, publish p99 2.50 ms");
        assert!(medians.get("memory_mib").is_nan());
    }

    #[test]
    fn what_is_not_a_number_is_null_in_json() {
        assert_eq!(Figures::default().with("ratio", f64::NAN).json().to_string(), r#"{"ratio":null}"#);
    }
}
