//! Tokens of an OpenID issuer: which are taken, which are not and why, and how
//! often it is asked for its keys.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};

mod issuer;

use issuer::{Issuer, Signer};

/// The program with an issuer, and the tenant `acme`.
fn start(issuer: &Issuer) -> Harness {
    let house = Harness::at_rest_configured(|settings| {
        settings.oidc.issuer = Some(issuer.url());
        settings.oidc.audience = Some("callboard".to_owned());
    });
    house.operator().post("/v1/tenants", &json!({"id": "acme"})).is(201);
    house
}

/// Claims that are taken.
fn claims(house: &Harness, issuer: &Issuer) -> Value {
    let now = house.now().as_second();
    json!({
        "iss": issuer.url(), "aud": "callboard", "sub": "box-office", "tenant": "acme",
        "scope": "openid read:events", "iat": now, "nbf": now, "exp": now + 300,
    })
}

fn with(claims: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims.clone();
    claims[name] = value.into();
    claims
}

fn bearer(house: &Harness, token: &str) -> Caller {
    house.nobody().bearer(token)
}

/// Is refused, for this reason.
fn refused(house: &Harness, token: &str, why: &str) {
    let answer = bearer(house, token).get("/v1/events");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{why}");
    let problem = answer.problem(401, "unauthenticated");
    assert!(text(&problem["detail"]).contains(why), "{why}: {problem}");
}

#[test]
fn tokens_of_the_issuer_open_their_tenant_as_far_as_their_scopes_go() {
    let keys = [Signer::rsa("r"), Signer::elliptic("e"), Signer::edwards("d")];
    let issuer = Issuer::start(&keys.each_ref());
    let house = start(&issuer);
    house.operator().tenant("acme").post("/v1/events", &event("x.y", "1")).is(202);
    let claims = claims(&house, &issuer);
    for key in &keys {
        let client = bearer(&house, &key.sign(&claims));
        assert_eq!(client.all("/v1/events", 10).len(), 1);
        // It has no other tenant, and no other scope.
        assert_eq!(client.tenant("other").all("/v1/events", 10).len(), 1);
        client.post("/v1/events", &event("x.y", "1")).problem(403, "forbidden");
        client.get("/v1/tenants").problem(403, "forbidden");
    }
    let key = &keys[0];
    let lists =
        with(&with(&claims, "scope", json!(["write:events", "root"])), "aud", json!(["x", "callboard"]));
    bearer(&house, &key.sign(&lists)).post("/v1/events", &event("x.y", "1")).is(202);
    bearer(&house, &key.sign(&with(&claims, "scope", Value::Null)))
        .get("/v1/events")
        .problem(403, "forbidden");
    // Without a name the only key of its kind counts.
    let nameless = key.sign_as(|header| header.kid = None, &claims);
    bearer(&house, &nameless).get("/v1/events").is(200);
    assert_eq!(issuer.asked(), 1, "the keys are remembered");
    // Our own tokens go on.
    house.client("acme", &["read:events"]).get("/v1/events").is(200);
    assert_eq!(house.operator().all("/v1/tenants", 10).len(), 1, "no tenant was made by a token");
}

#[test]
fn names_of_claims_and_prefixes_of_scopes_can_be_chosen() {
    let key = Signer::elliptic("e");
    let issuer = Issuer::start(&[&key]);
    let house = Harness::at_rest_configured(|settings| {
        settings.oidc.issuer = Some(issuer.url());
        settings.oidc.audience = Some("callboard".to_owned());
        settings.oidc.tenant_claim = "org".to_owned();
        settings.oidc.scope_claim = "roles".to_owned();
        settings.oidc.scope_prefix = "callboard/".to_owned();
    });
    house.operator().post("/v1/tenants", &json!({"id": "north"})).is(201);
    let claims = with(&claims(&house, &issuer), "org", "north");
    let claims = with(&claims, "roles", json!(["callboard/read:events", "read:webhooks"]));
    let client = bearer(&house, &key.sign(&claims));
    client.get("/v1/events").is(200);
    client.get("/v1/webhooks").problem(403, "forbidden");
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let keys = [Signer::rsa("r"), Signer::elliptic("e")];
    let issuer = Issuer::start(&keys.each_ref());
    let house = start(&issuer);
    let (key, good) = (&keys[1], claims(&house, &issuer));
    let now = house.now().as_second();
    bearer(&house, &key.sign(&good)).get("/v1/events").is(200);
    for (name, value, why) in [
        ("iss", json!("https://other.example"), "its issuer is not trusted"),
        ("iss", json!(format!("{}/", issuer.url())), "its issuer is not trusted"),
        ("iss", Value::Null, "its issuer is not trusted"),
        ("aud", json!("other"), "it is for another audience"),
        ("aud", json!(["other", "callboard "]), "it is for another audience"),
        ("aud", Value::Null, "it is for another audience"),
        ("exp", json!(now - 60), "it has expired"),
        ("exp", Value::Null, "it has expired"),
        ("exp", json!("never"), "it has expired"),
        ("nbf", json!(now + 61), "it is not valid yet"),
        ("nbf", json!("soon"), "it is not valid yet"),
        ("sub", Value::Null, "it names no subject"),
        ("sub", json!("x".repeat(256)), "it names no subject"),
        ("tenant", Value::Null, "it names no tenant"),
        ("tenant", json!(["acme"]), "it names no tenant"),
        ("tenant", json!("Not An Id"), "it names no tenant"),
        ("tenant", json!("nobody"), "there is no such tenant"),
    ] {
        refused(&house, &key.sign(&with(&good, name, value)), why);
    }
    // Clocks may differ that much.
    for (name, value) in [("exp", now - 59), ("nbf", now + 60)] {
        bearer(&house, &key.sign(&with(&good, name, value))).get("/v1/events").is(200);
    }
    let token = key.sign(&good);
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let other = keys[0].sign(&good);
    refused(&house, &format!("{signed}.{}", other.rsplit_once('.').expect("a signature").1), "its signature");
    refused(&house, &format!("{signed}."), "its signature");
    let more = URL_SAFE_NO_PAD.encode(with(&good, "scope", "admin").to_string());
    let head = signed.split_once('.').expect("claims").0;
    refused(&house, &format!("{head}.{more}.{signature}"), "its signature");
    let stranger = Signer::elliptic("e");
    refused(&house, &stranger.sign(&good), "its signature");
    refused(&house, &Signer::elliptic("x").sign(&good), "no such key");
    let critical = |header: &mut Header| header.crit = Some(vec!["b64".to_owned()]);
    refused(&house, &key.sign_as(critical, &good), "not valid");
    assert_eq!(house.operator().all("/v1/tenants", 10).len(), 1, "no tenant was made by a token");
}

#[test]
fn the_algorithm_is_not_the_tokens_choice() {
    let (rsa, other) = (Signer::rsa("r"), Signer::elliptic("e"));
    let issuer = Issuer::start(&[&rsa, &other]);
    // A secret that somebody published by mistake is none.
    let secret = json!({"kty": "oct", "kid": "s", "k": URL_SAFE_NO_PAD.encode("sesame")});
    issuer.say(|said| said.keys.push(secret));
    let house = start(&issuer);
    let claims = claims(&house, &issuer);
    bearer(&house, &rsa.sign(&claims)).get("/v1/events").is(200);
    let n = text(&rsa.public["n"]);
    let forged = |kid: &str, secret: &[u8]| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).expect("a token")
    };
    // The public key as a secret, in the forms that a library might take for it.
    for secret in
        [n.as_bytes(), &URL_SAFE_NO_PAD.decode(n).expect("base64"), rsa.public.to_string().as_bytes()]
    {
        refused(&house, &forged("r", secret), "not valid");
    }
    refused(&house, &forged("s", b"sesame"), "not valid");
    let body = URL_SAFE_NO_PAD.encode(claims.to_string());
    for alg in ["none", "None", "NONE", "nOnE", "", "HS512", "RS384"] {
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "r"}).to_string());
        refused(&house, &format!("{head}.{body}."), "not valid");
        refused(&house, &format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode("x")), "not valid");
    }
    // One key's name with another's algorithm.
    refused(&house, &other.sign_as(|header| header.kid = Some("r".to_owned()), &claims), "no such key");
    for nothing in ["", ".", "..", "a.b.c", "a.b.c.d"] {
        refused(&house, &format!("x{nothing}"), "not valid");
    }
}

#[test]
fn keys_are_fetched_anew_when_the_issuer_has_others_and_not_for_made_up_ones() {
    let (old, new) = (Signer::elliptic("old"), Signer::elliptic("new"));
    let issuer = Issuer::start(&[&old]);
    let house = start(&issuer);
    let get = |key: &Signer| bearer(&house, &key.sign(&claims(&house, &issuer))).get("/v1/events");
    get(&old).is(200);
    assert_eq!(issuer.asked(), 1);
    // A name that is not known has the issuer asked, and no other for a minute.
    for name in 0..10 {
        let made_up =
            old.sign_as(|header| header.kid = Some(format!("made-up-{name}")), &claims(&house, &issuer));
        refused(&house, &made_up, "no such key");
    }
    assert_eq!(issuer.asked(), 2);
    // Nor do tokens of others.
    let foreign = with(&claims(&house, &issuer), "iss", "https://other.example");
    house.advance(Duration::from_mins(1));
    refused(&house, &new.sign(&foreign), "its issuer");
    assert_eq!(issuer.asked(), 2);
    // The issuer has another key.
    issuer.say(|said| said.keys = vec![new.public.clone()]);
    get(&new).is(200);
    assert_eq!(issuer.asked(), 3);
    refused(&house, &old.sign(&claims(&house, &issuer)), "no such key");
    // And takes that one back: it counts for as long as the keys may be kept.
    issuer.say(|said| said.keys = vec![old.public.clone()]);
    house.advance(Duration::from_secs(599));
    get(&new).is(200);
    assert_eq!(issuer.asked(), 3);
    house.advance(Duration::from_secs(1));
    house.until("the key is forgotten", || (get(&new).status == 401).then_some(()));
    get(&old).is(200);
}

#[test]
fn while_the_issuer_is_away_known_keys_go_on() {
    let key = Signer::edwards("d");
    let issuer = Issuer::start(&[&key]);
    let house = start(&issuer);
    let get = || bearer(&house, &key.sign(&claims(&house, &issuer))).get("/v1/events");
    get().is(200);
    issuer.say(|said| said.is_up = false);
    house.advance(Duration::from_hours(1));
    for _ in 0..5 {
        get().is(200);
    }
    house.until("it is asked", || (issuer.asked() >= 2).then_some(()));
    assert_eq!(issuer.asked(), 2, "and not for every token");
    house.advance(Duration::from_hours(24));
    let answer = get();
    assert!(!answer.header("retry-after").is_empty());
    answer.problem(503, "unavailable");
    issuer.say(|said| said.is_up = true);
    house.advance(Duration::from_secs(10));
    get().is(200);
}

#[test]
fn without_keys_nobody_is_let_in_and_nobody_refused() {
    let key = Signer::edwards("d");
    let issuer = Issuer::start(&[&key]);
    // Somebody else's description, or one that leads away.
    issuer.say(|said| said.name = Some("https://other.example".to_owned()));
    let house = start(&issuer);
    let get = || bearer(&house, &key.sign(&claims(&house, &issuer))).get("/v1/events");
    get().problem(503, "unavailable");
    let asked = issuer.asked();
    get().problem(503, "unavailable");
    assert_eq!(issuer.asked(), asked, "it is not asked all the time");
    // Our own tokens need no issuer.
    house.client("acme", &["read:events"]).get("/v1/events").is(200);
    issuer.say(|said| said.name = None);
    house.advance(Duration::from_secs(10));
    get().is(200);
}
