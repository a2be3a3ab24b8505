//! Why deliveries fail, in the words of people who have to do something about it.

use callboard_domain::delivery::Cause;

/// A cause in a few words, for lists.
pub(super) const fn title(cause: Cause) -> &'static str {
    match cause {
        Cause::Dns => "host name not found",
        Cause::Blocked => "address may not be called",
        Cause::Connect => "connection refused",
        Cause::ConnectTimeout => "no connection in time",
        Cause::Tls => "TLS failed",
        Cause::Reset => "connection broke off",
        Cause::Timeout => "no answer in time",
        Cause::InvalidAnswer => "answer is not HTTP",
        Cause::Status => "refused by the receiver",
        Cause::Unrenderable => "can't be told in this dialect",
        Cause::Cancelled => "cancelled",
        Cause::Superseded => "superseded",
    }
}

/// Why something failed, where an answer has a status.
pub(super) fn reason(cause: Option<Cause>, status: Option<u16>) -> String {
    match (cause, status) {
        (_, Some(status)) => format!("answered {status}"),
        (Some(cause), None) => title(cause).to_owned(),
        (None, None) => "no reason is known".to_owned(),
    }
}

/// What to do about it.
pub(super) const fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Dns => {
            "The name in the Destination URL leads nowhere. Check its spelling, and whether its DNS records \
             are public."
        }
        Cause::Blocked => {
            "Callboard calls public addresses only, so that nobody can reach its own network through a \
             webhook. If this address is meant, its operator allows it with egress.allow."
        }
        Cause::Connect => {
            "Nobody listens at that address and port, or a firewall turns Callboard away. Check that the \
             receiver runs, and its port."
        }
        Cause::ConnectTimeout => {
            "Nothing came back when connecting. That is mostly a firewall that drops packets, or a machine \
             that is off."
        }
        Cause::Tls => {
            "The receiver was reached, and its certificate or its TLS can't be trusted. Until it is mended, \
             nothing is sent to it."
        }
        Cause::Reset => {
            "The connection ended before the answer was complete. The receiver may have restarted, or a proxy \
             before it gave up."
        }
        Cause::Timeout => {
            "The receiver took the request and did not answer in time. Answer first, and work afterwards; \
             or allow more time in the settings."
        }
        Cause::InvalidAnswer => {
            "Something answers there that does not speak HTTP as it should. Check the port, and whether the \
             URL should begin with https."
        }
        Cause::Status => {
            "Only an answer of 200 to 299 counts as received. The invocation shows what the receiver answered; \
             its own log knows more."
        }
        Cause::Unrenderable => {
            "The event lacks something that this dialect can't do without. Sending it again can't help; the \
             publisher has to say more."
        }
        Cause::Cancelled => {
            "Somebody called it off, or the webhook was deleted. It can be sent again by hand."
        }
        Cause::Superseded => {
            "A newer update about the same subject waited behind it, and this webhook asks for the latest only."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_of_its_own() {
        let titles: std::collections::HashSet<_> = Cause::ALL.map(title).into_iter().collect();
        let advice: std::collections::HashSet<_> = Cause::ALL.map(advice).into_iter().collect();
        assert_eq!((titles.len(), advice.len()), (Cause::ALL.len(), Cause::ALL.len()));
    }
}
