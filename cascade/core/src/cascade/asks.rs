//! Questions that nodes ask each other for their front-ends: carried and bounded here, read elsewhere.

use origo_auth::NodeId;

use super::machine::Cascade;
use super::{Event, kept, seats};
use crate::wire::Malformed;
use crate::wire::message::{Answer, Ask};
use crate::wire::record::name;

/// Largest request or response; a control frame has 1 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 768 << 10;
/// Longest sentence of an answer, bytes.
const SENTENCE_BYTES_MAX: usize = 1024;
/// Twirp's word for a node that cannot be reached.
const UNAVAILABLE: &str = "unavailable";

impl Cascade {
    /// A node that cannot be reached is answered for at once.
    pub(super) fn ask(&mut self, to: NodeId, ask: Ask) {
        let failure = if !self.linked.contains(&to) {
            Some((UNAVAILABLE, "the node cannot be reached"))
        } else if ask.payload.len() > PAYLOAD_BYTES_MAX {
            Some(("resource_exhausted", "the request is too long"))
        } else {
            None
        };
        match failure {
            None => self.send(to, &ask),
            Some((code, sentence)) => {
                let answer = Answer { id: ask.id, code: code.into(), sentence: sentence.into(), ..Answer::default() };
                self.tell(Event::Answered { from: to, answer });
            }
        }
    }

    /// An answer that is too long becomes one that says so.
    pub(super) fn answer(&mut self, to: NodeId, mut answer: Answer) {
        if answer.payload.len() > PAYLOAD_BYTES_MAX {
            let (code, sentence) = ("resource_exhausted".into(), "the answer is too long".into());
            answer = Answer { id: answer.id, code, sentence, ..Answer::default() };
        }
        self.send(to, &answer);
    }

    pub(super) fn handle_ask(&mut self, from: NodeId, ask: Ask) -> Result<(), Malformed> {
        name(ask.project.clone(), "project")?;
        name(ask.method.clone(), "method")?;
        if ask.method == seats::METHOD {
            return self.handle_seat(from, &ask);
        }
        if ask.method == kept::METHOD {
            return self.handle_kept_of(from, &ask);
        }
        self.tell(Event::Asked { from, ask });
        Ok(())
    }

    pub(super) fn handle_answer(&mut self, from: NodeId, answer: Answer) -> Result<(), Malformed> {
        if answer.code.len() > SENTENCE_BYTES_MAX || answer.sentence.len() > SENTENCE_BYTES_MAX {
            return Err(Malformed("answer"));
        }
        if self.handle_seated(from, &answer) || self.handle_kept(from, &answer)? {
            return Ok(());
        }
        self.tell(Event::Answered { from, answer });
        Ok(())
    }
}
