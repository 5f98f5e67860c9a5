//! One seat of a crowd: whoever sits there joins, publishes, stays, leaves, and perhaps comes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::janus::JanusSeat;
use crate::load::plan::{Plan, Seat, Server};
use crate::load::tally::Tally;
use crate::participant::Participant;
use crate::{ConnectError, Event, Fleet};

/// Longest wait for a publisher's tracks to flow.
const PUBLISH_WAIT: Duration = Duration::from_secs(10);
/// Before a refused participant tries again, in a run where they come and go.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// What the whole crowd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Everybody joins and stays.
    Steady,
    /// Participants come and go.
    Churning,
    /// No more packets are made: those on the way shall arrive.
    Resting,
    /// Everybody leaves.
    Over,
}

/// What a seat shares with the others.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) tally: Tally,
    /// Publishers have a thread of their own, so that frames leave in time.
    pub(super) publishing: Fleet,
    pub(super) watching: Fleet,
}

/// Why a stay ended.
enum End {
    Over,
    Away,
    Dropped(String),
}

/// The life of one seat. `arrived` is told once, when the first join has worked or failed.
pub(super) async fn live(
    shared: Arc<Shared>,
    seat: Seat,
    mut stage: watch::Receiver<Stage>,
    arrived: tokio::sync::oneshot::Sender<()>,
) {
    let mut times = shared.plan.churn.map(|churn| churn.times(seat.index));
    let (mut arrived, mut first_time) = (Some(arrived), true);
    loop {
        let joined = join(&shared, &seat).await;
        // Whoever gathers the crowd may have given up.
        let _ = arrived.take().map(|arrived| arrived.send(()));
        let pause = match joined {
            Err(error) => {
                shared.tally.refused(&name(&shared, &seat), &error);
                times.as_ref().map(|_| RETRY_WAIT)
            }
            Ok(mut participant) => {
                shared.tally.joined(seat.publishes, std::mem::take(&mut first_time), participant.join_time());
                let stay = times.as_mut().map(|times| times.stay());
                let end = attend(&mut participant, &mut stage, stay).await;
                depart(&shared, &seat, participant, &end).await;
                match end {
                    End::Away => times.as_mut().map(|times| times.away()),
                    End::Dropped(_) => times.as_ref().map(|_| RETRY_WAIT),
                    End::Over => None,
                }
            }
        };
        let Some(pause) = pause else { return };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stage.wait_for(|stage| *stage >= Stage::Resting) => return,
        }
    }
}

fn name(shared: &Shared, seat: &Seat) -> String {
    format!("{} in {}", seat.identity, shared.plan.room_name(seat.room))
}

async fn join(shared: &Shared, seat: &Seat) -> Result<Participant, ConnectError> {
    let plan = &shared.plan;
    let fleet = if seat.publishes { &shared.publishing } else { &shared.watching };
    let (url, options) = (&plan.urls[seat.url], plan.options_of(seat));
    let mut participant = match plan.server {
        Server::LiveKit => fleet.connect(url, &plan.token(seat), options).await?,
        Server::Janus => fleet.connect_janus(url, janus_seat(plan, seat), options).await?,
    };
    if !seat.publishes {
        return Ok(participant);
    }
    if plan.server == Server::LiveKit {
        plan.video.iter().for_each(|video| participant.publish_video("camera", video.clone()));
        plan.audio_of(seat).into_iter().for_each(|audio| participant.publish_audio("microphone", audio));
    }
    for _ in 0..usize::from(plan.video.is_some()) + usize::from(plan.audio.is_some()) {
        let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
        let flowing = participant.wait_for(PUBLISH_WAIT, flows).await;
        flowing.ok_or_else(|| ConnectError::Ended("its tracks were not negotiated in time".to_owned()))?;
    }
    Ok(participant)
}

fn janus_seat(plan: &Plan, seat: &Seat) -> JanusSeat {
    JanusSeat {
        room: janus_room(&plan.room_name(seat.room)),
        display: seat.identity.clone(),
        video: plan.video.clone().filter(|_| seat.publishes),
        audio: plan.audio.clone().filter(|_| seat.publishes),
        feeds: if seat.publishes { 0 } else { plan.publishers },
    }
}

/// Janus numbers its rooms: FNV-1a of the name, within what JSON keeps exact.
fn janus_room(name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 12).max(1)
}

/// Sits in the room until the stage, the time to go or the server ends it.
async fn attend(participant: &mut Participant, stage: &mut watch::Receiver<Stage>, stay: Option<Duration>) -> End {
    let mut leaves_at = None;
    loop {
        let now = *stage.borrow_and_update();
        match now {
            Stage::Over => return End::Over,
            Stage::Resting => participant.pause(),
            Stage::Steady => leaves_at = None,
            Stage::Churning => leaves_at = leaves_at.or(stay.map(|stay| Instant::now() + stay)),
        }
        let leaving = leaves_at.filter(|_| now == Stage::Churning);
        loop {
            tokio::select! {
                changed = stage.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return End::Over,
                },
                () = sleep_until(leaving.unwrap_or_else(Instant::now)), if leaving.is_some() => return End::Away,
                event = participant.next_event() => match event {
                    Some(Event::Closed { reason }) => return End::Dropped(reason),
                    Some(_) => {}
                    None => return End::Dropped("the session is over".to_owned()),
                },
            }
        }
    }
}

async fn depart(shared: &Shared, seat: &Seat, participant: Participant, end: &End) {
    let report = participant.report().await;
    if let End::Dropped(reason) = end {
        shared.tally.dropped(&name(shared, seat), reason);
    } else {
        participant.leave().await;
    }
    shared.tally.left(seat.url, &report);
}
