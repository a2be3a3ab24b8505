//! The scenario `pages`: how long the server takes for each page of the dashboard
//! when there is much to show.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::SET_COOKIE;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::Bench;
use super::beside::write_log;
use super::connection::{Connection, Entrance};
use super::database::{Database, Fate, Filling};
use super::figures::{Figures, count, milliseconds, percentile};
use super::finding::{Aim, Finding, Side};
use super::scenario::Scenario;
use super::server::{Server, TOKEN};
use crate::cli::{Failure, note};

/// Webhooks of the tenant.
const WEBHOOKS: u64 = 1_000;

/// Deliveries that were given up.
const FAILED: u64 = 10_000;

/// How often each page is asked for.
const TIMES: usize = 50;

/// Somebody with a session.
struct Visitor {
    connection: Connection,
    cookie: String,
}

/// Measures each page.
///
/// # Errors
/// When a part fails, or a page is not there.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let folder = bench.folder("pages")?;
    let (from, span) =
        (bench.clock.now().saturating_sub(Duration::from_hours(20))?, Duration::from_hours(19));
    let events = write_log(bench, folder.path(), from, span).await?;
    note(&format!("writing {WEBHOOKS} webhooks, and {FAILED} deliveries that failed"));
    fill_up(bench, folder.path()).await?;
    let server = Server::start(folder.path(), &[], &bench.clock).await?;
    let pages = pages(&server).await?;
    let mut visitor = Visitor::sign_in(&server).await?;
    let mut side = Side::new("dashboard");
    let (mut slowest, mut figures) = (0.0_f64, Figures::default());
    for (name, path) in pages {
        let times = visitor.time(bench, &path).await?;
        let median = milliseconds(percentile(&times, 500));
        slowest = slowest.max(median);
        figures = figures.with(name, median);
    }
    note(&figures.text());
    side.rounds.push(figures);
    server.end().await?;
    let facts = Figures::default()
        .with("log_deliveries", count(bench.arguments.log_deliveries))
        .with("events", count(events))
        .with("webhooks", count(WEBHOOKS))
        .with("failed_deliveries", count(FAILED));
    let aim = Aim::Below(20.0);
    Ok(Finding::new(Scenario::Pages, vec![side]).knowing(facts).judged("slowest_page_ms", slowest, aim))
}

async fn fill_up(bench: &Bench<'_>, folder: &std::path::Path) -> Result<(), Failure> {
    let database = Database::open(folder, &bench.clock).await?;
    let tenant = database.known_tenant("default").await?;
    let settings = |number: u64| -> Value {
        json!({"name": format!("Partner {number}"), "url": format!("http://127.0.0.1:8/{number}"), "events": ["order.*"]})
    };
    let webhooks = database.webhooks(vec![tenant], WEBHOOKS, settings).await?;
    let filling = Filling {
        tenant,
        webhooks: webhooks.into_iter().take(10).collect(),
        deliveries: FAILED,
        fate: Fate::Failed,
        event_bytes: bench.arguments.event_bytes,
        from: bench.clock.now().saturating_sub(Duration::from_mins(30))?,
        span: Duration::from_mins(20),
    };
    database.fill(filling).await?;
    database.close().await;
    Ok(())
}

/// The pages, each by what its median is called.
async fn pages(server: &Server) -> Result<Vec<(&'static str, String)>, Failure> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("an answer without an id");
    let log = server.get("/v1/webhooks?search=log%200").await?;
    let webhook = text(&log["items"][0]["id"])?;
    let deliveries = server.get(&format!("/v1/webhooks/{webhook}/deliveries?limit=1")).await?;
    let delivery = &deliveries["items"][0];
    let (event, delivery) = (text(&delivery["event_id"])?, text(&delivery["id"])?);
    let base = "/dashboard/t/default";
    Ok(vec![
        ("overview_ms", base.to_owned()),
        ("webhooks_ms", format!("{base}/webhooks")),
        ("webhook_search_ms", format!("{base}/webhooks?search=partner+99")),
        ("create_new_ms", format!("{base}/webhooks/new")),
        ("invocation_log_ms", format!("{base}/webhooks/{webhook}")),
        ("filtered_log_ms", format!("{base}/webhooks/{webhook}?state=delivered&type=order.paid")),
        ("health_ms", format!("{base}/webhooks/{webhook}/health")),
        ("settings_ms", format!("{base}/webhooks/{webhook}/settings")),
        ("invocation_ms", format!("{base}/deliveries/{delivery}")),
        ("events_ms", format!("{base}/events")),
        ("event_ms", format!("{base}/events/{event}")),
        ("failed_ms", format!("{base}/failed")),
        ("failed_list_ms", format!("{base}/failed/list")),
        ("catalogue_ms", format!("{base}/catalogue")),
        ("event_type_ms", format!("{base}/catalogue/order.paid")),
        ("access_ms", format!("{base}/access")),
        ("audit_ms", format!("{base}/audit")),
        ("system_ms", "/dashboard/system".to_owned()),
    ])
}

impl Visitor {
    /// Signs in as the operator.
    async fn sign_in(server: &Server) -> Result<Self, Failure> {
        let entrance = Entrance { token: None, ..server.entrance() };
        let mut connection = Connection::open(&entrance).await?;
        let path = "/dashboard/sign-in";
        let (_, headers, page) = connection.send_with(Method::GET, path, &[], Bytes::new()).await?;
        let page = String::from_utf8_lossy(&page).into_owned();
        let form_token =
            page.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split('"').next());
        let form = format!("token={}&operator_token={TOKEN}", form_token.ok_or("a page without a form")?);
        let guest = cookie(&headers)?;
        let headers = [("cookie", &*guest), ("content-type", "application/x-www-form-urlencoded")];
        let (status, headers, _) = connection.send_with(Method::POST, path, &headers, form.into()).await?;
        if status != StatusCode::SEE_OTHER {
            return Err(format!("signing in was answered {status}").into());
        }
        Ok(Self { connection, cookie: cookie(&headers)? })
    }

    /// How long a page takes, the shortest time first.
    async fn time(&mut self, bench: &Bench<'_>, path: &str) -> Result<Vec<Duration>, Failure> {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let begun = bench.clock.elapsed();
            let headers = [("cookie", &*self.cookie)];
            let answer = self.connection.send_with(Method::GET, path, &headers, Bytes::new()).await?;
            if answer.0 != StatusCode::OK {
                return Err(format!("{path} was answered {}", answer.0).into());
            }
            times.push(bench.clock.elapsed().saturating_sub(begun));
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(headers: &HeaderMap) -> Result<String, Failure> {
    let set = headers.get(SET_COOKIE).and_then(|value| value.to_str().ok());
    let cookie = set.and_then(|text| text.split(';').next());
    Ok(cookie.ok_or("an answer without a cookie")?.to_owned())
}
