//! What each link of a path does to media, and which of them hurts a call the most.

use std::time::Duration;

use origo_auth::NodeId;

use super::Map;

/// From here on people notice, if nothing is done about it: share of packets lost on the way, though repaired.
const LOSS_HURTS: f32 = 0.01;
/// Share of packets that stayed lost: a frame a second of a camera.
const LOST_HURTS: f32 = 0.001;
/// One call in five was poor at such a jitter, or such a round trip (VIA, SIGCOMM 2016).
const JITTER_HURTS: Duration = Duration::from_millis(12);
const RTT_HURTS: Duration = Duration::from_millis(320);
/// Ours: what a queue adds when a link is full.
const QUEUE_HURTS: Duration = Duration::from_millis(30);

/// One link of a path, in the direction of its media.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hop {
    /// Who sends.
    pub from: NodeId,
    /// Who receives.
    pub to: NodeId,
    /// Round trip.
    pub rtt: Duration,
    /// Half the round trip and what waits on the way.
    pub delay: Duration,
    /// Deviation of the one-way delay.
    pub jitter: Duration,
    /// What waits at the sender and on the path.
    pub queue: Duration,
    /// Share of packets that the path lost, before repair, 0 to 1.
    pub loss: f32,
    /// Share that stayed lost.
    pub lost: f32,
    /// One of its ends has told; else the distance does, and nothing is known of loss.
    pub is_measured: bool,
}

/// What a link does that people notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ache {
    /// Packets stay lost.
    Lost,
    /// Packets are lost and repaired, which takes time.
    Repaired,
    /// The link is full, and packets wait.
    Full,
    /// Packets come unevenly.
    Uneven,
    /// The link is long.
    Long,
}

impl Map {
    /// The link from one living node to another as both its ends have told.
    pub fn hop(&self, from: NodeId, to: NodeId) -> Option<Hop> {
        let way = self.way(from, to)?;
        let (sent, received) = (self.metric(from, to), self.metric(to, from));
        let queue = sent.map_or(Duration::ZERO, |metric| metric.queue);
        Some(Hop {
            from,
            to,
            rtt: way.rtt,
            delay: way.rtt / 2 + queue,
            jitter: received.map_or(Duration::ZERO, |metric| metric.jitter),
            queue,
            loss: received.map_or(0.0, |metric| metric.loss),
            lost: received.map_or(0.0, |metric| metric.lost),
            is_measured: sent.or(received).is_some(),
        })
    }
}

impl Hop {
    /// What hurts most here, with how many times over what people bear it is.
    fn ache(&self) -> (f64, Ache) {
        let share = |is: f32, most: f32| f64::from(is) / f64::from(most);
        let span = |is: Duration, most: Duration| is.as_secs_f64() / most.as_secs_f64();
        let aches = [
            (share(self.lost, LOST_HURTS), Ache::Lost),
            (share(self.loss, LOSS_HURTS), Ache::Repaired),
            (span(self.queue, QUEUE_HURTS), Ache::Full),
            (span(self.jitter, JITTER_HURTS), Ache::Uneven),
            (span(self.rtt, RTT_HURTS), Ache::Long),
        ];
        aches.into_iter().reduce(|worst, ache| if ache.0 > worst.0 { ache } else { worst }).unwrap_or((0.0, Ache::Long))
    }

    /// A sentence for people; `from` and `to` are the regions at its ends.
    fn sentence(&self, ache: Ache, from: &str, to: &str) -> String {
        let percent = |share: f32| percent(f64::from(share));
        let ms = |span: Duration| format!("{:.0} ms", span.as_secs_f64() * 1e3);
        let link = format!("the link {from} - {to}");
        match ache {
            Ache::Lost if self.loss <= self.lost => format!("{link} lost {}, unrepaired", percent(self.lost)),
            Ache::Lost => format!("{link} lost {}, of which {} stayed lost", percent(self.loss), percent(self.lost)),
            Ache::Repaired => format!("{link} lost {}, repaired", percent(self.loss)),
            Ache::Full => format!("{link} is full: packets wait {}", ms(self.queue)),
            Ache::Uneven => format!("{link} is uneven: packets come {} early or late", ms(self.jitter)),
            Ache::Long => format!("{link} is long: {} there and back", ms(self.rtt)),
        }
    }
}

/// Which hop of a path hurts most, with a sentence; none when all is well. `name` gives the name of a node's region.
pub fn hurts(hops: &[Hop], name: impl Fn(NodeId) -> String) -> Option<(usize, String)> {
    let aches = hops.iter().map(Hop::ache).enumerate().filter(|(_, (times, _))| *times >= 1.0);
    let (index, (_, ache)) = aches.reduce(|worst, hop| if hop.1.0 > worst.1.0 { hop } else { worst })?;
    let hop = &hops[index];
    Some((index, hop.sentence(ache, &name(hop.from), &name(hop.to))))
}

/// `2 %`, `0.3 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 1.0 && (percent - percent.round()).abs() < 0.05 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn hop(from: u8, to: u8) -> Hop {
        Hop {
            from: NodeId([from; 16]),
            to: NodeId([to; 16]),
            rtt: 90 * MS,
            delay: 45 * MS,
            jitter: MS,
            queue: Duration::ZERO,
            loss: 0.0,
            lost: 0.0,
            is_measured: true,
        }
    }

    fn name(node: NodeId) -> String {
        ["Frankfurt", "Virginia", "Oregon"][usize::from(node.0[0])].to_owned()
    }

    #[test]
    fn a_path_that_is_well_hurts_nowhere() {
        assert_eq!(hurts(&[], name), None);
        assert_eq!(hurts(&[hop(0, 1), Hop { loss: 0.009, ..hop(1, 2) }], name), None);
    }

    #[test]
    fn the_hop_that_hurts_most_is_named_in_a_sentence() {
        let mild = Hop { loss: 0.012, ..hop(1, 2) };
        for (worst, sentence) in [
            (Hop { loss: 0.02, ..hop(0, 1) }, "the link Frankfurt - Virginia lost 2 %, repaired"),
            (
                Hop { loss: 0.043, lost: 0.006, ..hop(0, 1) },
                "the link Frankfurt - Virginia lost 4.3 %, of which 0.6 % stayed lost",
            ),
            (Hop { lost: 0.006, ..hop(0, 1) }, "the link Frankfurt - Virginia lost 0.6 %, unrepaired"),
            (Hop { queue: 80 * MS, ..hop(0, 1) }, "the link Frankfurt - Virginia is full: packets wait 80 ms"),
            (
                Hop { jitter: 20 * MS, ..hop(0, 1) },
                "the link Frankfurt - Virginia is uneven: packets come 20 ms early or late",
            ),
            (Hop { rtt: 420 * MS, ..hop(0, 1) }, "the link Frankfurt - Virginia is long: 420 ms there and back"),
        ] {
            assert_eq!(hurts(&[worst, mild], name), Some((0, sentence.to_owned())));
            assert_eq!(hurts(&[mild, worst], name), Some((1, sentence.to_owned())));
        }
    }
}
