//! What nodes say to each other of people and of places in trees, in words, for whoever follows a run.

use origo_auth::NodeId;
use origo_cascade_core::wire::message::{Attach, Attached, Body, Exit, Kind, Leave, Path, Record, Rival, Snapshot};

use super::event::Parcel;
use super::{Detail, World};

impl World<'_> {
    /// A control message has come to a node.
    pub(super) fn tell_said(&mut self, parcel: &Parcel) {
        if self.following.detail >= Detail::Decisions
            && let Some(what) = self.said(parcel)
        {
            let what = format!("{} hears from {}: {what}", self.name(parcel.to), self.name(parcel.from));
            self.tell(Detail::Decisions, || what);
        }
    }

    fn said(&self, parcel: &Parcel) -> Option<String> {
        let (body, name) = (&parcel.message[..], |id: &[u8]| self.name_of(id));
        let way = |path: &[bytes::Bytes]| path.iter().map(|id| name(id)).collect::<Vec<_>>().join(" > ");
        Some(match Kind::of(parcel.kind)? {
            Kind::Attach => {
                let Attach { room, epoch, parent, backup, path, .. } = Attach::from_body(body).ok()?;
                let (parent, backup) = (name(&parent), name(&backup));
                format!("hang below {parent} in {}, else {backup}; epoch {epoch}; {}", room?.name, way(&path))
            }
            Kind::Attached => {
                let Attached { room, epoch, parent, rate_bps, why, .. } = Attached::from_body(body).ok()?;
                format!("I hang below {} in {}; epoch {epoch}; {rate_bps} b/s; {why}", name(&parent), room?.name)
            }
            Kind::Path => {
                let Path { room, path, .. } = Path::from_body(body).ok()?;
                format!("it comes to me in {} over {}", room?.name, way(&path))
            }
            Kind::Record => {
                let Record { room, identity, sid, incarnation, owner_epoch, age_ms, .. } =
                    Record::from_body(body).ok()?;
                let life = format!("life {incarnation}.{owner_epoch}, {age_ms} ms old");
                format!("{identity} ({sid}) is here in {}; {life}", room?.name)
            }
            Kind::Leave => {
                let Leave { room, identity, sid, .. } = Leave::from_body(body).ok()?;
                format!("{identity} ({sid}) has left {}", room?.name)
            }
            Kind::Snapshot => {
                let Snapshot { room, sids, .. } = Snapshot::from_body(body).ok()?;
                format!("these are all in {}: {}", room?.name, sids.join(", "))
            }
            Kind::Rival => {
                let Rival { room, identity, sid, incarnation, age_ms } = Rival::from_body(body).ok()?;
                format!("{identity} has another session in {} than {sid}: {incarnation}, {age_ms} ms old", room?.name)
            }
            Kind::Exit => format!("{} is not here any more", Exit::from_body(body).ok()?.room?.name),
            _ => return None,
        })
    }

    fn name_of(&self, id: &[u8]) -> &str {
        let place = <[u8; 16]>::try_from(id).ok().and_then(|id| self.places.get(&NodeId(id)));
        place.map_or("nobody", |place| self.name(place))
    }
}
