//! How clients ask for tokens: forms and HTTP Basic are read as they were meant.

#![no_main]

use callboard_domain::access::token_request::{TokenRequest, basic_credentials};
use libfuzzer_sys::fuzz_target;
use url::form_urlencoded::{Serializer, byte_serialize};

fuzz_target!(|body: &[u8]| {
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = basic_credentials(text);
        let (id, secret) = text.split_once('\n').unwrap_or((text, ""));
        basic_means_the_same(id, secret);
    }
    let Ok(form) = TokenRequest::read(body) else { return };
    let mut text = Serializer::new(String::new());
    let TokenRequest { grant_type, scope, client_id, client_secret } = &form;
    let named = [
        ("client_secret", client_secret),
        ("client_id", client_id),
        ("scope", scope),
        ("grant_type", grant_type),
    ];
    for (name, value) in named {
        assert_ne!(value.as_deref(), Some(""), "without a value it is left out");
        text.append_pair(name, value.as_deref().unwrap_or_default());
    }
    assert!(TokenRequest::read(text.finish().as_bytes()) == Ok(form));
});

fn basic_means_the_same(id: &str, secret: &str) {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    let header = format!("Basic {}", base64(pair.as_bytes()));
    assert!(basic_credentials(&header) == Some((id.to_owned(), secret.to_owned())), "{header}");
}

/// RFC 4648 section 4, written down once more.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            (0..3).fold(0_usize, |number, index| number << 8 | usize::from(*three.get(index).unwrap_or(&0)));
        for index in 0..4 {
            let letter = LETTERS[number >> (18 - 6 * index) & 63];
            text.push(if index > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}
