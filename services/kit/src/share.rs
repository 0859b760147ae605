//! How much of something one client may hold at once, so that it cannot hold all of it: bodies that are under way, each
//! with a place among the requests, and connections. A body that comes together with its head is none of them, nor is an
//! answer that is there before it is sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::context::household;

/// What is held, by client.
#[derive(Debug, Clone)]
pub(crate) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    of: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    client: IpAddr,
}

impl Shares {
    /// At most so many of one client.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most: most.max(1), of: Mutex::default() }))
    }

    /// One more of the client at this address; `None` when it has enough.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Share> {
        let client = household(address);
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of.entry(client).or_default();
        if *count >= self.0.most {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut of = self.shares.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                of.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_gets_it_back() {
        let shares = Shares::new(2);
        let take = |address: &str| shares.take(address.parse().unwrap());
        let (one, two) = (take("192.0.2.1"), take("192.0.2.1"));
        assert!(one.is_some() && two.is_some() && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(one);
        let again = take("192.0.2.1");
        assert!(again.is_some());
        drop((two, again));
        let house = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(take("2001:db8::3").is_none() && take("2001:db8:0:1::1").is_some());
        drop(house);
        assert!(shares.0.of.lock().unwrap().is_empty(), "nobody is remembered for longer");
    }
}
