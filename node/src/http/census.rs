//! How many connections there are, in all and of each address, and no more than a bound.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::address::network_of;

/// Counts what is open. An address without anything open takes no memory.
#[derive(Debug)]
pub struct Census {
    per_address_max: u32,
    all_max: u32,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// One counted connection; dropping it counts it out.
#[derive(Debug)]
pub struct Counted {
    census: Arc<Census>,
    address: Option<IpAddr>,
}

impl Census {
    /// Nothing is open yet.
    pub fn new(per_address_max: u32, all_max: u32) -> Arc<Self> {
        Arc::new(Self { per_address_max, all_max, open: Mutex::default() })
    }

    /// Counts one more of `address`; none when that would be too many.
    pub fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let address = network_of(address);
        let mut open = self.lock();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.all_max || of_address >= self.per_address_max {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Counted { census: self.clone(), address: Some(address) })
    }

    /// Counts one more that stands for many addresses; none when that would be too many in all.
    pub fn count_proxied(self: &Arc<Self>) -> Option<Counted> {
        let mut open = self.lock();
        if open.all >= self.all_max {
            return None;
        }
        open.all += 1;
        Some(Counted { census: self.clone(), address: None })
    }

    /// How many are open.
    pub fn all(&self) -> u32 {
        self.lock().all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.census.lock();
        open.all -= 1;
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut of_address) = open.by_address.entry(address) {
            *of_address.get_mut() -= 1;
            if *of_address.get() == 0 {
                of_address.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_the_node_each_have_a_bound_and_what_closes_counts_no_more() {
        let census = Census::new(2, 3);
        let count = |last: u8| census.count([192, 0, 2, last].into());
        let first = count(1).unwrap();
        let _second = count(1).unwrap();
        assert!(count(1).is_none(), "of one address");
        let _third = count(2).unwrap();
        assert!(count(3).is_none(), "in all");
        assert!(census.count_proxied().is_none(), "in all, whatever the address");
        drop(first);
        assert!(count(1).is_some());
        assert_eq!(census.all(), 2);
        assert_eq!(census.lock().by_address.len(), 2);
    }
}
