//! `callboard listen`: brings deliveries to an address that only this machine can
//! reach.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_domain::wire::Dialect;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::list::given;
use super::remote::{self, Remote};
use super::table::{Paint, clean, coloured};
use super::{Failure, Outcome, block_on, clock, note, print_while_read, say};
use forward::{Local, Posted};
use frames::Frame;
use keyboard::Key;
use source::Heard;

mod forward;
mod frames;
mod keyboard;
mod source;

/// The server gives a sign of life every 15 seconds; without one for this long the
/// connection is dead, whatever this machine thinks of it.
const SILENCE: Duration = Duration::from_secs(45);

/// The first wait before the server is called again; it doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// How long what is under way may take when somebody wants the end.
const GRACE: Duration = Duration::from_secs(1);

/// How many deliveries are kept to be sent again.
const KEPT: usize = 100;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("done").args(["forward", "print"]).required(true).multiple(true)))]
pub(super) struct Arguments {
    #[arg(long, value_name = "URL", help = "Post each delivery here, such as http://localhost:3000/hook")]
    forward: Option<String>,
    /// Show the bodies
    #[arg(long)]
    print: bool,
    /// Hear what this webhook hears, signed as its deliveries are
    #[arg(long, value_name = "ID", conflicts_with_all = [
        "events", "dialect", "hooks", "topics", "resource", "trigger", "identifier", "filter",
    ])]
    webhook: Option<String>,
    /// Which event types and patterns, with commas between them [default: *]
    #[arg(long, value_name = "LIST")]
    events: Option<String>,
    /// In which form: native, ingresse, viagogo or openticket [default: native]
    #[arg(long)]
    dialect: Option<Dialect>,
    /// What an Ingresse webhook hears
    #[arg(long, value_name = "LIST")]
    hooks: Option<String>,
    /// What a viagogo webhook hears
    #[arg(long, value_name = "LIST")]
    topics: Option<String>,
    /// What an OpenTicket webhook hears of
    #[arg(long)]
    resource: Option<String>,
    /// What happens to it
    #[arg(long)]
    trigger: Option<String>,
    /// Only what is about this id
    #[arg(long, value_name = "ID")]
    identifier: Option<String>,
    /// Only events whose native body this JSONPath query selects something of
    #[arg(long, value_name = "JSONPATH")]
    filter: Option<String>,
    #[command(flatten)]
    span: Since,
    #[command(flatten)]
    server: remote::Arguments,
}

/// Where to begin.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Since {
    /// Begin with what was accepted at this time, or so long ago, such as 30m or 2h [default: now]
    #[arg(long, value_name = "TIME")]
    since: Option<super::replay::Moment>,
}

impl Arguments {
    /// Where the server tells what is to be heard.
    fn path(&self) -> String {
        let since = self.span.since.as_ref().map(|since| since.before(clock().now()).to_string());
        let query = given([
            ("webhook", self.webhook.clone()),
            ("events", self.events.clone()),
            ("dialect", self.dialect.map(|dialect| dialect.as_str().to_owned())),
            ("hooks", self.hooks.clone()),
            ("topics", self.topics.clone()),
            ("resource", self.resource.clone()),
            ("trigger", self.trigger.clone()),
            ("identifier", self.identifier.clone()),
            ("filter", self.filter.clone()),
            ("since", since),
        ]);
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("/v1/stream?{query}")
    }
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let local = arguments.forward.as_deref().map(Local::at).transpose()?;
    let remote = Arc::new(Remote::new(&arguments.server)?);
    let path = arguments.path();
    let mut listener = Listener {
        local,
        shows_bodies: arguments.print,
        coloured: coloured(std::io::stdout().is_terminal()),
        clock: clock(),
        kept: VecDeque::new(),
        sum: Sum::default(),
        stop: CancellationToken::new(),
    };
    let ended = block_on(async { listener.listen(&remote, &path).await });
    if ended.is_ok() || listener.sum.heard > 0 {
        say(&listener.sum.in_words())?;
    }
    ended
}

/// Hears, posts and shows.
struct Listener {
    local: Option<Local>,
    shows_bodies: bool,
    coloured: bool,
    clock: Arc<dyn Clock>,
    kept: VecDeque<(u64, Arc<Frame>)>,
    sum: Sum,
    stop: CancellationToken,
}

/// What came of everything.
#[derive(Debug, Default)]
struct Sum {
    heard: u64,
    taken: u64,
    refused: u64,
    unreachable: u64,
    again: u64,
}

impl Sum {
    fn in_words(&self) -> String {
        let Self { heard, taken, refused, unreachable, again } = self;
        format!(
            "{heard} heard; {taken} answered with 2xx, {refused} with another status, {unreachable} not answered; {again} sent again"
        )
    }
}

/// Why listening to one connection ended.
enum Why {
    /// Somebody wants the end.
    Enough,
    /// The connection broke, or never came about.
    Broken { words: String, opened: bool, retry: bool, failure: Option<Failure> },
}

impl Listener {
    /// Listens until somebody ends it, through as many connections as that takes.
    async fn listen(&mut self, remote: &Arc<Remote>, path: &str) -> Outcome {
        let mut keys = keyboard::keys();
        let stop = self.stop.clone();
        tokio::spawn(cancel_at_signal(stop.clone())?);
        let (mut place, mut wait, mut ever_opened) = (None::<String>, FIRST_WAIT, false);
        loop {
            let heard = source::open(Arc::clone(remote), path.to_owned(), place.clone());
            let why = self.hear(heard, &mut keys, &mut place).await;
            let Why::Broken { words, opened, retry, failure } = why else { return Ok(()) };
            ever_opened |= opened;
            if let Some(failure) = failure.filter(|_| !retry || !ever_opened) {
                return Err(failure);
            }
            if opened {
                wait = FIRST_WAIT;
            }
            note(&format!("{words}; trying again in {:.1} s", wait.as_secs_f64()));
            let mut waited = std::pin::pin!(tokio::time::sleep(wait));
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    Some(key) = keys.recv() => if self.obey(key).await { return Ok(()) },
                    () = &mut waited => break,
                }
            }
            wait = wait.saturating_mul(2).min(LAST_WAIT);
        }
    }

    /// Takes what comes by one connection, and what is typed meanwhile.
    async fn hear(
        &mut self,
        mut heard: Receiver<Heard>,
        keys: &mut Receiver<Key>,
        place: &mut Option<String>,
    ) -> Why {
        let mut opened = false;
        let stop = self.stop.clone();
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Why::Enough,
                Some(key) = keys.recv() => {
                    if self.obey(key).await {
                        return Why::Enough;
                    }
                    continue;
                }
                next = timeout(SILENCE, heard.recv()) => next,
            };
            match next {
                Ok(Some(Heard::Opened)) => {
                    opened = true;
                    let target = self.local.as_ref().map(|local| format!(" for {}", local.url()));
                    note(&format!(
                        "listening{}; r + Enter sends the last again, q + Enter ends",
                        target.unwrap_or_default()
                    ));
                }
                Ok(Some(Heard::Frame(frame))) => {
                    if !frame.id.is_empty() {
                        *place = Some(frame.id.clone());
                    }
                    if frame.event.is_some() {
                        self.take(Arc::new(frame)).await;
                    }
                }
                Ok(Some(Heard::Ended { words, retry, failure })) => {
                    return Why::Broken { words, opened, retry, failure };
                }
                Ok(None) => return broken("the connection ended", opened),
                Err(_) => return broken("the server has gone silent", opened),
            }
        }
    }

    /// Does what was typed; whether that is to end.
    async fn obey(&mut self, key: Key) -> bool {
        match key {
            Key::Quit => return true,
            Key::Unknown => note("type r for the last delivery, r 3 for number 3, or q to end"),
            Key::Again(number) => {
                let found = match number {
                    None => self.kept.back(),
                    Some(number) => self.kept.iter().find(|(kept, _)| *kept == number),
                };
                match found.cloned() {
                    Some((number, frame)) => {
                        self.sum.again += 1;
                        self.post(number, &frame).await;
                    }
                    None => note("there is no such delivery; the last 100 are kept"),
                }
            }
        }
        false
    }

    /// Takes a delivery that was not here before.
    async fn take(&mut self, frame: Arc<Frame>) {
        self.sum.heard += 1;
        let number = self.sum.heard;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((number, Arc::clone(&frame)));
        self.post(number, &frame).await;
    }

    /// Posts a delivery, and shows what came of that.
    async fn post(&mut self, number: u64, frame: &Arc<Frame>) {
        let (answer, paint, duration) = match &self.local {
            None => ("-".to_owned(), Paint::Plain, String::new()),
            Some(local) => {
                let started = self.clock.elapsed();
                let posted = tokio::select! {
                    posted = local.post(Arc::clone(frame)) => posted,
                    () = late(&self.stop) => Posted::Failed("ended before it was answered".to_owned()),
                };
                let took = self.clock.elapsed().saturating_sub(started);
                let (words, paint) = match posted {
                    Posted::Answered(status) => {
                        let good = (200..300).contains(&status);
                        *(if good { &mut self.sum.taken } else { &mut self.sum.refused }) += 1;
                        (status.to_string(), Paint::of_status(status))
                    }
                    Posted::Failed(words) => {
                        self.sum.unreachable += 1;
                        (words, Paint::Red)
                    }
                };
                (words, paint, format!("  {} ms", took.as_millis()))
            }
        };
        let now = self.clock.now().to_string();
        let time = now.get(11..19).unwrap_or(&now);
        let line = format!(
            "{number:>4}  {time}  {:<24}  {:<16}  {}{duration}\n",
            clean(frame.event.as_deref().unwrap_or_default()),
            clean(&subject(frame)),
            paint.on(&clean(&answer), self.coloured),
        );
        let body = if self.shows_bodies { format!("{}\n", frame.data) } else { String::new() };
        match print_while_read(&(line + &body)) {
            Ok(true) => {}
            // Whoever reads only the beginning wants the end.
            Ok(false) => self.stop.cancel(),
            Err(error) => note(&format!("error: {error}")),
        }
    }
}

fn broken(words: &str, opened: bool) -> Why {
    let failure = (!opened).then(|| Exit::Unreachable.because(words));
    Why::Broken { words: words.to_owned(), opened, retry: true, failure }
}

/// What a delivery is about: the subject of a native body, or else the event's id.
fn subject(frame: &Frame) -> String {
    let body: Value = serde_json::from_str(&frame.data).unwrap_or_default();
    let id = || frame.header("webhook-id").unwrap_or("-");
    body["subject"]["id"].as_str().unwrap_or_else(id).to_owned()
}

/// Resolves a while after the end is wanted.
async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Cancels `stop` at SIGINT or SIGTERM.
fn cancel_at_signal(stop: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    })
}
