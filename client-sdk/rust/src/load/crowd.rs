//! A crowd of participants: gathers, comes and goes, and ends with a summary.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::load::cost::Cost;
use crate::load::member::{Shared, Stage, live};
use crate::load::tally::Tally;
use crate::load::{Plan, Progress, Summary};
use crate::{Fleet, Totals};

/// Time for packets on the way to arrive before the last count.
const SETTLE: Duration = Duration::from_millis(300);
/// How often a run tells how it stands.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for everybody to have left.
const LEAVE_WAIT: Duration = Duration::from_secs(10);

/// Why a run failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No thread for the participants.
    #[error("cannot start a media thread: {0}")]
    Thread(#[from] std::io::Error),
    /// Nobody came in.
    #[error("nobody could join: {0}")]
    Nobody(String),
}

/// Where a measurement began.
pub struct Measurement {
    began: Instant,
    cost: Cost,
    received: u64,
}

/// Everybody of a run.
pub struct Crowd {
    shared: Arc<Shared>,
    stage: watch::Sender<Stage>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    begun: Instant,
    told: std::sync::Mutex<(Instant, Totals)>,
}

impl Crowd {
    /// An empty crowd with its threads. To be called in a tokio runtime.
    pub fn open(plan: &Plan) -> Result<Self, LoadError> {
        let (tally, publishing, watching) = (Tally::new(plan.urls.len()), Fleet::start()?, Fleet::start()?);
        let shared = Arc::new(Shared { plan: plan.clone(), tally, publishing, watching });
        let begun = Instant::now();
        Ok(Self {
            shared,
            stage: watch::Sender::new(Stage::Steady),
            tasks: Default::default(),
            begun,
            told: std::sync::Mutex::new((begun, Totals::default())),
        })
    }

    /// Has everybody join, publishers first, at the plan's pace; until the last has come in or was refused.
    pub async fn gather(&self) {
        let pace = Duration::from_secs_f64(1.0 / self.shared.plan.ramp_per_second.max(0.001));
        let mut pace = tokio::time::interval(pace);
        let seats = self.shared.plan.seats();
        let (publishers, subscribers): (Vec<_>, Vec<_>) = seats.into_iter().partition(|seat| seat.publishes);
        for seats in [publishers, subscribers] {
            let mut arrivals = Vec::new();
            for seat in seats {
                pace.tick().await;
                let (arrived, arrival) = oneshot::channel();
                let life = live(self.shared.clone(), seat, self.stage.subscribe(), arrived);
                self.tasks.lock().await.spawn(life);
                arrivals.push(arrival);
            }
            for arrival in arrivals {
                // A task that ended has arrived and gone.
                let _ = arrival.await;
            }
        }
    }

    /// Has participants come and go by the plan's churn, or has those present stay and those away come back.
    pub fn churn(&self, on: bool) {
        self.stage.send_replace(if on { Stage::Churning } else { Stage::Steady });
    }

    /// How it stands now.
    pub async fn progress(&self) -> Progress {
        let current = self.shared.publishing.totals().await + self.shared.watching.totals().await;
        let counts = self.shared.tally.counts().clone();
        let totals = current + counts.gone;
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let seconds = told.0.elapsed().as_secs_f64().max(0.001);
        let since = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as u64;
        let progress = Progress {
            since: self.begun.elapsed(),
            present: counts.present,
            seats: self.shared.plan.rooms * (self.shared.plan.publishers + self.shared.plan.subscribers),
            joins: counts.joins,
            failed: counts.failed,
            dropped: counts.dropped,
            totals,
            received_per_second: since(totals.received, told.1.received),
            bits_per_second: 8 * since(totals.bytes, told.1.bytes),
        };
        *told = (Instant::now(), totals);
        progress
    }

    /// Waits for something and tells each second how it stands.
    pub async fn tell_while(&self, what: impl Future<Output = ()>, mut tell: impl FnMut(Progress)) {
        tokio::pin!(what);
        let mut ticks = tokio::time::interval(TELL_INTERVAL);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = &mut what => return,
                _ = ticks.tick() => tell(self.progress().await),
            }
        }
    }

    /// Begins to measure time and cost.
    pub async fn measure(&self) -> Measurement {
        let received = self.progress().await.totals.received;
        Measurement { began: Instant::now(), cost: Cost::begin(&self.shared.plan.server_pids), received }
    }

    /// Lets what is on the way arrive, has everybody leave, and sums up what was seen since the measurement began.
    pub async fn finish(self, measurement: Measurement) -> Result<Summary, LoadError> {
        let received = self.progress().await.totals.received - measurement.received;
        let (lasted, spent) = (measurement.began.elapsed(), measurement.cost.spent(received));
        self.stage.send_replace(Stage::Resting);
        tokio::time::sleep(SETTLE).await;
        self.stage.send_replace(Stage::Over);
        let mut tasks = self.tasks.into_inner();
        // Whoever does not get away in time is cut off with its task.
        let _ = tokio::time::timeout(LEAVE_WAIT, async { while tasks.join_next().await.is_some() {} }).await;
        let counts = self.shared.tally.counts().clone();
        if counts.joins == 0 {
            let first = counts.sentences.first().cloned();
            return Err(LoadError::Nobody(first.unwrap_or_else(|| "no seat".to_owned())));
        }
        Ok(Summary::new(&self.shared.plan, &counts, lasted, spent))
    }
}
