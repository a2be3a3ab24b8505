//! The local address that deliveries are posted to.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::wire::Dialect;

use super::frames::Frame;
use crate::cli::Failure;
use crate::cli::exit::Exit;
use crate::cli::remote::agent_by;

/// How long it may take to answer, as for a webhook that says nothing else.
const LONGEST: Duration = Duration::from_secs(15);

/// A receiver nearby.
pub(super) struct Local {
    agent: ureq::Agent,
    url: String,
}

/// What came of a delivery.
pub(super) enum Posted {
    /// The status of the answer.
    Answered(u16),
    /// Why there is none.
    Failed(String),
}

impl Local {
    /// One at this address.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn at(url: &str) -> Result<Self, Failure> {
        let read = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if read.is_none() {
            let words = format!("--forward {url}: has to be an address such as http://localhost:3000/hook");
            return Err(Exit::Usage.because(words));
        }
        // A proxy would not reach what is on this machine.
        Ok(Self { agent: agent_by(None, LONGEST, true), url: url.to_owned() })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Posts a delivery as a webhook gets it.
    pub(super) async fn post(&self, frame: Arc<Frame>) -> Posted {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (agent, url) = (self.agent.clone(), self.url.clone());
        // A thread of its own: the command may end while it waits for an answer.
        std::thread::spawn(move || {
            let mut request = agent
                .post(&url)
                .header("content-type", "application/json")
                .header("user-agent", user_agent(&frame));
            for (name, value) in &frame.headers {
                request = request.header(name, value);
            }
            let posted = match request.send(frame.data.as_bytes()) {
                Ok(answer) => Posted::Answered(answer.status().as_u16()),
                Err(error) => Posted::Failed(error.to_string()),
            };
            // Nobody waits for it any more.
            let _ = sender.send(posted);
        });
        receiver.await.unwrap_or_else(|_| Posted::Failed("it was not sent".to_owned()))
    }
}

/// What deliveries of this kind call themselves.
fn user_agent(frame: &Frame) -> &'static str {
    let of_openticket = |(name, _): &(String, String)| name.to_ascii_lowercase().starts_with("openticket-");
    let dialect = if frame.headers.iter().any(of_openticket) { Dialect::OpenTicket } else { Dialect::Native };
    dialect.user_agent()
}
