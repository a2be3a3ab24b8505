//! Judges a webhook's settings when they are made or changed: whether what they
//! ask for may be called from here, and can be.
//!
//! The domain has read them and knows nothing of this deployment. Whatever
//! passes is judged again whenever a connection is made: names lead elsewhere
//! later, and what is stored may be older than the rules.

use callboard_domain::fault::{Fault, Faults};
use callboard_domain::webhook::Settings;

use crate::Engine;
use crate::http::{Endpoint, Identity};

impl Engine {
    /// Judges `settings` that are to take the place of `before`. What did not
    /// change is not judged again, so that a webhook can be renamed whose URL
    /// has been refused since.
    ///
    /// # Errors
    /// Every fault, each with its JSON pointer in the native form.
    pub fn admit(&self, settings: &Settings, before: Option<&Settings>) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::new();
        if before.is_none_or(|before| before.url != settings.url) {
            match Endpoint::parse(&settings.url) {
                Ok(endpoint) => {
                    if let Err(refusal) = self.client.judge(&endpoint) {
                        faults.member("url", format_args!("can't be called: {refusal}"));
                    }
                }
                Err(unusable) => faults.member("url", unusable),
            }
        }
        if before.is_none_or(|before| before.client_certificate != settings.client_certificate)
            && let Some(certificate) = &settings.client_certificate
            && let Err(found) = Identity::read(certificate)
        {
            faults.within("client_certificate", |faults| faults.extend(found));
        }
        faults.finish(Some(()))
    }
}
