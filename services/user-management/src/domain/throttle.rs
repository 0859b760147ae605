//! How guessing is slowed: by account and network, never by a lock that a stranger can put on somebody's
//! account (docs/decisions/0020). Must not keep an e-mail or an address: keys are hashes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use shop_api::ids::SessionId;

use super::token::SecretHash;

/// Failures that cost nothing: people mistype.
pub const FREE_FAILURES: u32 = 5;
/// Longest wait after a failure.
pub const LONGEST: Duration = Duration::from_mins(15);
/// Failures an account may see from unknown places within [`LONGEST`] before those places must wait.
pub const ACCOUNT_BUDGET: u32 = 30;

/// What one customer of a network provider holds: one address of IPv4, a `/64` of IPv6.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(masked_v6(v6, 64)),
    }
}

/// One account seen from one network.
#[must_use]
pub fn place_key(email: &str, address: IpAddr) -> SecretHash {
    SecretHash::of(format!("place\0{email}\0{}", network(address)).as_bytes())
}

/// One session of an account, from wherever: whoever is signed in guesses there, and nobody else can.
#[must_use]
pub fn session_key(session: SessionId) -> SecretHash {
    SecretHash::of(format!("session\0{session}").as_bytes())
}

/// One account, from wherever.
#[must_use]
pub fn account_key(email: &str) -> SecretHash {
    SecretHash::of(format!("account\0{email}").as_bytes())
}

/// The wait after the `failures`-th failure in a row from one place: none for the first five, then 1 s doubling
/// to fifteen minutes.
#[must_use]
pub fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(10)).min(LONGEST),
    }
}

/// The network a request came from, coarse enough to name no household: for people reading the audit log.
#[must_use]
pub fn place_label(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
        IpAddr::V6(v6) => format!("{}/48", masked_v6(v6, 48)),
    }
}

fn masked_v6(address: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (0..=17).map(|n| wait_after(n).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(wait_after(u32::MAX), LONGEST);
    }

    #[test]
    fn one_place_alone_cannot_use_the_budget_of_an_account_up() {
        let mut at = Duration::ZERO;
        let mut attempts = 0;
        while at <= LONGEST {
            attempts += 1;
            at += wait_after(attempts);
        }
        assert!(attempts <= ACCOUNT_BUDGET / 2, "{attempts} within a quarter of an hour");
    }

    #[test]
    fn one_customer_is_one_place() {
        let key = |address: &str| place_key("a@b.co", address.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_ne!(key("192.0.2.1"), place_key("b@b.co", "192.0.2.1".parse().unwrap()));
        assert_ne!(account_key("a@b.co"), account_key("b@b.co"));
    }

    #[test]
    fn labels_name_a_network_only() {
        assert_eq!(place_label("192.0.2.77".parse().unwrap()), "192.0.2.0/24");
        assert_eq!(place_label("2001:db8:1:2::7".parse().unwrap()), "2001:db8:1::/48");
    }
}
