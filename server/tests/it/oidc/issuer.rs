//! An OpenID issuer on loopback, and the keys that it signs with.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

/// A key pair.
pub(super) struct Signer {
    header: Header,
    private: EncodingKey,
    /// What the issuer publishes of it.
    pub(super) public: Value,
}

impl Signer {
    pub(super) fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        // Behind the modulus: that the exponent has 3 bytes, and these.
        let raw = pair.public_key_raw();
        let (n, e) = (&raw[raw.len() - 261..raw.len() - 5], &raw[raw.len() - 3..]);
        let public =
            json!({"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": text(n), "e": text(e)});
        // The library wants the key that is inside of the PKCS #8.
        let private = EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
        Self::new(Algorithm::RS256, id, private, public)
    }

    pub(super) fn elliptic(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let public = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": text(x), "y": text(y)});
        Self::new(Algorithm::ES256, id, EncodingKey::from_ec_der(&pair.serialize_der()), public)
    }

    pub(super) fn edwards(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let public = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": text(pair.public_key_raw())});
        Self::new(Algorithm::EdDSA, id, EncodingKey::from_ed_der(&pair.serialize_der()), public)
    }

    fn new(algorithm: Algorithm, id: &str, private: EncodingKey, public: Value) -> Self {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
        Self { header, private, public }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.private).expect("a token")
    }

    /// Signs with another header than its own.
    pub(super) fn sign_as(&self, change: impl FnOnce(&mut Header), claims: &Value) -> String {
        let mut header = self.header.clone();
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.private).expect("a token")
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What the issuer says.
pub(super) struct Said {
    pub(super) keys: Vec<Value>,
    /// What it calls itself; its URL unless something else is said.
    pub(super) name: Option<String>,
    pub(super) cache_control: &'static str,
    /// Whether it answers at all.
    pub(super) is_up: bool,
    /// How often its keys were asked for.
    asked: usize,
}

/// The issuer.
pub(super) struct Issuer {
    address: SocketAddr,
    said: Arc<Mutex<Said>>,
}

impl Issuer {
    pub(super) fn start(keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port to listen on");
        let address = listener.local_addr().expect("an address");
        let keys = keys.iter().map(|key| key.public.clone()).collect();
        let said = Said { keys, name: None, cache_control: "max-age=600", is_up: true, asked: 0 };
        let said = Arc::new(Mutex::new(said));
        let (answering, url) = (Arc::clone(&said), format!("http://{address}"));
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &url, &mut answering.lock().expect("no panic"));
            }
        });
        Self { address, said }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().expect("no panic"));
    }

    pub(super) fn asked(&self) -> usize {
        self.said.lock().expect("no panic").asked
    }
}

fn answer(mut stream: TcpStream, url: &str, said: &mut Said) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let body = match line.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => {
            said.asked += 1;
            json!({"issuer": said.name.as_deref().unwrap_or(url), "jwks_uri": format!("{url}/keys")})
        }
        Some("/keys") => json!({"keys": said.keys}),
        _ => Value::Null,
    };
    if !said.is_up {
        return stream
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
    let (body, cache) = (body.to_string(), said.cache_control);
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncache-control: {cache}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())
}
