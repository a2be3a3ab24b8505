//! Judges what a delivery may call: addresses, ports and schemes.
//!
//! A webhook's address is chosen by somebody else, so by default only the
//! public internet may be called. This file only judges; that each address is
//! judged right before it is dialled is the business of `http`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

mod ports;

/// Refused IPv4 networks; the first match names the kind.
const IPV4: &[(Ipv4Net, &str)] = &[
    (v4([169, 254, 169, 254], 32), "a cloud metadata address"),
    (v4([169, 254, 170, 2], 32), "a cloud metadata address"),
    (v4([100, 100, 100, 200], 32), "a cloud metadata address"),
    (v4([192, 0, 0, 192], 32), "a cloud metadata address"),
    // Public by number, but inside Azure it is the platform itself.
    (v4([168, 63, 129, 16], 32), "a cloud metadata address"),
    (v4([0, 0, 0, 0], 32), "unspecified"),
    (v4([0, 0, 0, 0], 8), "of this host's own network"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a provider's customers"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([192, 0, 0, 0], 24), "reserved for protocols"),
    (v4([192, 0, 2, 0], 24), "for documentation only"),
    (v4([198, 51, 100, 0], 24), "for documentation only"),
    (v4([203, 0, 113, 0], 24), "for documentation only"),
    (v4([192, 88, 99, 0], 24), "a 6to4 relay"),
    (v4([198, 18, 0, 0], 15), "for benchmarks only"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// Refused IPv6 networks; the first match names the kind.
const IPV6: &[(Ipv6Net, &str)] = &[
    (v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254], 128), "a cloud metadata address"),
    (v6([0; 8], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "a NAT64 form of an IPv4 address"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "a NAT64 form of an IPv4 address"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard address"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo address"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "for benchmarks only"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation only"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved for protocols"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 form of an IPv4 address"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation only"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique-local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// What of IPv6 is handed out to be called by everyone; the rest is refused,
/// so that a special range invented later starts out refused.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

/// What the operator decides about it.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Networks that may be called beside the public ones.
    pub allow: Vec<IpNet>,
    /// Networks that may not be called, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Ports that may not be called.
    pub deny_ports: Vec<u16>,
    /// Whether only https may be called.
    pub require_https: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new(), deny_ports: ports::DENIED.to_vec(), require_https: false }
    }
}

/// Knows what deliveries may call.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    rules: Rules,
}

impl Guard {
    /// A guard that refuses everything special except what `allow` opens.
    #[must_use]
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self::with_rules(Rules { allow, ..Rules::default() })
    }

    /// A guard that refuses everything special, but for what the rules say.
    ///
    /// An IPv4 network stands for its IPv4-mapped IPv6 form too, and the other
    /// way round. An IPv6 network that carries IPv4 addresses (NAT64, 6to4,
    /// Teredo) opens only those whose IPv4 address may be called.
    #[must_use]
    pub fn with_rules(mut rules: Rules) -> Self {
        for net in rules.allow.iter_mut().chain(&mut rules.deny) {
            *net = unmapped(*net);
        }
        Self { rules }
    }

    /// Whether `address` may be called.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says why not, and how to allow it.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refusal> {
        let kind = match address {
            IpAddr::V4(plain) => self.refuse_v4(plain),
            IpAddr::V6(plain) => self.refuse_v6(plain),
        };
        kind.map_or(Ok(()), |kind| Err(Refusal::Address { address, kind }))
    }

    /// Whether anything may be called this way: by https or by http, at this
    /// port.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says why not, and how to allow it.
    pub fn judge_way(&self, https: bool, port: u16) -> Result<(), Refusal> {
        if self.rules.require_https && !https {
            return Err(Refusal::Plain);
        }
        if self.rules.deny_ports.contains(&port) {
            return Err(Refusal::Port(port));
        }
        Ok(())
    }

    /// Judges a host as far as that is possible without looking it up: an
    /// address, or a name that is loopback by definition (RFC 6761). Where any
    /// other name leads is judged when it is called.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says why not, and how to allow it.
    pub fn judge_host(&self, host: &Host<String>) -> Result<(), Refusal> {
        match host {
            Host::Ipv4(address) => self.judge(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.judge(IpAddr::V6(*address)),
            Host::Domain(name) if is_localhost(name) => {
                let v4 = self.judge(IpAddr::V4(Ipv4Addr::LOCALHOST));
                v4.or_else(|refusal| self.judge(IpAddr::V6(Ipv6Addr::LOCALHOST)).map_err(|_| refusal))
            }
            Host::Domain(_) => Ok(()),
        }
    }

    fn refuse_v4(&self, address: Ipv4Addr) -> Option<&'static str> {
        if self.denies(IpAddr::V4(address)) {
            return Some(DENIED);
        }
        if self.allows(IpAddr::V4(address)) {
            return None;
        }
        IPV4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
    }

    fn refuse_v6(&self, address: Ipv6Addr) -> Option<&'static str> {
        if self.denies(IpAddr::V6(address)) {
            return Some(DENIED);
        }
        let special = IPV6.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind);
        if special.is_none()
            && let Some(same) = same_v4(address)
        {
            return self.refuse_v4(same);
        }
        if self.allows(IpAddr::V6(address)) {
            return carried_v4(address).and_then(|carried| self.refuse_v4(carried));
        }
        special.or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some("reserved"))
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.rules.allow.iter().any(|net| net.contains(&address))
    }

    fn denies(&self, address: IpAddr) -> bool {
        self.rules.deny.iter().any(|net| net.contains(&address))
    }
}

/// Whether a name, in lower case, is loopback whoever is asked.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// The IPv4 address that an IPv6 address is merely another spelling of:
/// IPv4-mapped, or the old IPv4-compatible form.
fn same_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    matches!(address.segments(), [0, 0, 0, 0, 0, 0 | 0xffff, ..]).then(|| last_v4(address))
}

/// The IPv4 address that a gateway would call for an IPv6 address.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    match address.segments() {
        [0x64, 0xff9b, ..] => Some(last_v4(address)),
        [0x2002, ..] => Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        // Teredo writes the client's address with every bit turned over.
        [0x2001, 0, ..] => Some(Ipv4Addr::from(!u32::from(last_v4(address)))),
        _ => None,
    }
}

fn last_v4(address: Ipv6Addr) -> Ipv4Addr {
    let octets = address.octets();
    Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15])
}

/// A network of IPv4-mapped addresses as the IPv4 network it stands for.
fn unmapped(net: IpNet) -> IpNet {
    if let IpNet::V6(net) = net
        && let Some(base) = net.network().to_ipv4_mapped()
        && let Some(prefix) = net.prefix_len().checked_sub(96)
        && let Ok(plain) = Ipv4Net::new(base, prefix)
    {
        return IpNet::V4(plain);
    }
    net
}

/// The kind of addresses that the operator refuses.
const DENIED: &str = "denied by egress.deny";

/// Why something may not be called. Its text is meant for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The address may not.
    Address {
        /// The refused address.
        address: IpAddr,
        /// What kind of address it is, as it fits after "is": "loopback",
        /// "private".
        kind: &'static str,
    },
    /// Nothing may be called at this port.
    Port(u16),
    /// Nothing may be called by plain http.
    Plain,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, kind: DENIED } => {
                write!(f, "the address {address} is {DENIED} (CALLBOARD_EGRESS_DENY) and may not be called")
            }
            Self::Address { address, kind } => write!(
                f,
                "the address {address} is {kind} and may not be called; \
                 allow it with egress.allow (CALLBOARD_EGRESS_ALLOW)"
            ),
            Self::Port(port) => write!(
                f,
                "the port {port} may not be called; \
                 allow it by an egress.deny_ports (CALLBOARD_EGRESS_DENY_PORTS) without it"
            ),
            Self::Plain => f.write_str(
                "only https:// may be called; \
                 allow http:// with egress.require_https = false (CALLBOARD_EGRESS_REQUIRE_HTTPS)",
            ),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(guard: &Guard, address: &str) -> Option<&'static str> {
        match guard.judge(address.parse().unwrap()) {
            Ok(()) => None,
            Err(Refusal::Address { kind, .. }) => Some(kind),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn special_addresses_are_refused_by_kind() {
        let guard = Guard::default();
        for (address, kind) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("169.254.169.254", "a cloud metadata address"),
            ("100.100.100.200", "a cloud metadata address"),
            ("168.63.129.16", "a cloud metadata address"),
            ("169.254.1.1", "link-local"),
            ("100.64.0.1", "shared by a provider's customers"),
            ("100.127.255.255", "shared by a provider's customers"),
            ("198.18.0.1", "for benchmarks only"),
            ("198.19.255.255", "for benchmarks only"),
            ("192.0.2.1", "for documentation only"),
            ("198.51.100.1", "for documentation only"),
            ("203.0.113.1", "for documentation only"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "of this host's own network"),
            ("192.0.0.8", "reserved for protocols"),
            ("192.88.99.1", "a 6to4 relay"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "a cloud metadata address"),
            ("::10.0.0.1", "private"),
            ("64:ff9b::8.8.8.8", "a NAT64 form of an IPv4 address"),
            ("64:ff9b:1::1", "a NAT64 form of an IPv4 address"),
            ("2002:7f00:1::", "a 6to4 form of an IPv4 address"),
            ("2001::1", "a Teredo address"),
            ("2001:2::1", "for benchmarks only"),
            ("2001:20::1", "reserved for protocols"),
            ("2001:db8::1", "for documentation only"),
            ("3fff::1", "for documentation only"),
            ("100::1", "a discard address"),
            ("fc00::1", "unique-local"),
            ("fd00:ec2::254", "a cloud metadata address"),
            ("fd12::1", "unique-local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
        ] {
            assert_eq!(judged(&guard, address), Some(kind), "{address}");
        }
    }

    #[test]
    fn public_addresses_may_be_called() {
        let guard = Guard::default();
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "169.253.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(judged(&guard, address), None, "{address}");
        }
    }

    #[test]
    fn the_allow_list_opens_exactly_what_it_names() {
        let nets =
            ["127.0.0.0/8", "fd12::/16", "64:ff9b::/96", "2002::/16", "2001::/32", "::ffff:10.0.0.0/104"];
        let guard = Guard::new(nets.iter().map(|net| net.parse().unwrap()).collect());
        for open in [
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "10.1.1.1",
            "fd12::1",
            "64:ff9b::8.8.8.8",
            "64:ff9b::127.0.0.1",
            "2002:808:808::1",
        ] {
            assert_eq!(judged(&guard, open), None, "{open}");
        }
        for (shut, kind) in [
            ("192.168.0.1", "private"),
            ("fd13::1", "unique-local"),
            ("::1", "loopback"),
            ("64:ff9b::192.168.0.1", "private"),
            ("2002:c0a8:1::", "private"),
            // Teredo for the client 192.168.0.1.
            ("2001::3f57:fffe", "private"),
        ] {
            assert_eq!(judged(&guard, shut), Some(kind), "{shut}");
        }
    }

    #[test]
    fn what_is_denied_is_not_allowed_in_any_spelling() {
        let parse = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
        let guard = Guard::with_rules(Rules {
            allow: parse(&["10.0.0.0/8", "64:ff9b::/96", "fd12::/16"]),
            deny: parse(&["10.1.0.0/16", "::ffff:8.8.8.0/120", "fd12:1::/32", "2606:4700::/32"]),
            ..Rules::default()
        });
        for open in ["10.2.0.1", "8.8.9.1", "64:ff9b::10.2.0.1", "fd12:2::1", "2606:4701::1"] {
            assert_eq!(judged(&guard, open), None, "{open}");
        }
        for shut in [
            "10.1.0.1",
            "::ffff:10.1.0.1",
            "::10.1.0.1",
            "64:ff9b::10.1.0.1",
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "fd12:1::1",
            "2606:4700::1111",
        ] {
            assert_eq!(judged(&guard, shut), Some(DENIED), "{shut}");
        }
        let refusal = guard.judge("8.8.8.8".parse().unwrap()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the address 8.8.8.8 is denied by egress.deny (CALLBOARD_EGRESS_DENY) and may not be called"
        );
    }

    #[test]
    fn ports_and_schemes_are_judged() {
        let guard = Guard::default();
        for port in [80, 443, 8080, 8443, 3000, 9200, 65_535] {
            assert_eq!(guard.judge_way(false, port), Ok(()), "{port}");
        }
        for port in [0, 22, 25, 465, 587, 5432, 6379, 6667, 27_017] {
            assert_eq!(guard.judge_way(true, port), Err(Refusal::Port(port)));
        }
        assert!(ports::DENIED.is_sorted());
        let rules = Rules { deny_ports: vec![8080], require_https: true, ..Rules::default() };
        let guard = Guard::with_rules(rules);
        assert_eq!(guard.judge_way(true, 25), Ok(()));
        assert_eq!(guard.judge_way(true, 8080), Err(Refusal::Port(8080)));
        assert_eq!(guard.judge_way(false, 80), Err(Refusal::Plain));
    }

    #[test]
    fn names_of_this_machine_are_judged_like_its_addresses() {
        let host = |text: &str| Host::parse(text).unwrap();
        for name in ["localhost", "LOCALHOST", "localhost.", "a.b.localhost", "a.localhost."] {
            assert!(Guard::default().judge_host(&host(name)).is_err(), "{name}");
            for net in ["127.0.0.0/8", "::1/128"] {
                let guard = Guard::new(vec![net.parse().unwrap()]);
                assert_eq!(guard.judge_host(&host(name)), Ok(()), "{name} with {net}");
            }
        }
        for name in ["example.com", "localhost.example", "notlocalhost", "[2606:4700::1111]", "8.8.8.8"] {
            assert_eq!(Guard::default().judge_host(&host(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refusal = Guard::default().judge("::ffff:127.0.0.1".parse().unwrap()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the address ::ffff:127.0.0.1 is loopback and may not be called; \
             allow it with egress.allow (CALLBOARD_EGRESS_ALLOW)"
        );
    }

    /// IPv4 addresses with the special ones frequent enough to be met.
    fn address() -> impl Strategy<Value = Ipv4Addr> {
        let special = prop::sample::select(IPV4).prop_flat_map(|(net, _)| {
            (u32::from(net.network())..=u32::from(net.broadcast())).prop_map(Ipv4Addr::from)
        });
        prop_oneof![any::<Ipv4Addr>(), special]
    }

    fn spellings(address: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = address.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        vec![
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, !high, !low),
        ]
    }

    proptest! {
        #[test]
        fn no_spelling_is_judged_more_kindly(
            address in address(),
            allow in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(IPV4).prop_map(|(net, _)| IpNet::V4(net)),
                    prop::sample::select(IPV6)
                        .prop_filter("names single IPv6 addresses", |(net, _)| net.prefix_len() < 128)
                        .prop_map(|(net, _)| IpNet::V6(net)),
                    Just("::/0".parse().unwrap()),
                    Just("::ffff:0:0/96".parse().unwrap()),
                ],
                0..4,
            ),
        ) {
            let guard = Guard::new(allow);
            if guard.judge(IpAddr::V4(address)).is_err() {
                for spelling in spellings(address) {
                    // `::` and `::1` are addresses in their own right.
                    if spelling.is_unspecified() || spelling.is_loopback() {
                        continue;
                    }
                    prop_assert!(guard.judge(IpAddr::V6(spelling)).is_err(), "{spelling}");
                }
            }
        }
    }
}
