//! What is typed while `callboard listen` runs.

use tokio::sync::mpsc::{Receiver, channel};

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A delivery again: the one of this number, or the last.
    Again(Option<u64>),
    /// The end.
    Quit,
    /// Nobody knows.
    Unknown,
}

/// What is typed from now on; the end of standard input ends nothing else.
pub(super) fn keys() -> Receiver<Key> {
    let (sender, receiver) = channel(16);
    // It waits for a line that may never come, so nothing may wait for it.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if read(&line).is_some_and(|key| sender.blocking_send(key).is_err()) {
                break;
            }
        }
    });
    receiver
}

/// What a line says; an empty one says nothing.
fn read(line: &str) -> Option<Key> {
    let mut words = line.split_whitespace();
    let key = match (words.next()?, words.next(), words.next()) {
        ("r", None, None) => Key::Again(None),
        ("r", Some(number), None) => number.parse().map_or(Key::Unknown, |number| Key::Again(Some(number))),
        ("q", None, None) => Key::Quit,
        _ => Key::Unknown,
    };
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_to_do() {
        for (line, key) in [
            ("r", Some(Key::Again(None))),
            (" r  12 ", Some(Key::Again(Some(12)))),
            ("q", Some(Key::Quit)),
            ("", None),
            ("r -1", Some(Key::Unknown)),
            ("r 1 2", Some(Key::Unknown)),
            ("quit", Some(Key::Unknown)),
        ] {
            assert_eq!(read(line), key, "{line:?}");
        }
    }
}
