//! What is called, whatever a URL looks like: each spelling is judged before
//! and when it is called, and dialled is what was judged.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use callboard_domain::delivery::Cause;
use callboard_engine::guard::{Guard, Rules};
use callboard_engine::http::{Client, ClientOptions, Endpoint, Network, Resolver, Stream};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::sync::Notify;
use url::{Host, Url};

use super::addresses::{Answers, resolving};
use super::{OK, PATIENT, assert_fault, client_with, guard, post};
use crate::receiver::{Act, Receiver};

/// A network that notes who is called, and where nobody answers.
#[derive(Default)]
struct Recording(Mutex<Vec<SocketAddr>>);

#[async_trait]
impl Network for Recording {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        self.0.lock().push(address);
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// A client on such a network, to whom every name leads to `names`.
fn recorded(guard: Guard, names: Answers) -> (Client, Arc<Recording>) {
    let network = Arc::new(Recording::default());
    let options = ClientOptions {
        network: Arc::clone(&network) as _,
        resolver: Resolver::Custom(Arc::new(names)),
        system_roots: false,
        ..ClientOptions::default()
    };
    (client_with(guard, options), network)
}

/// Every host here is some address that may not be called.
const SHUT: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "00000177.0.0.01",
    "0x7f.0x0.0x0.0x1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "①②⑦.⓪.⓪.①",
    "０ｘ７ｆ.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001::80ff:fffe]",
    "localhost",
    "LOCALHOST.",
    "LocalHost",
    "ｌｏｃａｌｈｏｓｔ",
    "%6cocalhost",
    "shop.localhost",
    "169.254.169.254",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "168.63.129.16",
    "0",
    "0.0.0.0",
    "[::]",
    "10.1",
    "192.168.0.1",
    "100.64.0.1",
    "[fe80::1]",
    "[fd12::1]",
    "255.255.255.255",
];

#[tokio::test]
async fn every_spelling_is_judged_before_and_when_it_is_called() {
    let (client, network) = recorded(Guard::default(), Answers::always(&["127.0.0.1", "::1"]));
    for host in SHUT {
        for url in [format!("http://{host}/"), format!("https://{host}:8443/hook")] {
            let refusal = client.judge(&Endpoint::parse(&url).unwrap()).expect_err(&url);
            assert!(refusal.contains("egress.allow"), "{url}: {refusal}");
            assert_fault(&post(&client, &url, PATIENT).await, Cause::Blocked, &["may not be called"]);
        }
    }
    assert_eq!(*network.0.lock(), []);
}

#[tokio::test]
async fn spellings_of_a_public_address_lead_there() {
    for (host, address) in [
        ("8.8.8.8", "8.8.8.8:80"),
        ("8.8.8.8.", "8.8.8.8:80"),
        ("0x08080808", "8.8.8.8:80"),
        ("134744072", "8.8.8.8:80"),
        ("010.8.8.8", "8.8.8.8:80"),
        ("８。8．8｡8", "8.8.8.8:80"),
        // A backslash ends the host as a slash does.
        (r"8.8.8.8\@127.0.0.1", "8.8.8.8:80"),
        ("8.8.8.8/@127.0.0.1", "8.8.8.8:80"),
        ("8.8.8.8?@127.0.0.1", "8.8.8.8:80"),
        ("8.8.8.8#@127.0.0.1", "8.8.8.8:80"),
        ("[::ffff:8.8.8.8]", "[::ffff:8.8.8.8]:80"),
        ("[2606:4700::1111]", "[2606:4700::1111]:80"),
        ("shop.example", "1.1.1.1:80"),
        ("SHOP.example.:8081", "1.1.1.1:8081"),
    ] {
        let (client, network) = recorded(Guard::default(), Answers::always(&["1.1.1.1"]));
        let url = format!("http://{host}/");
        assert_eq!(client.judge(&Endpoint::parse(&url).unwrap()), Ok(()), "{url}");
        assert_fault(&post(&client, &url, PATIENT).await, Cause::Connect, &["refused"]);
        assert_eq!(*network.0.lock(), [address.parse::<SocketAddr>().unwrap()], "{url}");
    }
}

#[test]
fn what_is_no_address_and_no_name_is_no_url() {
    for host in [
        "",
        "256.1.1.1",
        "1.2.3.4.5",
        "08.8.8.8",
        "0x100000000",
        "127.0.0.1:80:80",
        "127.0.0.1:65536",
        "[::1",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "a b",
        "a%00b",
        "a%2fb",
        "a<b",
        "user@127.0.0.1",
        "127.0.0.1@8.8.8.8",
        "8.8.8.8@127.0.0.1",
        ":@8.8.8.8:80:x",
        ":password@8.8.8.8",
    ] {
        assert!(Endpoint::parse(&format!("http://{host}/")).is_err(), "{host}");
    }
}

#[tokio::test]
async fn ports_and_schemes_are_judged_before_a_name_is_looked_up() {
    let names = Arc::new(Answers::always(&["8.8.8.8"]));
    let client = resolving(Guard::default(), Arc::clone(&names) as _);
    for port in [25, 22, 6379] {
        let exchange = post(&client, &format!("http://shop.example:{port}/"), PATIENT).await;
        let words = format!("the port {port} may not be called; allow it by an egress.deny_ports");
        assert_fault(&exchange, Cause::Blocked, &[&words]);
    }
    let rules = Rules { require_https: true, ..Rules::default() };
    let strict = resolving(Guard::with_rules(rules), Arc::clone(&names) as _);
    let exchange = post(&strict, "http://shop.example/", PATIENT).await;
    assert_fault(&exchange, Cause::Blocked, &["only https:// may be called", "egress.require_https"]);
    assert_eq!(names.asked(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_dialled_where_it_was_judged() {
    let (client, network) =
        recorded(Guard::default(), Answers::new(&[&["8.8.8.8"], &["127.0.0.1"], &["127.0.0.1", "8.8.4.4"]]));
    let url = "http://shop.example/";
    assert_fault(&post(&client, url, PATIENT).await, Cause::Connect, &["refused by 8.8.8.8:80"]);
    assert_fault(&post(&client, url, PATIENT).await, Cause::Blocked, &["127.0.0.1 is loopback"]);
    assert_fault(&post(&client, url, PATIENT).await, Cause::Connect, &["refused by 8.8.4.4:80"]);
    let dialled = ["8.8.8.8:80", "8.8.4.4:80"].map(|address| address.parse().unwrap());
    assert_eq!(*network.0.lock(), dialled);
}

#[tokio::test]
async fn a_kept_connection_leads_where_it_was_judged_and_the_next_is_judged_anew() {
    let (close, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let last = Act::AnswerAndCloseLater(OK.to_vec(), Arc::clone(&close), Arc::clone(&closed));
    let receiver = Receiver::bind("127.0.0.2:0", [Act::answer(OK), last], None).await;
    let url = format!("http://shop.example:{}/", receiver.address.port());
    let names = Arc::new(Answers::new(&[&["127.0.0.2"], &["127.0.0.1"]]));
    let client = resolving(guard(&["127.0.0.2/32"]), Arc::clone(&names) as _);
    for reused in [false, true] {
        let exchange = post(&client, &url, PATIENT).await;
        assert_eq!((exchange.peer, exchange.reused), (Some(receiver.address), reused));
        assert_eq!(names.asked(), 1);
    }
    close.notify_one();
    closed.notified().await;
    assert_fault(&post(&client, &url, PATIENT).await, Cause::Blocked, &["127.0.0.1 is loopback"]);
    assert_eq!((names.asked(), receiver.connections()), (2, 1));
}

/// IPv4 addresses, special ones among them.
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let special = prop::sample::select(vec![
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [169, 254, 169, 254],
        [192, 168, 1, 1],
        [0, 0, 0, 0],
        [8, 8, 8, 8],
        [172, 16, 0, 1],
    ]);
    prop_oneof![any::<[u8; 4]>(), special].prop_map(Ipv4Addr::from)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let carrying = (v4(), 0..5_usize).prop_map(|(address, form)| {
        let [a, b, c, d] = address.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        match form {
            0 => address.to_ipv6_mapped(),
            1 => Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            2 => Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            3 => Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            _ => Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, high, low),
        }
    });
    prop_oneof![any::<[u16; 8]>().prop_map(Ipv6Addr::from), carrying]
}

/// A host in some spelling, and the address that it is, unless it is a name.
fn host() -> impl Strategy<Value = (String, Option<IpAddr>)> {
    let spelled = (v4(), 0..8_usize).prop_map(|(address, form)| {
        let [a, b, c, d] = address.octets();
        let text = match form {
            0 => address.to_string(),
            1 => format!("{address}."),
            2 => u32::from(address).to_string(),
            3 => format!("{:#x}", u32::from(address)),
            4 => format!("0{a:o}.{b}.{c:#x}.0{d:o}"),
            5 => format!("{a}.{b}.{}", u16::from_be_bytes([c, d])),
            6 => address.to_string().replace('.', "。"),
            _ => {
                let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap();
                address.to_string().chars().map(wide).collect()
            }
        };
        (text, Some(IpAddr::V4(address)))
    });
    let bracketed = v6().prop_map(|address| (format!("[{address}]"), Some(IpAddr::V6(address))));
    let name = "[a-zA-Z][a-z0-9-]{0,8}[a-z]\\.(example|test|COM|localhost)".prop_map(|name| (name, None));
    let anything = "\\PC{1,12}".prop_map(|text| (text, None));
    prop_oneof![3 => spelled, 2 => bracketed, 1 => name, 1 => anything]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_accepted_what_is_dialled_may_be_called(
        (host, meant) in host(),
        https: bool,
        port in prop::option::of(prop_oneof![any::<u16>(), Just(80), Just(443), Just(25)]),
        led in prop::collection::vec(prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)], 0..4),
        path in "[/?#@:a-z.\\\\]{0,8}",
    ) {
        let guard = Guard::new(vec!["10.0.0.0/8".parse().unwrap(), "64:ff9b::/96".parse().unwrap()]);
        let names: Vec<String> = led.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (client, network) = recorded(guard.clone(), Answers::always(&names));
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("{}://{host}{port_text}/{path}", if https { "https" } else { "http" });
        let Ok(endpoint) = Endpoint::parse(&url) else {
            prop_assert!(meant.is_none() || path.contains('@'), "{}", url);
            return Ok(());
        };
        let parsed = Url::parse(&url).unwrap();
        let named = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        prop_assert_eq!(endpoint.authority(), format!("{}{named}", parsed.host().unwrap()));
        let accepted = client.judge(&endpoint).is_ok();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let exchange = runtime.block_on(post(&client, &url, PATIENT));
        prop_assert!(exchange.result.is_err());
        let dialled = network.0.lock().clone();
        prop_assert!(accepted || dialled.is_empty() || matches!(parsed.host(), Some(Host::Domain(_))), "{}", url);
        for address in &dialled {
            prop_assert_eq!(guard.judge(address.ip()), Ok(()));
            prop_assert_eq!(guard.judge_way(https, address.port()), Ok(()));
            prop_assert_eq!(Some(address.port()), parsed.port_or_known_default());
            match (meant, parsed.host().unwrap()) {
                (Some(meant), _) => prop_assert_eq!(address.ip(), meant),
                (None, Host::Domain(_)) => prop_assert!(led.contains(&address.ip())),
                (None, Host::Ipv4(literal)) => prop_assert_eq!(address.ip(), IpAddr::V4(literal)),
                (None, Host::Ipv6(literal)) => prop_assert_eq!(address.ip(), IpAddr::V6(literal)),
            }
        }
        if let Some(meant) = meant {
            prop_assert_eq!(accepted, guard.judge(meant).is_ok() && guard.judge_way(https, endpoint_port(&parsed)).is_ok());
            prop_assert_eq!(dialled.len(), usize::from(accepted));
        }
    }
}

fn endpoint_port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap()
}
