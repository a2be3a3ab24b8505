//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

use callboard_domain::measures::Distribution;

/// Microseconds of a second.
const MICROS: f64 = 1_000_000.0;

/// What a metric does over time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// It grows, until the program starts anew.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// A text that grows by one metric after the other.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// A metric of one value.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.begin(name, kind.word(), help);
        self.sample(name, &[], value);
    }

    /// A metric of one value for each word of a label.
    pub(super) fn by<V: Display>(
        &mut self,
        kind: Kind,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.begin(name, kind.word(), help);
        for (word, value) in values {
            self.sample(name, &[(label, word)], value);
        }
    }

    /// Times, which are told in seconds.
    pub(super) fn times(&mut self, name: &str, help: &str, read: &Distribution) {
        self.begin(name, "histogram", help);
        self.histogram(name, None, read, MICROS);
    }

    /// Times for each word of a label.
    pub(super) fn times_by(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        read: impl IntoIterator<Item = (&'static str, Distribution)>,
    ) {
        self.begin(name, "histogram", help);
        for (word, read) in read {
            self.histogram(name, Some((label, word)), &read, MICROS);
        }
    }

    /// Sizes.
    pub(super) fn sizes(&mut self, name: &str, help: &str, read: &Distribution) {
        self.begin(name, "histogram", help);
        self.histogram(name, None, read, 1.0);
    }

    /// What was written.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // To write into a text does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, word)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{word}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    fn histogram(&mut self, name: &str, label: Option<(&str, &str)>, read: &Distribution, unit: f64) {
        let bucket = format!("{name}_bucket");
        let labels: Vec<(&str, &str)> = label.into_iter().collect();
        for (bound, count) in &read.buckets {
            let bound = (*bound as f64 / unit).to_string();
            self.sample(&bucket, &[&labels[..], &[("le", &bound)]].concat(), count);
        }
        self.sample(&bucket, &[&labels[..], &[("le", "+Inf")]].concat(), read.count);
        self.sample(&format!("{name}_sum"), &labels, read.sum as f64 / unit);
        self.sample(&format!("{name}_count"), &labels, read.count);
    }
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_as_the_format_says() {
        let mut text = Text::default();
        text.one(Kind::Gauge, "callboard_lanes", "Lanes.", 3);
        text.by(Kind::Counter, ("callboard_x_total", "cause"), "Things.", [("dns", 1), ("tls", 0)]);
        let read = Distribution { buckets: vec![(500, 1), (1_000_000, 2)], count: 3, sum: 2_500_000 };
        text.times("callboard_y_seconds", "Times.", &read);
        text.times_by(("callboard_z_seconds", "phase"), "Parts.", [("dns", read)]);
        assert_eq!(
            text.finish(),
            "# HELP callboard_lanes Lanes.\n\
             # TYPE callboard_lanes gauge\n\
             callboard_lanes 3\n\
             # HELP callboard_x_total Things.\n\
             # TYPE callboard_x_total counter\n\
             callboard_x_total{cause=\"dns\"} 1\n\
             callboard_x_total{cause=\"tls\"} 0\n\
             # HELP callboard_y_seconds Times.\n\
             # TYPE callboard_y_seconds histogram\n\
             callboard_y_seconds_bucket{le=\"0.0005\"} 1\n\
             callboard_y_seconds_bucket{le=\"1\"} 2\n\
             callboard_y_seconds_bucket{le=\"+Inf\"} 3\n\
             callboard_y_seconds_sum 2.5\n\
             callboard_y_seconds_count 3\n\
             # HELP callboard_z_seconds Parts.\n\
             # TYPE callboard_z_seconds histogram\n\
             callboard_z_seconds_bucket{phase=\"dns\",le=\"0.0005\"} 1\n\
             callboard_z_seconds_bucket{phase=\"dns\",le=\"1\"} 2\n\
             callboard_z_seconds_bucket{phase=\"dns\",le=\"+Inf\"} 3\n\
             callboard_z_seconds_sum{phase=\"dns\"} 2.5\n\
             callboard_z_seconds_count{phase=\"dns\"} 3\n"
        );
    }
}
