//! Subjects of NATS: tokens with full stops between, and patterns of them
//! (<https://docs.nats.io/nats-concepts/subjects>).

/// Whether a stream or a consumer may be called so.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    (1..=255).contains(&text.len()) && !text.contains(forbidden)
}

/// Whether it is a subject, or a pattern of subjects: `*` stands for one token,
/// `>` at the end for one or more.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    let tokens: Vec<&str> = text.split('.').collect();
    let good = |(index, token): (usize, &&str)| match *token {
        ">" => index + 1 == tokens.len(),
        "*" => true,
        token => !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || "*>".contains(c)),
    };
    tokens.iter().enumerate().all(good)
}

/// Whether it stands for more than one subject.
#[must_use]
pub fn has_wildcards(filter: &str) -> bool {
    filter.split('.').any(|token| token == "*" || token == ">")
}

/// Whether the pattern stands for the subject.
#[must_use]
pub fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_nats_says() {
        for (filter, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.b", true),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn what_nats_would_refuse_is_no_filter() {
        for good in ["a", "a.b", "*", ">", "a.*.c", "a.>"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a..b", ".a", "a.", "a.>.b", "a b", "a.b*", "a>"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(is_name("TICKETS") && !is_name("a.b") && !is_name("") && !is_name("a b"));
    }
}
