//! One attempt at a delivery: render, sign, post, and judge the answer.

use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::delivery::{Attempt, AttemptDetail, Cause, MAX_ATTEMPTS, Outcome, StoredEvent};
use callboard_domain::id::{DeliveryKey, EventId};
use callboard_domain::trace::TraceContext;
use callboard_domain::wire::Message;
use http::header::HeaderName;
use rand::Rng;

use crate::http::{Answer, Client, Endpoint, Exchange, Headers, is_success};
use crate::lanes::{Ended, Work};
use crate::spans;
use crate::target::Target;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
pub(crate) const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What is kept of the body of an answer to a delivery that arrived, and none
/// of its headers; a failure keeps all that was read.
const KEPT_OF_SUCCESS: usize = 1_024;

/// How an exchange is to be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver took it.
    Delivered,
    /// It may work later; not before this long, where the receiver said so.
    Retry(Option<Duration>),
    /// The receiver is gone for good (410): the webhook is to be disabled.
    Gone,
    /// Trying again can't help.
    GiveUp,
}

/// An attempt that is over.
#[derive(Debug)]
pub struct Tried {
    /// What to write down.
    pub attempt: Attempt,
    /// What it says about the receiver.
    pub ended: Ended,
}

/// Makes one attempt. Retries that double start from `retry_base`; the receiver is told
/// of `trace`.
pub async fn attempt(
    work: &Work,
    client: &Client,
    clock: &dyn Clock,
    rng: &parking_lot::Mutex<dyn Rng + Send>,
    retry_base: Duration,
    trace: Option<&TraceContext>,
) -> Tried {
    let Work { queued, target, .. } = work;
    let started_at = clock.now();
    let begun = clock.elapsed();
    let exchange = match prepare(target, &queued.event, queued.delivery, started_at) {
        Ok(Prepared { endpoint, mut headers, body }) => {
            if let Some(trace) = trace {
                spans::tell(&mut headers, trace);
            }
            Ok(client.post(endpoint, headers, body, target.webhook.settings.timeout).await)
        }
        Err(unsendable) => Err(unsendable),
    };
    let duration = clock.elapsed().saturating_sub(begun);
    let (verdict, status, cause, detail) = match exchange {
        Ok(exchange) => judge(exchange, clock),
        Err((cause, message)) => {
            let detail = AttemptDetail { message, ..AttemptDetail::default() };
            (Verdict::GiveUp, None, Some(cause), detail)
        }
    };
    let ended = ended(&verdict, status, cause);
    let number = queued.attempts + 1;
    let tries = queued.tries + 1;
    let wait = match &verdict {
        Verdict::Retry(after) if number < MAX_ATTEMPTS => {
            target.webhook.settings.retry.wait(tries, *after, retry_base, &mut *rng.lock())
        }
        _ => None,
    };
    let outcome = match (&verdict, wait) {
        (Verdict::Delivered, _) => Outcome::Delivered,
        (_, Some(wait)) => Outcome::Retry(clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX)),
        (_, None) => Outcome::GivenUp,
    };
    let attempt = Attempt {
        delivery: queued.delivery,
        event: queued.event.key,
        webhook: target.key(),
        number,
        tries,
        started_at,
        duration,
        outcome,
        status,
        cause,
        detail,
    };
    Tried { attempt, ended }
}

/// A request up to the socket.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// Where it goes.
    pub endpoint: &'a Endpoint,
    /// Its headers, signed.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
}

/// Renders and signs a delivery of `event` as it is posted at `at`.
///
/// # Errors
/// Why it can't be sent, now or ever.
pub fn prepare<'a>(
    target: &'a Target,
    event: &StoredEvent,
    delivery: DeliveryKey,
    at: Timestamp,
) -> Result<Prepared<'a>, (Cause, String)> {
    let endpoint = target.endpoint.as_ref().map_err(|reason| (Cause::Connect, reason.clone()))?;
    let message = target.recipient.tell(event, delivery, at);
    let Message { body, headers: own } =
        message.map_err(|unrenderable| (Cause::Unrenderable, unrenderable.to_string()))?;
    let mut headers = target.headers.clone();
    for (name, text) in own {
        headers.set(HeaderName::from_static(name), text);
    }
    for (name, text) in signature_headers(target, &event.id, at, &body) {
        headers.set(name, text);
    }
    Ok(Prepared { endpoint, headers, body })
}

/// What Standard Webhooks puts beside a body that is posted at `at`. An event id
/// holds letters, digits, '_' and '-' only, a signature base64: each is a header
/// value.
pub(crate) fn signature_headers(
    target: &Target,
    id: &EventId,
    at: Timestamp,
    body: &[u8],
) -> [(HeaderName, String); 3] {
    let signature = target.with_signatures(at, |signatures| signatures.sign(id, at, body));
    [
        (WEBHOOK_ID, id.as_str().to_owned()),
        (WEBHOOK_TIMESTAMP, at.as_second().to_string()),
        (WEBHOOK_SIGNATURE, signature),
    ]
}

fn judge(exchange: Exchange, clock: &dyn Clock) -> (Verdict, Option<u16>, Option<Cause>, AttemptDetail) {
    let mut detail = AttemptDetail {
        peer: exchange.peer.map(|peer| peer.to_string()),
        timings: exchange.timings,
        ..AttemptDetail::default()
    };
    match exchange.result {
        Ok(answer) => {
            let verdict = judge_status(&answer, || clock.now());
            let delivered = verdict == Verdict::Delivered;
            let kept = answer.body.len().min(if delivered { KEPT_OF_SUCCESS } else { usize::MAX });
            detail.answer_body = String::from_utf8_lossy(&answer.body[..kept]).into_owned();
            detail.answer_cut = answer.cut || kept < answer.body.len();
            if !delivered {
                detail.answer_headers = answer.headers;
                detail.message = explain_status(answer.status);
            }
            (verdict, Some(answer.status), (!delivered).then_some(Cause::Status), detail)
        }
        Err(fault) => {
            detail.message = fault.message;
            (Verdict::Retry(None), None, Some(fault.cause), detail)
        }
    }
}

/// Standard Webhooks: only 2xx succeeds, 410 ends the subscription, and a
/// receiver that is overrun may say how long to leave it alone.
pub(crate) fn judge_status(answer: &Answer, now: impl FnOnce() -> Timestamp) -> Verdict {
    match answer.status {
        status if is_success(status) => Verdict::Delivered,
        410 => Verdict::Gone,
        429 | 503 => Verdict::Retry(answer.retry_after.as_deref().and_then(|text| retry_after(text, now()))),
        _ => Verdict::Retry(None),
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or an HTTP date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_secs(u64::try_from(now.as_second()).ok()?);
    Some(since_epoch.saturating_sub(now))
}

/// What an attempt says about its receiver.
fn ended(verdict: &Verdict, status: Option<u16>, cause: Option<Cause>) -> Ended {
    match (verdict, status, cause) {
        (Verdict::Delivered, _, _) => Ended::Worked,
        (Verdict::Gone, _, _) => Ended::Gone,
        (_, Some(429 | 502..=504), _) | (_, None, Some(Cause::Timeout | Cause::ConnectTimeout)) => {
            Ended::Overloaded
        }
        (_, Some(..=499), _) | (_, None, Some(Cause::Unrenderable)) => Ended::Refused,
        _ => Ended::Down,
    }
}

/// What a status that is no success means.
pub(crate) fn explain_status(status: u16) -> String {
    let meaning = match status {
        300..=399 => "redirects are not followed; register the address it points to",
        401 | 403 => "the receiver refused the credentials; check authorization_header",
        404 => "the receiver has nothing at this path",
        405 => "the receiver takes no POST at this path",
        410 => "the receiver is gone for good, so the webhook was disabled",
        413 => "the receiver finds the body too large",
        429 => "the receiver asks for fewer requests",
        400..=499 => "the receiver refused it",
        _ => "the receiver failed",
    };
    format!("answered {status}: {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Answer {
        Answer { status, retry_after: retry_after.map(str::to_owned), ..Answer::default() }
    }

    #[test]
    fn statuses_are_judged_by_standard_webhooks() {
        let now = Timestamp::from_second(1_000_000_000).expect("a time");
        let judge = |status, after| judge_status(&answer(status, after), || now);
        assert_eq!(judge(200, None), Verdict::Delivered);
        assert_eq!(judge(299, None), Verdict::Delivered);
        assert_eq!(judge(301, None), Verdict::Retry(None));
        assert_eq!(judge(404, None), Verdict::Retry(None));
        assert_eq!(judge(410, None), Verdict::Gone);
        assert_eq!(judge(429, Some("7")), Verdict::Retry(Some(Duration::from_secs(7))));
        assert_eq!(
            judge(503, Some("Sun, 09 Sep 2001 01:46:50 GMT")),
            Verdict::Retry(Some(Duration::from_secs(10)))
        );
        assert_eq!(judge(503, Some("Sun, 09 Sep 2001 01:46:30 GMT")), Verdict::Retry(Some(Duration::ZERO)));
        assert_eq!(judge(500, Some("7")), Verdict::Retry(None));
    }

    #[test]
    fn waiting_times_that_are_none_are_passed_over() {
        let now = Timestamp::from_second(1_000_000_000).expect("a time");
        let judge = |after| judge_status(&answer(503, Some(after)), || now);
        for text in ["soon", "", "-5", "1.5", "99999999999999999999", "0x10", "Sun, 32 Foo 2001 01:46:50 GMT"]
        {
            assert_eq!(judge(text), Verdict::Retry(None), "{text}");
        }
        // However long, no wait is longer than a schedule may ask for.
        let Verdict::Retry(after) = judge("18446744073709551615") else { panic!("it is tried again") };
        let schedule = callboard_domain::retry::Schedule::from_seconds(&[1.0]).expect("a schedule");
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        assert_eq!(schedule.wait(1, after, &mut rng), Some(callboard_domain::retry::MAX_WAIT));
        assert_eq!(judge("Mon, 01 Jan 0001 00:00:00 GMT"), Verdict::Retry(None));
        assert_eq!(judge("Thu, 01 Jan 1970 00:00:00 GMT"), Verdict::Retry(Some(Duration::ZERO)));
    }
}
