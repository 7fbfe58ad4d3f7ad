//! Lets so many connections in, and so many from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;

use crate::{
    intake::rate::network,
    service::{NetworkLimits, ServerOptions},
};

/// Counts who is in.
#[derive(Debug)]
pub(super) struct Gate {
    connections: AtomicUsize,
    limits: NetworkLimits,
    /// Through these come many: they are counted in all only.
    trusted_proxies: Vec<IpNet>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Gate {
    /// Nobody is in.
    pub(super) fn new(options: &ServerOptions) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            limits: options.network,
            trusted_proxies: options.trusted_proxies.clone(),
            by_address: Mutex::default(),
        }
    }

    /// A place for a connection from this address; `None` if it is one too many.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut place = Place {
            gate: Arc::clone(self),
            address: None,
        };
        if self.connections.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            return None;
        }
        let address = address.to_canonical();
        if self
            .trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
        {
            return Some(place);
        }
        let mut by_address = self.by_address.lock().expect("no thread panics in it");
        let count = by_address.entry(network(address)).or_default();
        let full = *count >= self.limits.connections_per_address;
        if !full {
            *count += 1;
            place.address = Some(network(address));
        } else if *count == 0 {
            by_address.remove(&network(address));
        }
        // Before the place may be dropped, which takes the lock again.
        drop(by_address);
        (!full).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else {
            return;
        };
        let by_address = self.gate.by_address.lock();
        let mut by_address = by_address.expect("no thread panics in it");
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_address: usize) -> Arc<Gate> {
        Arc::new(Gate::new(&ServerOptions {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            network: NetworkLimits {
                connections,
                connections_per_address,
                ..NetworkLimits::default()
            },
            ..ServerOptions::default()
        }))
    }

    fn enter(gate: &Arc<Gate>, address: &str) -> Option<Place> {
        gate.enter(address.parse().unwrap())
    }

    #[test]
    fn places_are_counted_in_all_and_given_back() {
        let gate = gate(2, 10);
        let first = enter(&gate, "192.0.2.1").unwrap();
        let _second = enter(&gate, "10.0.0.1").unwrap();
        assert!(enter(&gate, "192.0.2.3").is_none());
        drop(first);
        assert!(enter(&gate, "192.0.2.3").is_some());
    }

    #[test]
    fn one_address_has_its_share_and_proxies_have_no_limit_of_their_own() {
        let gate = gate(100, 2);
        let mut held: Vec<_> = (0..5).map(|_| enter(&gate, "2001:db8::1")).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        assert!(enter(&gate, "2001:db8::2").is_none(), "the same /64");
        assert!(enter(&gate, "2001:db8:0:1::1").is_some());
        held.clear();
        let proxied: Vec<_> = (0..5).map(|_| enter(&gate, "10.0.0.1")).collect();
        assert_eq!(proxied.iter().flatten().count(), 5);
        assert!(gate.by_address.lock().unwrap().is_empty());
    }
}
