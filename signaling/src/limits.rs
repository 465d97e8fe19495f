//! How often somebody may call: token buckets (GCRA) for each address, subject and session. Invariant: memory follows
//! the callers of the last seconds, not all that ever called.

use axum::http::HeaderMap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use ipnet::IpNet;
use protocol::ConnectionId;
use serde::{Deserialize, Serialize};
use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How often somebody may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// New connections, and calls without a good grant, from one address: an IPv4 address or an IPv6 /64. Wide, since
    /// a carrier's NAT has many people behind one address.
    pub address: Rate,
    /// New connections of one subject (claim `sub`).
    pub subject: Rate,
    /// Changes, ICE restarts and event streams of one session.
    pub session: Rate,
    /// Peers whose last `X-Forwarded-For` entry is believed: addresses, or networks in CIDR form.
    #[serde(with = "networks", skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<IpNet>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls at once.
    pub burst: NonZeroU32,
    /// Calls a second after that.
    pub per_second: NonZeroU32,
}

impl Rate {
    const fn of(burst: u32, per_second: u32) -> Self {
        match (NonZeroU32::new(burst), NonZeroU32::new(per_second)) {
            (Some(burst), Some(per_second)) => Self { burst, per_second },
            _ => panic!("a rate is of positive numbers"),
        }
    }
}

const ADDRESS: Rate = Rate::of(300, 20);
const SUBJECT: Rate = Rate::of(60, 2);
const SESSION: Rate = Rate::of(50, 20);

impl Default for Limits {
    fn default() -> Self {
        Self { address: ADDRESS, subject: SUBJECT, session: SESSION, trusted_proxies: Vec::new() }
    }
}

mod networks {
    use super::{IpAddr, IpNet};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<IpNet>, D::Error> {
        let parse = |t: String| {
            let net = t.parse::<IpNet>().ok().or_else(|| t.parse::<IpAddr>().ok().map(IpNet::from));
            net.ok_or_else(|| D::Error::custom(format!("'{t}' is no address and no network such as 10.0.0.0/8")))
        };
        Vec::<String>::deserialize(d)?.into_iter().map(parse).collect()
    }

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(networks)
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Address,
    Subject,
    Session,
}

/// A call is one too many now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) limit: Limit,
    /// How long until one more may come.
    pub(crate) wait: Duration,
}

/// The buckets of one service.
pub(crate) struct Buckets {
    addresses: Bucket<IpAddr, MonotonicClock>,
    subjects: Bucket<String, MonotonicClock>,
    sessions: Bucket<ConnectionId, MonotonicClock>,
    trusted_proxies: Vec<IpNet>,
}

impl Buckets {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            addresses: Bucket::new(limits.address, MonotonicClock),
            subjects: Bucket::new(limits.subject, MonotonicClock),
            sessions: Bucket::new(limits.session, MonotonicClock),
            trusted_proxies: limits.trusted_proxies.clone(),
        }
    }

    pub(crate) fn address(&self, address: IpAddr) -> Result<(), TooMany> {
        self.addresses.take(&subscriber(address)).map_err(|wait| TooMany { limit: Limit::Address, wait })
    }

    pub(crate) fn subject(&self, subject: &String) -> Result<(), TooMany> {
        self.subjects.take(subject).map_err(|wait| TooMany { limit: Limit::Subject, wait })
    }

    pub(crate) fn session(&self, connection: ConnectionId) -> Result<(), TooMany> {
        self.sessions.take(&connection).map_err(|wait| TooMany { limit: Limit::Session, wait })
    }

    /// Where a request comes from: its peer, or whom a trusted proxy names.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusted_proxies.iter().any(|net| net.contains(&peer)) {
            return peer;
        }
        // Entries further left are what the client itself may have written.
        let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|v| v.to_str().ok());
        let named = last.and_then(|line| line.rsplit(',').next()).and_then(|entry| address(entry.trim()));
        named.unwrap_or(peer)
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`: proxies write all of them.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    plain.or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip())).map(|a| a.to_canonical())
}

/// Whom an address stands for: an IPv6 subscriber has a whole /64 to choose from.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// A rate for each of many keys.
struct Bucket<K: Hash + Eq + Clone, C: Clock> {
    limiter: RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    sweep_at: AtomicUsize,
}

/// Keys that are held without looking which of them can go.
const UNSWEPT: usize = 1024;

impl<K: Hash + Eq + Clone, C: Clock> Bucket<K, C> {
    fn new(rate: Rate, clock: C) -> Self
    where
        C: Clone,
    {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let limiter = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Self { limiter, clock, sweep_at: UNSWEPT.into() }
    }

    fn take(&self, key: &K) -> Result<(), Duration> {
        if self.limiter.len() >= self.sweep_at.load(Ordering::Relaxed) {
            // Keys whose bucket is full again are as good as new. Twice what is left makes a sweep cheap for each call.
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
            self.sweep_at.store((2 * self.limiter.len()).max(UNSWEPT), Ordering::Relaxed);
        }
        self.limiter.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use governor::clock::FakeRelativeClock;

    #[test]
    fn a_key_that_has_been_quiet_is_forgotten() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(Rate::of(4, 2), clock.clone());
        for key in 0..100_000_u32 {
            bucket.take(&key).expect("each for the first time");
            clock.advance(Duration::from_millis(1));
        }
        // Each key is busy for 0.5 s, 500 calls.
        assert!(bucket.limiter.len() < 4 * UNSWEPT, "{}", bucket.limiter.len());
    }

    #[test]
    fn what_is_over_the_limit_waits_for_its_turn_and_no_longer() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(Rate::of(3, 2), clock.clone());
        assert_eq!([(); 4].map(|()| bucket.take(&"a").is_ok()), [true, true, true, false]);
        assert!(bucket.take(&"b").is_ok(), "another's bucket is another's");
        let wait = bucket.take(&"a").expect_err("still too many");
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        clock.advance(wait);
        assert!(bucket.take(&"a").is_ok());
    }

    #[test]
    fn only_a_trusted_proxy_names_its_client() {
        let trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network"), "2001:db8::1/128".parse().expect("one")];
        let buckets = Buckets::new(&Limits { trusted_proxies, ..Limits::default() });
        let table = [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("10.1.1.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.1.1.1", &["203.0.113.9", "198.51.100.7:4711"], "198.51.100.7"),
            ("2001:db8::1", &["[2001:db8:7::1]:80"], "2001:db8:7::1"),
            ("10.1.1.1", &["198.51.100.7, nobody"], "10.1.1.1"),
        ];
        for (peer, lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            let client = buckets.client(peer.parse().expect("an address"), &headers);
            assert_eq!(client.to_string(), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn an_ipv6_subscriber_is_one_however_many_addresses_it_uses() {
        let of = |text: &str| subscriber(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::9"));
        assert_ne!(of("2001:db8:1:2::9"), of("2001:db8:1:3::9"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
