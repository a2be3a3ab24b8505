//! What receivers answer, whatever it is: there is always an outcome, what is kept
//! is bounded, and it does not depend on how the bytes were cut.
//!
//! The first byte says how the connection ends and into which pieces the answer is
//! cut; the rest is the answer. In it 0xFE and a number repeat the last line so many
//! times, and 0xFF and a number end a piece and wait so many seconds.

#![no_main]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{ManualClock, Timestamp};
use callboard_engine::guard::Guard;
use callboard_engine::http::{Answer, BODY_LIMIT, Client, ClientOptions, Endpoint, Fault, Resolver};
use callboard_fuzz::network::{Act, End, Outside, Record};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

/// Longest answer that is made of an input.
const LONGEST: usize = 384 * 1024;

/// Most bytes that may be read of one answer: what the client puts up with, and
/// one buffer.
const MOST_READ: usize = (256 + 64) * 1024;

/// How long an outcome may be waited for.
const DEADLINE: Duration = Duration::from_secs(10);

fuzz_target!(|bytes: &[u8]| {
    let Some((first, answer)) = bytes.split_first() else { return };
    let end = [End::Close, End::Reset, End::Silence][usize::from(first & 0b11) % 3];
    let size = [usize::MAX, 1, 7, 1_460][usize::from(first >> 2 & 0b11)];
    let (acts, waits) = acts(answer);
    let once = post(acts.clone(), end, usize::MAX);
    if waits || size == usize::MAX {
        return;
    }
    let again = post(acts, end, size);
    if let [Ok(one), Ok(other)] = [&once[0], &again[0]] {
        assert_eq!(one, other, "cut into pieces of {size}");
    }
});

/// What the receiver does, and whether it ever waits.
fn acts(script: &[u8]) -> (Vec<Act>, bool) {
    let (mut acts, mut piece, mut waits, mut total) = (Vec::new(), Vec::new(), false, 0);
    let mut bytes = script.iter().copied();
    while let Some(byte) = bytes.next() {
        let before = piece.len();
        match byte {
            0xfe => {
                let times = usize::from(bytes.next().unwrap_or(1));
                let line =
                    piece.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let line = piece[line..].to_vec();
                for _ in 0..times {
                    piece.extend_from_slice(&line);
                }
            }
            0xff => {
                let seconds = bytes.next().unwrap_or(0);
                if !piece.is_empty() {
                    acts.push(Act::Send(std::mem::take(&mut piece).into()));
                }
                if seconds > 0 {
                    waits = true;
                    acts.push(Act::Wait(Duration::from_secs(seconds.into())));
                }
                continue;
            }
            byte => piece.push(byte),
        }
        total += piece.len() - before;
        if total > LONGEST {
            break;
        }
    }
    if !piece.is_empty() {
        acts.push(Act::Send(piece.into()));
    }
    (acts, waits)
}

/// What came of two posts, one after the other.
fn post(acts: Vec<Act>, end: End, piece: usize) -> [Result<Answer, Fault>; 2] {
    let record = Arc::new(Mutex::new(Record::default()));
    let outside = Arc::new(Outside { addresses: Vec::new(), acts, end, piece, record: Arc::clone(&record) });
    let options = ClientOptions {
        resolver: Resolver::Custom(Arc::clone(&outside) as _),
        network: outside,
        system_roots: false,
        ..ClientOptions::default()
    };
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let client = Client::new(Guard::default(), options, clock);
    let endpoint = Endpoint::parse("http://8.8.8.8/hook").expect("a URL");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let results = runtime.expect("a runtime").block_on(async {
        #[expect(
            clippy::disallowed_methods,
            reason = "the runtime's own paused clock is what is measured by"
        )]
        let begun = tokio::time::Instant::now();
        let body = Bytes::from_static(b"{}");
        let first = client.post(&endpoint, HeaderMap::new(), body.clone(), DEADLINE).await;
        assert!(begun.elapsed() <= DEADLINE + Duration::from_millis(1), "it took {:?}", begun.elapsed());
        assert!(!first.reused);
        let second = client.post(&endpoint, HeaderMap::new(), body, DEADLINE).await;
        [first.result, second.result]
    });
    for result in &results {
        match result {
            Ok(answer) => is_bounded(answer),
            Err(fault) => says_why(fault),
        }
    }
    let record = record.lock().expect("a record");
    assert!(record.read <= 2 * MOST_READ, "{} bytes were read", record.read);
    assert!(record.called.len() <= 2, "nothing is sent a second time");
    results
}

fn is_bounded(answer: &Answer) {
    assert!((100..=999).contains(&answer.status));
    assert!(answer.body.len() <= BODY_LIMIT);
    assert!(!answer.cut || answer.body.len() == BODY_LIMIT);
    let size: usize = answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(answer.headers.len() <= 32 && size <= 4 * 1024, "{size} bytes of headers are kept");
    assert!(answer.retry_after.as_ref().is_none_or(|text| text.len() <= 64));
    let lines = answer
        .headers
        .iter()
        .all(|(name, value)| !name.contains(['\r', '\n']) && !value.contains(['\r', '\n']));
    assert!(lines, "a header holds a line end");
}

/// A fault is one line that people can read, and no more of the answer than a start.
fn says_why(fault: &Fault) {
    assert!(!fault.message.is_empty() && fault.message.len() <= 1_024, "{}", fault.message);
    assert!(!fault.message.contains(|character: char| character.is_control()), "{:?}", fault.message);
}
