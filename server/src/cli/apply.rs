//! `callboard apply`: makes the server have what a file says.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::list::segment;
use super::remote::{self, Remote};
use super::table::{Paint, clean, coloured};
use super::{Failure, Outcome, body, print};
use difference::{Difference, compare};
use document::{Document, Kind, Place, Wanted, name};
use existing::Existing;

mod difference;
pub(super) mod document;
pub(super) mod existing;
pub(super) mod yaml;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What there is to be, as YAML or JSON; - for standard input
    #[arg(long, short = 'f', value_name = "FILE|-")]
    file: String,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Delete what the lists of the file do not name; tenants stay
    #[arg(long)]
    prune: bool,
    /// Set all secrets of the file, also where there is one, which can't be compared
    #[arg(long)]
    secrets: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

/// What is to be done with one thing.
enum Step<'a> {
    Make(&'a Wanted, Map<String, Value>),
    Change(&'a Wanted, String, Difference),
    Delete(Place, String, String),
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let text = body::text(&arguments.file)?;
    let remote = Remote::new(&arguments.server)?;
    let document = document::read(&text, remote.tenant()).map_err(|faults| {
        format!("{} can't be applied:\n  {}", body::called(&arguments.file), faults.join("\n  "))
    })?;
    let (steps, same) = plan(&remote, &document, arguments)?;
    let coloured = coloured(std::io::IsTerminal::is_terminal(&std::io::stdout()));
    let mut counts = [0_usize; 3];
    for step in &steps {
        let made = if arguments.dry_run { Value::Null } else { take(&remote, step)? };
        print(&shown(step, &made, coloured))?;
        counts[match step {
            Step::Make(..) => 0,
            Step::Change(_, _, difference) if difference.changes.is_empty() => continue,
            Step::Change(..) => 1,
            Step::Delete(..) => 2,
        }] += 1;
    }
    let [made, changed, deleted] = counts;
    let kept = same + steps.len() - made - changed - deleted;
    print(&if arguments.dry_run {
        format!(
            "{made} would be made, {changed} changed, {deleted} deleted; {kept} would stay. Nothing was done\n"
        )
    } else {
        format!("{made} made, {changed} changed, {deleted} deleted; {kept} as they were\n")
    })
}

/// What is to be done, and how many things are as they should be. Nothing is changed
/// yet: what is wrong here is wrong before anything was done.
fn plan<'a>(
    remote: &Remote,
    document: &'a Document,
    arguments: &Arguments,
) -> Result<(Vec<Step<'a>>, usize), Failure> {
    let (mut existing, mut steps, mut same, mut faults) = (Existing::default(), Vec::new(), 0, Vec::new());
    let to_be_made: BTreeSet<_> = document
        .wanted
        .iter()
        .filter(|wanted| wanted.place.0 == Kind::Tenant)
        .map(|wanted| wanted.key.as_str())
        .collect();
    for (_, tenant) in &document.places {
        if let Some(tenant) = tenant.as_deref().filter(|tenant| !to_be_made.contains(tenant))
            && !existing.has_tenant(remote, tenant)?
        {
            return Err(
                format!("there is no tenant {tenant}; is it misspelt? If not, list it in tenants").into()
            );
        }
    }
    for wanted in &document.wanted {
        let planned = match existing.find(remote, &wanted.place, &wanted.key)? {
            None => difference::settings(wanted).map(|settings| Some(Step::Make(wanted, settings))),
            Some(current) => compare(wanted, &current, arguments.secrets).map(|difference| {
                let id = current[wanted.place.0.id()].as_str().unwrap_or_default().to_owned();
                (difference != Difference::default()).then_some(Step::Change(wanted, id, difference))
            }),
        };
        match planned {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => same += 1,
            Err(fault) => faults.push(format!("{}: {fault}", name(&wanted.place, &wanted.key))),
        }
    }
    if !faults.is_empty() {
        return Err(format!("nothing was done:\n  {}", faults.join("\n  ")).into());
    }
    if arguments.prune {
        prune(remote, document, &mut existing, &mut steps)?;
    }
    Ok((steps, same))
}

/// Deletes what the lists do not name.
fn prune(
    remote: &Remote,
    document: &Document,
    existing: &mut Existing,
    steps: &mut Vec<Step<'_>>,
) -> Outcome {
    for place in document.places.iter().filter(|(kind, _)| *kind != Kind::Tenant) {
        let wanted =
            |key: &str| document.wanted.iter().any(|wanted| wanted.place == *place && wanted.key == key);
        for thing in existing.of(remote, place)? {
            let text = |name: &str| thing[name].as_str().unwrap_or_default().to_owned();
            let key = text(place.0.key());
            if !wanted(&key) {
                steps.push(Step::Delete(place.clone(), key, text(place.0.id())));
            }
        }
    }
    Ok(())
}

/// Does it, and returns what was made.
fn take(remote: &Remote, step: &Step<'_>) -> Result<Value, Failure> {
    let (Step::Make(Wanted { place, key, .. }, _)
    | Step::Change(Wanted { place, key, .. }, ..)
    | Step::Delete(place, key, _)) = step;
    let remote = remote.acting_for(place.1.clone());
    let done = match step {
        Step::Make(_, settings) => make(&remote, place.0, settings.clone()),
        Step::Change(_, id, difference) => change(&remote, place.0, id, difference),
        Step::Delete(_, _, id) => remote.delete(&path(place.0, id)).map(|()| Value::Null),
    };
    done.map_err(|error| {
        let words =
            format!("{}: {error}\nWhat is shown above is done; apply goes on from there", name(place, key));
        super::exit::Exit::of(&error).because(words)
    })
}

fn path(kind: Kind, id: &str) -> String {
    format!("/v1/{}/{}", kind.list(), segment(id))
}

fn make(remote: &Remote, kind: Kind, mut settings: Map<String, Value>) -> Result<Value, Failure> {
    // A client is made enabled, and its body has no word for another.
    let disabled = kind == Kind::Client && settings.shift_remove("enabled") == Some(Value::Bool(false));
    let made = remote.post_json(&format!("/v1/{}", kind.list()), &Value::Object(settings))?;
    if disabled {
        let id = made[kind.id()].as_str().unwrap_or_default();
        remote.act(&format!("{}/disable", path(kind, id)))?;
    }
    Ok(made)
}

fn change(remote: &Remote, kind: Kind, id: &str, difference: &Difference) -> Result<Value, Failure> {
    if difference.changes.is_empty() {
        return Ok(Value::Null);
    }
    if kind == Kind::Client {
        for change in &difference.changes {
            let action = if change.after == true { "enable" } else { "disable" };
            remote.act(&format!("{}/{action}", path(kind, id)))?;
        }
        return Ok(Value::Null);
    }
    let changes = difference.changes.iter().map(|change| (change.name.clone(), change.after.clone()));
    remote.patch(&path(kind, id), &Value::Object(changes.collect())).map(|_| Value::Null)
}

/// The lines that show a step, and what is shown of what was made.
fn shown(step: &Step<'_>, made: &Value, coloured: bool) -> String {
    let (sign, title, lines) = match step {
        Step::Make(wanted, settings) => {
            let changes = settings.iter().filter(|(name, _)| *name != wanted.place.0.key());
            let lines: Vec<_> = changes.flat_map(|(name, value)| difference::added(name, value)).collect();
            ('+', name(&wanted.place, &wanted.key), lines)
        }
        Step::Change(wanted, _, difference) => {
            let mut lines: Vec<_> = difference.changes.iter().flat_map(difference::lines).collect();
            lines.extend(difference.unknown.iter().map(|name| {
                (' ', format!("{name}: stays as it is, which can't be compared; --secrets sets it"))
            }));
            let sign = if difference.changes.is_empty() { ' ' } else { '~' };
            (sign, name(&wanted.place, &wanted.key), lines)
        }
        Step::Delete(place, key, _) => ('-', name(place, key), Vec::new()),
    };
    let painted = |sign: char, line: &str| {
        let paint = match sign {
            '+' => Paint::Green,
            '-' => Paint::Red,
            '~' => Paint::Yellow,
            _ => Paint::Plain,
        };
        paint.on(&format!("{sign} {}", clean(line)), coloured)
    };
    let mut out = format!("{}\n", painted(sign, &title));
    for (sign, line) in lines {
        out.extend(["    ", &*painted(sign, &line), "\n"]);
    }
    if let (Some(id), Some(secret)) = (made["client_id"].as_str(), made["client_secret"].as_str()) {
        out.extend(["    client_id:     ", id, "\n    client_secret: ", secret, "  (shown this once)\n"]);
    }
    out
}

/// A thing as a file says it: without what the server adds, and what is as it is
/// where nothing is said.
pub(super) fn as_wanted(kind: Kind, thing: &Value) -> Value {
    let mut settings = thing.as_object().cloned().unwrap_or_default();
    let added: &[&str] = match kind {
        Kind::Tenant => &["created_at"],
        Kind::Client => &["client_id", "created_at", "last_used_at"],
        Kind::Webhook => &[
            "id",
            "viagogo_id",
            "nonce",
            "status",
            "disabled_reason",
            "failing_since",
            "revision",
            "created_at",
            "updated_at",
        ],
    };
    for name in added {
        settings.shift_remove(*name);
    }
    if settings.contains_key("retries") {
        // The waits follow from it, and can't be set beside it.
        settings.shift_remove("retry");
    }
    settings.retain(|_, value| !value.is_null() && *value != json!({}));
    Value::Object(settings)
}
