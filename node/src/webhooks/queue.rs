//! The queue on disk: events in lanes, each lane in order, until they are delivered.
//!
//! A lane is one room's way to one receiver. What is pushed and flushed outlives the process, however it ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use livekit_protocol::WebhookEvent;
use prost::Message;

/// Events that wait in all: a day of a busy node whose receiver is down, some 200 MB.
const WAITING_MAX: usize = 100_000;
/// How many of the oldest give way together when it is full: finding them reads all keys.
const GIVE_WAY: usize = 1_000;
/// Bytes of the number that ends a key; later ones are higher.
const NUMBER_BYTES: usize = 8;
/// Separates the parts of a key; no UTF-8 text has this byte.
const SEPARATOR: u8 = 0xff;

/// Where an event has to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The receiver's URL; none: the room's home, which sends it to receivers.
    pub url: Option<String>,
    /// The room's project.
    pub project: String,
    /// The room's name.
    pub room: String,
}

/// Lanes on disk. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    database: sled::Db,
    lanes: sled::Tree,
    /// Counted here, because the tree would count by reading itself.
    waiting: Arc<AtomicUsize>,
    most: usize,
}

impl Lane {
    fn prefix(&self) -> Vec<u8> {
        let url = self.url.as_deref().unwrap_or_default();
        let parts = [url.as_bytes(), self.project.as_bytes(), self.room.as_bytes(), &[]];
        parts.join(&SEPARATOR)
    }

    fn read(key: &[u8]) -> Option<Self> {
        let mut parts = key.splitn(4, |&byte| byte == SEPARATOR);
        let mut text = || String::from_utf8(parts.next()?.to_vec()).ok();
        let (url, project, room) = (text()?, text()?, text()?);
        Some(Self { url: (!url.is_empty()).then_some(url), project, room })
    }
}

impl Queue {
    /// Opens the queue in a folder.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let database = sled::Config::new().path(folder).cache_capacity(8 << 20).open()?;
        let lanes = database.open_tree("lanes")?;
        let waiting = Arc::new(AtomicUsize::new(lanes.len()));
        Ok(Self { database, lanes, waiting, most: WAITING_MAX })
    }

    /// Other things that have to outlive the process.
    pub fn tree(&self, name: &str) -> anyhow::Result<sled::Tree> {
        Ok(self.database.open_tree(name)?)
    }

    /// Puts an event at the end of a lane. Says how many of the oldest events gave way to it.
    pub fn push(&self, lane: &Lane, event: &WebhookEvent) -> anyhow::Result<usize> {
        let gone = if self.len() >= self.most { self.make_room()? } else { 0 };
        let number = self.database.generate_id()?.to_be_bytes();
        self.lanes.insert([lane.prefix(), number.to_vec()].concat(), event.encode_to_vec())?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(gone)
    }

    /// Takes the oldest events of all lanes out: those of receivers that take none.
    fn make_room(&self) -> anyhow::Result<usize> {
        let keys = self.lanes.iter().keys().collect::<Result<Vec<_>, _>>()?;
        let number = |key: &sled::IVec| key[key.len().saturating_sub(NUMBER_BYTES)..].to_vec();
        let mut by_age: Vec<_> = keys.into_iter().map(|key| (number(&key), key)).collect();
        by_age.sort_unstable();
        by_age.truncate(GIVE_WAY.min(self.most));
        by_age.iter().try_for_each(|(_, key)| self.remove(key))?;
        Ok(by_age.len())
    }

    /// Waits until all that was pushed is on disk.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.database.flush_async().await?;
        Ok(())
    }

    /// The first event of a lane, and its key.
    pub fn first(&self, lane: &Lane) -> anyhow::Result<Option<(sled::IVec, WebhookEvent)>> {
        while let Some((key, value)) = self.lanes.scan_prefix(lane.prefix()).next().transpose()? {
            match WebhookEvent::decode(&value[..]) {
                Ok(event) => return Ok(Some((key, event))),
                // Written by another version; nobody could send it.
                Err(_) => self.remove(&key)?,
            }
        }
        Ok(None)
    }

    /// Takes an event out.
    pub fn remove(&self, key: &sled::IVec) -> anyhow::Result<()> {
        if self.lanes.remove(key)?.is_some() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lanes that hold something.
    pub fn lanes(&self) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = self.lanes.iter().keys().flatten().filter_map(|key| Lane::read(&key)).collect();
        lanes.dedup();
        lanes
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_keeps_its_order_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let lane = |room: &str| Lane { url: Some("http://a/b".into()), project: "p".into(), room: room.into() };
        let event = |name: &str| WebhookEvent { event: name.into(), ..Default::default() };
        {
            let queue = Queue::open(folder.path()).unwrap();
            for name in ["one", "two"] {
                assert_eq!(queue.push(&lane("x"), &event(name)).unwrap(), 0);
            }
            queue.push(&lane("xy"), &event("other")).unwrap();
            queue.database.flush().unwrap();
        }
        let queue = Queue::open(folder.path()).unwrap();
        assert_eq!(queue.lanes(), [lane("xy"), lane("x")]);
        for name in ["one", "two"] {
            let (key, first) = queue.first(&lane("x")).unwrap().unwrap();
            assert_eq!(first.event, name);
            queue.remove(&key).unwrap();
        }
        assert!(queue.first(&lane("x")).unwrap().is_none());
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn the_oldest_of_all_lanes_give_way_when_it_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue { most: 10, ..Queue::open(folder.path()).unwrap() };
        let lane = |room: &str| Lane { url: Some("http://a/b".into()), project: "p".into(), room: room.into() };
        let event = |name: String| WebhookEvent { event: name, ..Default::default() };
        let pushed = (0..11).map(|n| queue.push(&lane(["z", "a"][n % 2]), &event(n.to_string())).unwrap());
        assert_eq!(pushed.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
        assert_eq!((queue.len(), queue.lanes()), (1, vec![lane("z")]));
        assert_eq!(queue.first(&lane("z")).unwrap().unwrap().1.event, "10");
    }
}
