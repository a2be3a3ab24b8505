//! Answers while the database is still being opened, which takes long when its schema
//! is brought up to date: the process is alive, and can't serve yet.

use std::convert::Infallible;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long clients rather wait: most starts are over by then, and they need not
/// ask again.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// How long one client may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most clients that are answered at a time; others wait.
const AT_A_TIME: usize = 64;

/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(50);

const ALIVE: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\
    content-length: 21\r\n\r\n{\"status\":\"starting\"}";

const UNREADY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 155\r\n\r\n\
    {\"type\":\"urn:callboard:problem:unavailable\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"the server is starting; try again\",\"condition\":\"starting\"}";

/// Answers everybody who has waited for `after`, until it is dropped.
pub(crate) async fn answer(listener: &TcpListener, after: Duration) -> Infallible {
    sleep(after).await;
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= AT_A_TIME {
            clients.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.spawn(timeout(PATIENCE, one(stream)));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Reads what fits of a request, since to close before would take the answer away.
async fn one(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = vec![0; 16 * 1024];
    let length = stream.read(&mut request).await?;
    let asks_for_life = request[..length].starts_with(b"GET /healthz ");
    stream.write_all(if asks_for_life { ALIVE } else { UNREADY }).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a client of the test")]
    async fn ask(listener: &TcpListener, path: &str) -> (String, serde_json::Value) {
        let address = listener.local_addr().expect("an address");
        let asked = async {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it is sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let answer = tokio::select! {
            answered = asked => answered,
            never = answer(listener, Duration::ZERO) => match never {},
        };
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        (head.to_owned(), serde_json::from_str(body).expect("JSON"))
    }

    #[tokio::test]
    async fn who_starts_is_alive_and_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (head, body) = ask(&listener, "/healthz").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body["status"], "starting");
        for path in ["/readyz", "/v1/events"] {
            let (head, body) = ask(&listener, path).await;
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            assert_eq!((&body["status"], &body["condition"]), (&503.into(), &"starting".into()));
        }
    }
}
