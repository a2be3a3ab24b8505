//! Random histories of deliveries, compared with a model that fits in a map.

use std::collections::BTreeMap;

use callboard_domain::audit::By;
use callboard_domain::delivery::{Outcome, State};
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookKey};
use callboard_domain::store::{ByHand, DeliveryFilter};
use proptest::prelude::*;

use crate::world::{World, at, attempt_at, by, event};

#[derive(Debug, Clone)]
enum Step {
    Record,
    Claim(usize),
    Finish(usize, Outcome),
    Release(usize),
    Retry(usize),
    Cancel(usize),
    Job,
    Late,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(Outcome::Delivered),
        Just(Outcome::GivenUp),
        Just(Outcome::Superseded),
        (0_i64..40).prop_map(|second| Outcome::Retry(at(second))),
    ];
    prop_oneof![
        3 => Just(Step::Record),
        3 => (1_usize..4).prop_map(Step::Claim),
        4 => (0_usize..9, outcome).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
        1 => (0_usize..9).prop_map(Step::Release),
        2 => (0_usize..9).prop_map(Step::Retry),
        2 => (0_usize..9).prop_map(Step::Cancel),
        1 => Just(Step::Job),
        1 => Just(Step::Late),
        1 => Just(Step::Restart),
    ]
}

/// A delivery as the model has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    event: EventKey,
    state: State,
    attempts: u32,
    /// `None` while it is leased or over.
    due: Option<i64>,
    leased: bool,
}

struct History {
    world: World,
    tenant: TenantKey,
    webhook: WebhookKey,
    model: BTreeMap<DeliveryKey, Model>,
    now: i64,
}

impl History {
    fn pick(&self, which: usize) -> Option<DeliveryKey> {
        self.model.keys().nth(which % self.model.len().max(1)).copied()
    }

    async fn take(&mut self, step: Step) {
        self.now += 1;
        let now = at(self.now);
        match step {
            Step::Record => {
                let event = event(&format!("e{}", self.now));
                let recorded = self.world.record(self.tenant, event, &[self.webhook], now).await;
                let (event, due) = (recorded.key, Some(self.now));
                let model = Model { event, state: State::Pending, attempts: 0, due, leased: false };
                self.model.insert(recorded.first_delivery, model);
            }
            Step::Claim(limit) => self.claim(limit).await,
            Step::Finish(which, outcome) => self.finish(which, outcome).await,
            Step::Release(which) => {
                let Some(key) = self.pick(which) else { return };
                self.world.store.release(vec![key], now).await.expect("released");
                let model = self.model.get_mut(&key).expect("picked");
                if std::mem::take(&mut model.leased) {
                    model.due = Some(self.now);
                }
            }
            Step::Retry(which) => self.retry(which).await,
            Step::Cancel(which) => self.cancel(which).await,
            Step::Job => self.job().await,
            Step::Late => self.late().await,
            Step::Restart => {
                self.world.restart().await;
                for model in self.model.values_mut().filter(|model| model.leased) {
                    // Whatever it was before, it is due by now.
                    (model.leased, model.due) = (false, Some(0));
                }
            }
        }
    }

    async fn claim(&mut self, limit: usize) {
        let claimed = self.world.claim(self.webhook, limit, at(self.now)).await;
        let due = self.model.values().filter(|model| model.due.is_some_and(|due| due <= self.now)).count();
        assert_eq!(claimed.len(), due.min(limit));
        for one in claimed {
            let model = self.model.get_mut(&one.delivery).expect("a delivery of ours");
            assert!(model.due.is_some_and(|due| due <= self.now));
            assert_eq!((model.attempts, model.event), (one.attempts, one.event.key));
            (model.due, model.leased) = (None, true);
        }
    }

    async fn finish(&mut self, which: usize, outcome: Outcome) {
        let Some(key) = self.pick(which) else { return };
        let now = self.now;
        let model = self.model.get_mut(&key).expect("picked");
        if !model.leased {
            return;
        }
        model.attempts += 1;
        (model.state, model.leased) = (outcome.state(), false);
        model.due = match outcome {
            Outcome::Retry(due) => Some(due.as_second() - at(0).as_second()),
            _ => None,
        };
        let attempt = attempt_at(key, model.event, self.webhook, model.attempts, outcome, at(now));
        self.world.finish(attempt).await;
    }

    async fn retry(&mut self, which: usize) {
        let Some(key) = self.pick(which) else { return };
        let model = self.model.get_mut(&key).expect("picked");
        let expected = if model.leased {
            ByHand::OnItsWay
        } else if model.state == State::Pending {
            ByHand::NotInState(State::Pending)
        } else {
            (model.state, model.due) = (State::Pending, Some(self.now));
            ByHand::Done(self.webhook)
        };
        let retried = self.world.store.retry_delivery(self.tenant, key, by(self.now)).await;
        assert_eq!(retried, Ok(Some(expected)));
    }

    async fn cancel(&mut self, which: usize) {
        let Some(key) = self.pick(which) else { return };
        let model = self.model.get_mut(&key).expect("picked");
        let expected = if matches!(model.state, State::Pending | State::Waiting) {
            (model.state, model.due, model.leased) = (State::Cancelled, None, false);
            model.attempts += 1;
            ByHand::Done(self.webhook)
        } else {
            ByHand::NotInState(model.state)
        };
        let cancelled = self.world.store.cancel_delivery(self.tenant, key, by(self.now)).await;
        assert_eq!(cancelled, Ok(Some(expected)));
    }

    async fn job(&mut self) {
        let (store, now) = (&self.world.store, at(self.now));
        let job = store
            .create_retry_job(self.tenant, self.webhook, None, None, By::system(now))
            .await
            .expect("a job");
        let done = store.advance_job(job.key, 1_000, now).await.expect("no error").expect("the job");
        let mut failed = 0;
        for model in self.model.values_mut().filter(|model| model.state == State::Failed) {
            (model.state, model.due) = (State::Pending, Some(self.now));
            failed += 1;
        }
        assert_eq!((done.total, done.done), (Some(failed), failed));
    }

    /// An event that nobody hears, and that the webhook is told of afterwards.
    async fn late(&mut self) {
        let (whose, now) = ((self.tenant, self.webhook), at(self.now));
        let origin = self.world.record(self.tenant, event(&format!("e{}", self.now)), &[], now).await;
        let late = self.world.tell_late(whose, &[origin.key], now).await;
        let event = self.world.delivery(self.tenant, late[0]).await.0.event;
        let due = Some(self.now);
        let model = Model { event, state: State::Pending, attempts: 0, due, leased: false };
        self.model.insert(late[0], model);
    }

    /// Every way of looking shows what the model says.
    async fn compare(&self) {
        for (key, model) in &self.model {
            let (summary, log) = self.world.delivery(self.tenant, *key).await;
            assert_eq!((summary.state, summary.attempts), (model.state, model.attempts), "{key}");
            assert_eq!(summary.next_attempt_at.is_some(), model.due.is_some(), "{key}");
            let numbers = log.iter().map(|attempt| attempt.number);
            assert!(numbers.eq(1..=model.attempts), "{key}");
        }
        for states in
            [vec![], vec![State::Failed], vec![State::Waiting, State::Pending], vec![State::Delivered]]
        {
            let fits = |model: &Model| states.is_empty() || states.contains(&model.state);
            let expected: Vec<_> =
                self.model.iter().rev().filter(|(_, model)| fits(model)).map(|(key, _)| *key).collect();
            let filter = DeliveryFilter { states: states.clone(), ..DeliveryFilter::default() };
            assert_eq!(self.world.deliveries(self.webhook, &filter, 3).await, expected, "{states:?}");
        }
        let stats = self.world.store.webhook_stats(self.webhook, at(0)).await.expect("statistics");
        let queued = |model: &&Model| matches!(model.state, State::Pending | State::Waiting);
        let queued = self.model.values().filter(queued).count();
        assert_eq!(usize::try_from(stats.queued), Ok(queued));
    }
}

/// Takes all the steps on one database, and compares.
fn run(steps: Vec<Step>, make: impl AsyncFnOnce() -> World) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = make().await;
        let (tenant, webhook) = world.lane().await;
        let mut history = History { world, tenant, webhook, model: BTreeMap::new(), now: 0 };
        for step in steps {
            history.take(step).await;
        }
        history.compare().await;
    });
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn deliveries_on_sqlite_do_as_the_model_does(steps in steps(), logs_at_hand: bool) {
        run(steps, async || World::sqlite(if logs_at_hand { 0 } else { i64::MAX }).await);
    }
}

proptest! {
    // Each has to make a database, and restarts cost a connection.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn deliveries_on_postgres_do_as_the_model_does(steps in steps()) {
        run(steps, World::postgres);
    }
}
