//! Where a request comes from, as limits count it.

use std::{
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, request::Parts},
};

use crate::{rest::RestState, socket::Ports};

/// What proxies add to, each the address that it was asked from.
const FORWARDED: &str = "x-forwarded-for";

/// The part of an IPv6 address that one customer has as a whole: the first 64 bits.
const NETWORK: u128 = !0 << 64;

/// What one customer may have many networks of: the first 48 bits.
const SITE: u128 = !0 << 80;

/// Where the addresses of IPv4 lie for networks that have IPv6 only (RFC 6052).
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// An IPv4 address, or the network (/64) of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl Address {
    /// Who is at the other end of so many proxies. Each of them wrote down who asked it, the last
    /// one last; what stands before that is the client's own word and is not looked at. `peer` is
    /// who asks us, and counts where the proxies' words are missing or make no sense.
    #[must_use]
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted_hops: usize) -> Self {
        let lines = headers.get_all(FORWARDED).iter().rev();
        let mut newest_first = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let told = trusted_hops.checked_sub(1).and_then(|nth| newest_first.nth(nth));
        Self::from(told.and_then(parse).unwrap_or(peer))
    }
}

/// `203.0.113.7`, `2001:db8::7`, also with a port.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    entry.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// The many networks (/48) that one customer of IPv6 may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(Ipv6Addr);

impl Address {
    /// The site that a network of IPv6 is in.
    #[must_use]
    pub fn site(self) -> Option<Site> {
        match self.0 {
            IpAddr::V6(v6) => Some(Site(Ipv6Addr::from_bits(v6.to_bits() & SITE))),
            IpAddr::V4(_) => None,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/48", self.0)
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) if v6.segments()[..6] == NAT64 => {
                Ipv4Addr::from_bits(v6.to_bits() as u32).into()
            }
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into(),
            v4 => v4,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Address {
    /// As the gateway has noted it, beside the request.
    #[must_use]
    pub fn noted(beside: &Extensions) -> Self {
        beside.get().copied().unwrap_or_else(|| IpAddr::from(Ipv4Addr::UNSPECIFIED).into())
    }
}

impl FromRequestParts<Ports> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Ports) -> Result<Self, Infallible> {
        Ok(Self::noted(&parts.extensions))
    }
}

impl FromRequestParts<RestState> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        Ok(Self::of(peer, &parts.headers, state.trusted_hops))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str], trusted_hops: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().expect("a header"));
        }
        Address::of(Ipv4Addr::LOCALHOST.into(), &headers, trusted_hops).to_string()
    }

    #[test]
    fn without_proxies_nobody_is_believed() {
        assert_eq!(seen(&["203.0.113.7"], 0), "127.0.0.1");
        assert_eq!(seen(&[], 1), "127.0.0.1");
    }

    #[test]
    fn what_a_client_writes_itself_stands_too_far_to_the_left() {
        assert_eq!(seen(&["198.51.100.1, 203.0.113.7"], 1), "203.0.113.7");
        assert_eq!(seen(&["198.51.100.1", "203.0.113.7"], 1), "203.0.113.7");
        assert_eq!(seen(&["198.51.100.1, 203.0.113.7,10.0.0.1"], 2), "203.0.113.7");
        assert_eq!(seen(&["198.51.100.1, 203.0.113.7", "10.0.0.1"], 2), "203.0.113.7");
    }

    #[test]
    fn words_that_make_no_sense_do_not_count() {
        for nonsense in ["unknown", "", ",", "203.0.113.7,", "1.2.3", "203.0.113.7, \u{7f}x"] {
            let Ok(line) = nonsense.parse() else { continue };
            let headers = HeaderMap::from_iter([(FORWARDED.parse().expect("a name"), line)]);
            let address = Address::of(Ipv4Addr::LOCALHOST.into(), &headers, 1);
            assert_eq!(address.to_string(), "127.0.0.1", "{nonsense}");
        }
        assert_eq!(seen(&["203.0.113.7"], 2), "127.0.0.1");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_ipv4_is_known_in_any_dress() {
        assert_eq!(seen(&["2001:db8:1:2:3::7"], 1), seen(&["[2001:db8:1:2:ffff::1]:443"], 1));
        assert_ne!(seen(&["2001:db8:1:2::7"], 1), seen(&["2001:db8:1:3::7"], 1));
        for dress in [
            "203.0.113.7",
            "203.0.113.7:4711",
            "::ffff:203.0.113.7",
            " 203.0.113.7 ",
            "64:ff9b::203.0.113.7",
            "[64:ff9b::cb00:7107]:443",
        ] {
            assert_eq!(seen(&[dress], 1), "203.0.113.7", "{dress}");
        }
        assert_eq!(seen(&["[2001:db8::1]"], 1), "2001:db8::");
        assert_eq!(seen(&["64:ff9b:1::203.0.113.7"], 1), "64:ff9b:1::");
    }

    #[test]
    fn a_site_has_many_networks_and_ipv4_has_none() {
        let site = |address: &str| {
            let address: IpAddr = address.parse().expect("an address");
            Address::from(address).site().map(|site| site.to_string())
        };
        assert_eq!(site("2001:db8:1:2::7"), site("2001:db8:1:ffff::1"));
        assert_eq!(site("2001:db8:1:2::7").as_deref(), Some("2001:db8:1::/48"));
        assert_ne!(site("2001:db8:1:2::7"), site("2001:db8:2:2::7"));
        assert_eq!(site("203.0.113.7"), None);
    }
}
