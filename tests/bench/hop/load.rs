//! The load of a hop: 5,000 packets a second in bursts each millisecond, as a media worker hands them over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use origo_tests::process::cpu_time;

/// Packets of a burst; one each millisecond.
const BURST: usize = 5;
const TICK: Duration = Duration::from_millis(1);
/// RTP payload bytes of a packet.
const PACKET_BYTES: usize = 1150;

/// When packets were made and how long they took, on one clock.
#[derive(Clone)]
pub struct Arrivals {
    start: Instant,
    micros: Arc<Mutex<Vec<u32>>>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { start: Instant::now(), micros: Arc::default() }
    }
}

impl Arrivals {
    /// A payload that knows when it was made.
    fn payload(&self) -> Vec<u8> {
        let mut payload = vec![0x5a; PACKET_BYTES];
        payload[..8].copy_from_slice(&(self.start.elapsed().as_nanos() as u64).to_be_bytes());
        payload
    }

    /// A payload has come.
    pub fn note(&self, payload: &[u8]) {
        let Some(Ok(made)) = payload.get(..8).map(<[u8; 8]>::try_from) else { return };
        let took = self.start.elapsed().as_nanos() as u64 - u64::from_be_bytes(made);
        self.micros.lock().unwrap_or_else(PoisonError::into_inner).push((took / 1000) as u32);
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.micros.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One measured section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Packets that were made.
    pub made: u64,
    /// How long each that came took, in microseconds, sorted.
    pub micros: Vec<u32>,
    /// Processor time of the whole process.
    pub cpu: Duration,
}

/// A thread that makes packets until it is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    arrivals: Arrivals,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Begins to hand bursts to `send`.
    pub fn start(arrivals: Arrivals, mut send: impl FnMut(Vec<Vec<u8>>) + Send + 'static) -> Self {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut load = Self { stop: stop.clone(), made: made.clone(), arrivals: arrivals.clone(), thread: None };
        load.thread = Some(std::thread::spawn(move || {
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                send((0..BURST).map(|_| arrivals.payload()).collect());
                made.fetch_add(BURST as u64, Ordering::Relaxed);
                next += TICK;
                // After a stall the load goes on from now: nobody makes up for what was not made.
                next = next.max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }));
        load
    }

    fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Stops. Gives how many packets were made from beginning to end.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that has panicked makes no more either.
        let _ = self.thread.take().map(JoinHandle::join);
        self.made()
    }

    /// Measures for that long.
    pub async fn section(&self, length: Duration) -> Result<Section> {
        let pid = std::process::id();
        self.arrivals.take();
        let (made, cpu) = (self.made(), cpu_time(pid)?);
        tokio::time::sleep(length).await;
        let (made_after, cpu_after, mut micros) = (self.made(), cpu_time(pid)?, self.arrivals.take());
        micros.sort_unstable();
        Ok(Section { made: made_after - made, micros, cpu: cpu_after - cpu })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
