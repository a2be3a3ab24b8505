//! Which source wins, and what a wrong value is told.

use super::*;

fn load_from(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(None, variables, &Overrides::default())
}

#[test]
fn nothing_has_to_be_set() {
    let loaded = load_from(&[("PATH", "/bin")]).expect("the defaults");
    assert_eq!(loaded.settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(loaded.settings.retention_seconds(), 604_800);
}

#[test]
fn variables_set_groups_and_lists() {
    let loaded = load_from(&[
        ("CALLBOARD_EGRESS_ALLOW", "127.0.0.0/8, ::1"),
        ("CALLBOARD_DELIVERY_LANE_CAPACITY", "7"),
        ("CALLBOARD_RETENTION_DAYS", "0.5"),
        ("CALLBOARD_ADMIN_TOKEN", "0123456789abcdef"),
    ])
    .expect("good settings");
    assert_eq!(loaded.settings.egress.allow.len(), 2);
    assert_eq!(loaded.settings.delivery.lane_capacity, 7);
    assert_eq!(loaded.settings.retention_seconds(), 43_200);
    assert_eq!(loaded.origins["admin_token"].0, "********");
    assert!(!format!("{:?}", loaded.settings).contains("0123456789abcdef"));
    let source = &loaded.origins["egress.allow"].1;
    assert_eq!(*source, Source::Variable("CALLBOARD_EGRESS_ALLOW".to_owned()));
}

#[test]
fn the_command_line_overrides_the_file_and_the_environment() {
    let folder = std::env::temp_dir().join(format!("callboard-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("c.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:1\"\ndatabase = \"sqlite:file.db\"\n[log]\nfilter = \"warn\"\n",
    )
    .expect("a file");
    let variables = [("CALLBOARD_LISTEN".to_owned(), "127.0.0.1:2".to_owned())];
    let overrides = Overrides { listen: "127.0.0.1:3".parse().ok(), database: None };
    let loaded = load(Some(&file), variables.into_iter(), &overrides).expect("good settings");
    assert_eq!(loaded.settings.listen.port(), 3);
    assert_eq!(loaded.settings.database.reveal(), "sqlite:file.db");
    assert_eq!(loaded.settings.log.filter, "warn");
    let secret = folder.join("token");
    std::fs::write(&secret, "a token of some length\n").expect("a file");
    let loaded = load_from(&[("CALLBOARD_ADMIN_TOKEN_FILE", secret.to_str().expect("UTF-8"))]).expect("good");
    assert_eq!(loaded.settings.admin_token, Some(Hidden("a token of some length".to_owned())));
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_wrong_value_is_named_with_its_source() {
    let message = |variables: &[(&str, &str)]| load_from(variables).expect_err("wrong").to_string();
    assert_eq!(
        message(&[("CALLBOARD_DELIVERY_LANE_CAPACITY", "many")]),
        "delivery.lane_capacity (from CALLBOARD_DELIVERY_LANE_CAPACITY): invalid type: string \"many\", expected usize"
    );
    assert!(message(&[("CALLBOARD_EGRESS_ALLOW", "localhost")]).contains("is no network"));
    assert!(message(&[("CALLBOARD_ADMIN_TOKEN", "short")]).contains("at least 16"));
    for blank in ["", " ", "                    ", "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t", "              short "]
    {
        let message = message(&[("CALLBOARD_ADMIN_TOKEN", blank)]);
        assert!(message.starts_with("admin_token ") && message.contains("at least 16"), "{message}");
    }
    for unsendable in [" 0123456789abcdef", "0123456789abcdef\n", "0123456789abcd\u{e9}\u{e9}"] {
        assert!(message(&[("CALLBOARD_ADMIN_TOKEN", unsendable)]).contains("visible characters"));
    }
    assert!(message(&[("CALLBOARD_EGRESS_ALOW", "x")]).contains("is no setting"));
    assert!(message(&[("CALLBOARD_DATABASE", "mysql://x")]).contains("sqlite:"));
}

#[test]
fn what_deliveries_may_call_is_read_from_texts_and_lists() {
    let rules = load_from(&[]).expect("the defaults").settings.egress.rules();
    assert!(rules.deny_ports.contains(&25) && rules.deny.is_empty() && !rules.require_https);
    let loaded = load_from(&[
        ("CALLBOARD_EGRESS_DENY", "10.1.0.0/16, 192.0.2.1"),
        ("CALLBOARD_EGRESS_DENY_PORTS", "25, 8443"),
        ("CALLBOARD_EGRESS_REQUIRE_HTTPS", "true"),
        ("CALLBOARD_EGRESS_PROXY", "http://proxy.internal:3128"),
        ("CALLBOARD_EGRESS_PROXY_USER", "callboard"),
        ("CALLBOARD_EGRESS_PROXY_PASSWORD", "hunter2"),
    ])
    .expect("good settings");
    let rules = loaded.settings.egress.rules();
    assert_eq!((rules.deny.len(), &*rules.deny_ports, rules.require_https), (2, &[25, 8443][..], true));
    assert!(loaded.settings.egress.proxy().expect("a proxy").is_some());
    assert_eq!(loaded.origins["egress.proxy_password"].0, "********");
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    let ports = |text: &str| {
        let loaded = load_from(&[("CALLBOARD_EGRESS_DENY_PORTS", text)]).expect("good settings");
        loaded.settings.egress.rules().deny_ports
    };
    assert_eq!((ports(""), ports("25")), (vec![], vec![25]));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[egress]\ndeny_ports = [25, \"26\"]\nallow = [\"10.0.0.0/8\"]\n").expect("a file");
    let loaded = load(Some(&file), std::iter::empty(), &Overrides::default()).expect("good settings");
    assert_eq!(loaded.settings.egress.deny_ports, Some(vec![25, 26]));
    for (name, value, says) in [
        ("DENY", "here", "\"here\" is no network"),
        ("DENY_PORTS", "25,smtp", "\"smtp\" is no port; write a number from 0 to 65535"),
        ("DENY_PORTS", "65536", "\"65536\" is no port"),
        ("REQUIRE_HTTPS", "maybe", "boolean"),
        ("CA_FILE", "/nowhere/ca.pem", "/nowhere/ca.pem can't be read"),
        ("CA_FILE", "/dev/null", "/dev/null holds no certificate"),
        ("PROXY", "https://proxy.internal", "must start with http://"),
        ("PROXY", "http://u:hunter2@proxy.internal", "must not contain a user name or password"),
        ("PROXY_USER", "callboard", "egress.proxy"),
    ] {
        let message = load_from(&[(&format!("CALLBOARD_EGRESS_{name}"), value)]).expect_err(says).to_string();
        assert!(message.starts_with("egress.") && message.contains(says), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn the_password_of_the_database_is_shown_nowhere() {
    let url = "postgres://callboard:hunter2@db/callboard";
    let loaded = load_from(&[("CALLBOARD_DATABASE", url)]).expect("good settings");
    assert_eq!(loaded.settings.database.reveal(), url);
    assert_eq!(loaded.origins["database"].0, "\"postgres://callboard:********@db/callboard\"");
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    for wrong in ["postgres://callboard:hunter2@db", "postgres://u:hunter2@db:x/y", "mysql://u:hunter2@db/y"]
    {
        let message = load_from(&[("CALLBOARD_DATABASE", wrong)]).expect_err("wrong").to_string();
        assert!(message.starts_with("database (from CALLBOARD_DATABASE): "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "# A line.\ndatabase = \"postgres://callboard:hunter2@db/callboard\n")
        .expect("a file");
    let error = load(Some(&file), std::iter::empty(), &Overrides::default()).expect_err("no end of the text");
    let message = error.to_string();
    assert!(message.contains("line 2: ") && !message.contains("hunter2"), "{message}");
}

#[test]
fn a_source_that_could_not_work_is_refused() {
    let good = [
        ("CALLBOARD_SOURCE_NATS_URL", "nats://127.0.0.1:4222, tls://broker.example"),
        ("CALLBOARD_SOURCE_NATS_STREAM", "TICKETS"),
        ("CALLBOARD_SOURCE_NATS_SUBJECT", "tickets.>"),
    ];
    let with = |more: &[(&str, &str)]| {
        let kept = good.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        load_from(&kept.chain(more).copied().collect::<Vec<_>>())
    };
    let loaded =
        with(&[("CALLBOARD_SOURCE_NATS_TOKEN", "s3cr3t"), ("CALLBOARD_SOURCE_NATS_BATCH_MESSAGES", "9")]);
    let loaded = loaded.expect("good settings");
    assert_eq!(loaded.settings.source.nats.batch_messages, 9);
    assert_eq!(loaded.settings.source.nats.urls().count(), 2);
    assert_eq!(loaded.origins["source.nats.token"].0, "********");
    assert!(!format!("{:?}", loaded.settings).contains("s3cr3t"));
    for (name, value, blamed) in [
        ("URL", "nats://user:s3cr3t@127.0.0.1", "source.nats.url"),
        ("URL", "http://127.0.0.1", "source.nats.url"),
        ("STREAM", "a.b", "source.nats.stream"),
        ("CONSUMER", "a b", "source.nats.consumer"),
        ("SUBJECT", "tickets..x", "source.nats.subject"),
        ("DEAD_LETTER", "tickets.dead", "source.nats.dead_letter"),
        ("DEAD_LETTER", "dead.*", "source.nats.dead_letter"),
        ("USER", "box-office", "source.nats.password"),
        ("TENANT", "Acme", "source.nats.tenant"),
        ("TENANT_TOKEN", "101", "source.nats.tenant_token"),
        ("BATCH_MESSAGES", "0", "source.nats.batch_messages"),
        ("MAX_UNACKNOWLEDGED", "10", "source.nats.max_unacknowledged"),
    ] {
        let name = format!("CALLBOARD_SOURCE_NATS_{name}");
        let message = with(&[(&name, value)]).expect_err(blamed).to_string();
        assert!(message.starts_with(&format!("{blamed} (from ")), "{message}");
        assert!(!message.contains("s3cr3t"), "{message}");
    }
    assert!(load_from(&good[1..]).expect_err("no URL").to_string().contains("source.nats.url"));
    assert!(load_from(&good[..1]).expect_err("no stream").to_string().contains("source.nats.stream"));
}

#[test]
fn what_lets_others_in_is_checked() {
    let good = [
        ("CALLBOARD_OIDC_ISSUER", "https://login.example/realms/tickets"),
        ("CALLBOARD_OIDC_AUDIENCE", "callboard"),
        ("CALLBOARD_OIDC_ALGORITHMS", "RS256, ES384"),
        ("CALLBOARD_HTTP_TRUSTED_PROXIES", "10.0.0.1, fd00::/8"),
        ("CALLBOARD_HTTP_FORWARDED_HEADER", "forwarded"),
        ("CALLBOARD_TLS_CERTIFICATE_FILE", "c.pem"),
        ("CALLBOARD_TLS_PRIVATE_KEY_FILE", "k.pem"),
        ("CALLBOARD_VIAGOGO_REQUIRE_HTTPS", "true"),
    ];
    let with = |name: &str, value: Option<&str>| {
        let kept = good.iter().filter(|(other, _)| *other != name).copied();
        load_from(&kept.chain(value.map(|value| (name, value))).collect::<Vec<_>>())
    };
    let loaded = with("", None).expect("good settings");
    assert_eq!(loaded.settings.oidc.algorithms, ["RS256", "ES384"]);
    assert_eq!(loaded.settings.http.trusted_proxies.len(), 2);
    assert!(with("CALLBOARD_OIDC_ISSUER", Some("http://127.0.0.1:8081")).is_ok(), "for a trial");
    for (name, value, blamed) in [
        ("OIDC_ISSUER", Some("http://login.example"), "oidc.issuer"),
        ("OIDC_ISSUER", Some("login.example"), "oidc.issuer"),
        ("OIDC_ISSUER", Some("https://login.example/?a=b"), "oidc.issuer"),
        ("OIDC_ISSUER", None, "oidc.audience"),
        ("OIDC_AUDIENCE", None, "oidc.audience"),
        ("OIDC_AUDIENCE", Some(""), "oidc.audience"),
        ("OIDC_ALGORITHMS", Some(""), "oidc.algorithms"),
        ("OIDC_ALGORITHMS", Some("none"), "oidc.algorithms"),
        ("OIDC_ALGORITHMS", Some("RS256,HS256"), "oidc.algorithms"),
        ("OIDC_LEEWAY_SECONDS", Some("601"), "oidc.leeway_seconds"),
        ("OIDC_TENANT_CLAIM", Some(""), "oidc.tenant_claim"),
        ("TLS_CERTIFICATE_FILE", None, "tls.private_key_file"),
        ("TLS_RELOAD_SECONDS", Some("0"), "tls.reload_seconds"),
        ("HTTP_FORWARDED_HEADER", Some("via"), "http.forwarded_header"),
        ("LIMITS_MAX_CONNECTIONS", Some("0"), "limits.max_connections"),
        ("LIMITS_BODY_SECONDS", Some("NaN"), "limits.body_seconds"),
        ("LIMITS_PUBLISH_EVENTS_PER_SECOND", Some("-1"), "limits.publish_events_per_second"),
        ("LIMITS_CLIENT_FAILURES_PER_MINUTE", Some("0"), "limits.client_failures_per_minute"),
    ] {
        let message = with(&format!("CALLBOARD_{name}"), value).expect_err(blamed).to_string();
        assert!(message.starts_with(&format!("{blamed} (from ")), "{message}");
    }
    let alone = load_from(&[("CALLBOARD_VIAGOGO_REQUIRE_HTTPS", "true")]).expect_err("nobody could come");
    assert!(alone.to_string().starts_with("viagogo.require_https "), "{alone}");
}
