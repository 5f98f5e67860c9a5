//! How bursts leave: in few sends, in chunks where they are long, and sound before all.

use std::time::{Duration, Instant};

use str0m::media::Mid;

use super::world::World;

/// The most packets of a chunk.
const CHUNK: usize = 18;

/// A publisher with camera and microphone, and a viewer, past all negotiation.
struct Call {
    world: World,
    publisher: usize,
    viewer: usize,
    video: Mid,
    audio: Mid,
    sequence: u64,
    picture: u32,
    /// The next picture is a keyframe.
    key: bool,
}

impl Call {
    fn new() -> Self {
        let mut world = World::new();
        let (publisher, viewer) = (world.join(true), world.join(true));
        world.run_ms(500);
        let video = world.publish(publisher, 'v', "video/VP8", &[]);
        world.run_ms(100);
        let audio = world.publish(publisher, 'a', "audio/opus", &[]);
        world.subscribe(viewer, 'v', "video/VP8", 1);
        world.subscribe(viewer, 'a', "audio/opus", 1);
        world.run_ms(500);
        let mut call = Self { world, publisher, viewer, video, audio, sequence: 0, picture: 0, key: true };
        // Until the client has told that it knows the streams, and nothing is left of it.
        for _ in 0..60 {
            call.picture(&[600]);
            call.world.run_ms(33);
        }
        call.world.slowly();
        call.world.sends_made.clear();
        call
    }

    /// Sends a picture with payloads of these lengths.
    fn picture(&mut self, lengths: &[usize]) {
        let key = std::mem::take(&mut self.key);
        for &length in lengths {
            let mut payload = vec![0x90, 0x80, 0x80, self.picture as u8, u8::from(!key), 1, 2, 3];
            payload.resize(length, self.picture as u8);
            self.world.send(self.publisher, self.video, None, self.sequence, self.picture * 3_000, &payload);
            self.sequence += 1;
        }
        self.picture += 1;
    }

    /// Each send to the viewer since the last call: when, and how many datagrams.
    fn sends(&mut self) -> Vec<(Instant, usize)> {
        let address = self.world.receiver(self.viewer).address;
        let made = std::mem::take(&mut self.world.sends_made);
        made.into_iter().filter(|(_, to, _)| *to == address).map(|(at, _, datagrams)| (at, datagrams)).collect()
    }

    /// Lengths of the payloads that came of the last picture.
    fn came(&self) -> Vec<usize> {
        let all = self.world.received(self.viewer, 'v');
        let time = all.last().unwrap().header.timestamp;
        all.iter().filter(|packet| packet.header.timestamp == time).map(|packet| packet.payload.len()).collect()
    }
}

#[test]
fn a_picture_of_two_lengths_leaves_in_one_send_and_comes_as_it_was() {
    let mut call = Call::new();
    for lengths in [[700, 700, 700, 701, 701, 701], [716, 700, 710, 715, 701, 300], [900, 900, 900, 900, 901, 2]] {
        call.picture(&lengths);
        call.world.run_ms(5);
        let sends = call.sends();
        assert_eq!(sends.iter().filter(|(_, datagrams)| *datagrams == 6).count(), 1, "{lengths:?}: {sends:?}");
        assert_eq!(call.came(), lengths);
    }
    // What differs more is not made alike.
    call.picture(&[600, 620, 640]);
    call.world.run_ms(5);
    assert!(call.sends().iter().all(|(_, datagrams)| *datagrams == 1));
    assert_eq!(call.came(), [600, 620, 640]);
}

#[test]
fn a_keyframe_of_a_hundred_packets_leaves_in_chunks_and_sound_beside_it_at_once() {
    let mut call = Call::new();
    let begun = call.world.now;
    call.picture(&[1_150; 100]);
    call.world.send(call.publisher, call.audio, None, 1, 960, &[9; 80]);
    call.world.run_ms(30);
    assert_eq!(call.came(), [1_150; 100]);
    let chunks: Vec<(Instant, usize)> = call.sends().into_iter().filter(|(_, datagrams)| *datagrams > 1).collect();
    let (first, last) = (chunks[0].0, chunks.last().unwrap().0);
    assert_eq!(chunks.iter().map(|(_, datagrams)| datagrams).sum::<usize>(), 100);
    assert!(chunks.iter().all(|(_, datagrams)| (4..=CHUNK).contains(datagrams)), "{chunks:?}");
    assert!((7..=10).contains(&chunks.len()), "{chunks:?}");
    assert!(last - first <= Duration::from_millis(10), "{chunks:?}");
    assert!(first - begun <= Duration::from_millis(1), "what comes first does not wait");
    let sound = call.world.received(call.viewer, 'a');
    assert_eq!(sound.last().unwrap().timestamp, first, "sound does not wait");
}

#[test]
fn a_burst_whose_stream_ends_leaves_no_more_and_its_viewer_goes_on() {
    let mut call = Call::new();
    call.picture(&[1_150; 100]);
    call.world.run_ms(2);
    call.world.unsubscribe(call.viewer, 'v');
    call.world.run_ms(500);
    call.world.subscribe(call.viewer, 'v', "video/VP8", 1);
    call.world.run_ms(500);
    call.key = true;
    call.picture(&[600]);
    call.world.run_ms(50);
    assert_eq!(call.came(), [600]);
    assert_eq!(call.world.worker.stats().dropped_count("egress", "number used"), 0);
}
