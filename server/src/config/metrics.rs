//! Who may read the metrics.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::egress::list;

/// Who may read the metrics beside who has the operator's token.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Whether everybody may.
    pub open: bool,
    /// Networks from which everybody may.
    #[serde(deserialize_with = "list")]
    pub allow: Vec<IpNet>,
}

impl Metrics {
    /// Whether who has this address needs no token.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.open || self.allow.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_networks_that_are_named_need_no_token() {
        let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let none = Metrics::default();
        assert!(!none.admits(address("127.0.0.1")));
        let some = Metrics { open: false, allow: vec!["10.1.0.0/16".parse().expect("a network")] };
        assert!(some.admits(address("10.1.2.3")) && some.admits(address("::ffff:10.1.2.3")));
        assert!(!some.admits(address("10.2.2.3")) && !some.admits(address("::1")));
        assert!(Metrics { open: true, ..none }.admits(address("2001:db8::1")));
    }
}
