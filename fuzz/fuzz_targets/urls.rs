//! URLs of webhooks: whatever is dialled in the end may be called, is what the URL
//! or the name server said, and is asked for nothing else. The URL is the first
//! line; what its name leads to, address by address, is the rest.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{ManualClock, Timestamp};
use callboard_domain::webhook::read_settings;
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions, Endpoint, Resolver};
use callboard_fuzz::network::{Act, End, Outside, Record};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use url::{Host, Url};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let url = lines.next().unwrap_or_default();
    let addresses: Vec<IpAddr> = lines.filter_map(|line| line.trim().parse().ok()).collect();
    let endpoint = Endpoint::parse(url);
    let document = json!({ "url": url, "events": ["*"] }).to_string();
    if read_settings(&document, None).is_ok()
        && let Err(why) = &endpoint
    {
        // A host that no certificate can name is known when it is called.
        assert!(why.to_string().contains("no certificate can name"), "accepted, and then: {why}");
    }
    let Ok(endpoint) = endpoint else { return };
    let record = Arc::new(Mutex::new(Record::default()));
    post(&endpoint, &addresses, &record);
    let record = record.lock().expect("a record");
    check(&Url::parse(url).expect("what an endpoint is made of"), &endpoint, &addresses, &record);
});

fn post(endpoint: &Endpoint, addresses: &[IpAddr], record: &Arc<Mutex<Record>>) {
    let outside = Arc::new(Outside {
        addresses: addresses.to_vec(),
        acts: vec![Act::Send(Bytes::from_static(ANSWER))],
        end: End::Close,
        piece: usize::MAX,
        record: Arc::clone(record),
    });
    let options = ClientOptions {
        resolver: Resolver::Custom(Arc::clone(&outside) as _),
        network: outside,
        system_roots: false,
        ..ClientOptions::default()
    };
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let client = Client::new(Guard::default(), options, clock);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let posted = client.post(endpoint, HeaderMap::new(), Bytes::from_static(b"{}"), Duration::from_secs(10));
    runtime.expect("a runtime").block_on(posted);
}

fn check(url: &Url, endpoint: &Endpoint, addresses: &[IpAddr], record: &Record) {
    let host = url.host().expect("a host");
    let port = url.port_or_known_default().unwrap_or_default();
    let way = Guard::default().judge_way(url.scheme() == "https", port).is_ok();
    let may_be_called = match host {
        Host::Domain(name) => {
            let asked: Vec<&str> = way.then_some(name).into_iter().collect();
            assert_eq!(record.looked_up, asked, "it is looked up once, as it is written, if at all");
            addresses.to_vec()
        }
        Host::Ipv4(address) => vec![address.into()],
        Host::Ipv6(address) => vec![address.into()],
    };
    for called in &record.called {
        assert!(may_be_called.contains(&called.ip()), "{called} was not named by {url}");
        assert_eq!(Some(called.port()), url.port_or_known_default());
        assert!(Guard::default().judge(called.ip()).is_ok(), "{called} may not be called");
        assert!(!is_special(called.ip()), "{called} is special");
    }
    let may = |address: &IpAddr| Guard::default().judge(*address).is_ok();
    assert_eq!(record.called.is_empty(), !(way && may_be_called.iter().any(may)), "what may be called is");
    for written in record.written.iter().filter(|written| !written.is_empty() && url.scheme() == "http") {
        is_one_request(written, url, endpoint);
    }
}

/// What the standard library knows of addresses that are nobody's business.
fn is_special(address: IpAddr) -> bool {
    let special = |address: Ipv4Addr| {
        let [first, second, ..] = address.octets();
        address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_broadcast()
            || address.is_documentation()
            || first == 0
            || first >= 240
            || (first == 100 && second & 0xc0 == 64)
    };
    match address {
        IpAddr::V4(address) => special(address),
        IpAddr::V6(address) => {
            address.to_ipv4().is_some_and(special)
                || address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

/// One request for the path and the query of the URL, and nothing behind it.
fn is_one_request(written: &[u8], url: &Url, endpoint: &Endpoint) {
    let text = std::str::from_utf8(written).expect("a request in ASCII");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "{}");
    let mut lines = head.split("\r\n");
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(lines.next(), Some(&*format!("POST {}{query} HTTP/1.1", url.path())));
    let mut headers: Vec<&str> = lines.collect();
    headers.sort_unstable();
    assert_eq!(headers, ["content-length: 2", &*format!("host: {}", endpoint.authority())]);
    assert!(
        head.bytes().all(|byte| byte == b'\r' || byte == b'\n' || (b' '..=b'~').contains(&byte)),
        "{head:?}"
    );
}
