//! Where deliveries stand, as their rows tell it together.

use callboard_domain::delivery::{DeliverySummary, LoggedAttempt, State};
use callboard_domain::id::{DeliveryKey, EventKey, WebhookKey};

use super::attempts::{Waiting, waiting_state};
use super::{Corrupt, LEASED, parsed, timestamp, unleased};

/// An attempt with the rows that it belongs to.
pub(crate) struct AttemptRow {
    pub(crate) event: i64,
    pub(crate) webhook: i64,
    pub(crate) logged: LoggedAttempt,
}

/// Where a delivery stands, before its event is read.
pub(crate) struct Standing {
    pub(crate) delivery: i64,
    pub(crate) event: i64,
    pub(crate) webhook: WebhookKey,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    due_at: Option<i64>,
    last: Option<LoggedAttempt>,
}

/// What a list shows of a delivery's event.
pub(crate) struct EventColumns {
    pub(crate) id: String,
    pub(crate) type_name: String,
    pub(crate) subject: String,
    pub(crate) accepted_at: i64,
}

impl Standing {
    /// Told by the row of a delivery that waits, and else by its last attempt;
    /// `None` when there is neither, because there is no such delivery, or it is
    /// pruned.
    pub(crate) fn of(delivery: i64, waiting: Option<Waiting>, last: Option<AttemptRow>) -> Option<Self> {
        if let Some(waiting) = waiting {
            return Some(Self {
                delivery,
                event: waiting.event,
                webhook: WebhookKey(waiting.webhook),
                state: waiting_state(waiting.tries),
                attempts: waiting.attempts,
                due_at: Some(waiting.due_at),
                last: last.map(|row| row.logged),
            });
        }
        last.map(|AttemptRow { event, webhook, logged }| Self {
            delivery,
            event,
            webhook: WebhookKey(webhook),
            state: logged.state,
            attempts: logged.number,
            due_at: None,
            last: Some(logged),
        })
    }

    /// Whether a process has it in its hands.
    pub(crate) fn leased(&self) -> bool {
        self.due_at == Some(LEASED)
    }

    /// What a list shows of it.
    pub(crate) fn summary(self, event: EventColumns) -> Result<DeliverySummary, Corrupt> {
        Ok(DeliverySummary {
            key: DeliveryKey(self.delivery),
            webhook: self.webhook,
            event: EventKey(self.event),
            event_id: parsed(&event.id, "event id")?,
            type_name: event.type_name,
            subject_id: event.subject,
            created_at: timestamp(event.accepted_at)?,
            state: self.state,
            attempts: self.attempts,
            next_attempt_at: unleased(self.due_at)?,
            last_attempt: self.last,
        })
    }
}
