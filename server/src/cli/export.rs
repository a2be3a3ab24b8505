//! `callboard export`: what is on the server, in the form that `callboard apply` reads.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::apply::as_wanted;
use super::apply::document::Kind;
use super::apply::existing::all;
use super::apply::yaml;
use super::exit::Exit;
use super::remote::{self, Remote};
use super::{Failure, Outcome, note, print};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write JSON, which has one document
    #[arg(long, requires = "tenant")]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let remote = Remote::new(&arguments.server)?;
    let mut out = Vec::new();
    match tenants(&remote)? {
        None => out.push(of_tenant(&remote, None)?),
        Some(tenants) => {
            let listed: Vec<_> = tenants.iter().map(|tenant| as_wanted(Kind::Tenant, tenant)).collect();
            if remote.tenant().is_none() {
                out.push(json!({"tenants": listed}));
            }
            for tenant in &tenants {
                let id = tenant["id"].as_str().unwrap_or_default().to_owned();
                out.push(of_tenant(&remote, Some(&id))?);
            }
        }
    }
    print(&match out.as_slice() {
        [document] if arguments.json => format!("{document:#}\n"),
        documents => documents.iter().map(yaml::write).collect(),
    })
}

/// The tenants to write: that which was named, or all of the operator's; none where
/// whoever signs in has one of its own.
fn tenants(remote: &Remote) -> Result<Option<Vec<Value>>, Failure> {
    if let Some(tenant) = remote.tenant() {
        return match remote.get(&format!("/v1/tenants/{}", super::list::segment(tenant))) {
            Ok(tenant) => Ok(Some(vec![tenant])),
            Err(error) if Exit::of(&error) == Exit::NotAllowed => Ok(None),
            Err(error) => Err(error),
        };
    }
    match all(remote, Kind::Tenant, None) {
        Ok(tenants) => Ok(Some(tenants)),
        Err(error) if Exit::of(&error) == Exit::NotAllowed => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a tenant has. Who may not see its clients writes its webhooks.
fn of_tenant(remote: &Remote, tenant: Option<&str>) -> Result<Value, Failure> {
    let mut document = Map::new();
    if let Some(tenant) = tenant {
        document.insert("tenant".to_owned(), tenant.into());
    }
    for kind in [Kind::Client, Kind::Webhook] {
        let things = match all(remote, kind, tenant.map(str::to_owned)) {
            Err(error) if kind == Kind::Client && Exit::of(&error) == Exit::NotAllowed => continue,
            things => things?,
        };
        let mut keys = BTreeSet::new();
        for thing in &things {
            let key = thing[kind.key()].as_str().unwrap_or_default();
            if !keys.insert(key) {
                let kind = kind.as_str();
                note(&format!(
                    "there are several {kind}s called {key:?}; rename all but one before this is applied"
                ));
            }
        }
        let things = things.iter().map(|thing| as_wanted(kind, thing));
        document.insert(kind.list().to_owned(), things.collect());
    }
    Ok(Value::Object(document))
}
