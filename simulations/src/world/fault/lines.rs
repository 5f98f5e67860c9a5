//! Lines that faults cut or change, and how they come back.

use std::collections::BTreeMap;

use super::super::World;
use super::Happening;
use crate::scenario::{Line, Patch, Trouble, Which};

/// Lines that are not as they were.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Paths that partitions cut, by fault.
    partitions: BTreeMap<u32, Vec<usize>>,
    /// Paths that flap, by fault, and whether they carry nothing.
    flaps: BTreeMap<u32, (Vec<usize>, bool)>,
    /// Changes in force, by fault.
    patches: BTreeMap<u32, (Vec<usize>, Patch)>,
    /// What changed lines were like before.
    plain: BTreeMap<usize, Line>,
}

impl World<'_> {
    fn places_of(&self, which: &Which) -> Vec<usize> {
        let count = self.nodes.len();
        self.scenario.topology.which(which).into_iter().map(|(from, to)| from * count + to).collect()
    }

    fn cut(&mut self, places: &[usize], is_cut: bool) {
        for place in places {
            self.paths[*place].cut(is_cut);
        }
    }

    pub(super) fn partition(&mut self, fault: u32, groups: &[Vec<usize>]) {
        let count = self.nodes.len();
        let group_of = |node: usize| groups.iter().position(|group| group.contains(&node)).unwrap_or(0);
        let places = 0..count * count;
        let places: Vec<usize> = places.filter(|place| group_of(place / count) != group_of(place % count)).collect();
        self.cut(&places, true);
        self.faults.lines.partitions.insert(fault, places);
    }

    pub(super) fn degrade(&mut self, fault: u32, which: &Which, patch: &Patch) {
        let places = self.places_of(which);
        for place in &places {
            let line = self.paths[*place].line().clone();
            self.faults.lines.plain.entry(*place).or_insert(line);
            self.paths[*place].change(|line| patch.apply(line));
        }
        self.faults.lines.patches.insert(fault, (places, patch.clone()));
        self.find_ways();
    }

    pub(super) fn begin_flap(&mut self, fault: u32, which: &Which) {
        let places = self.places_of(which);
        self.faults.lines.flaps.insert(fault, (places, false));
        self.flap(fault);
    }

    /// Lines that carry something carry nothing for a while, or the other way round.
    pub(super) fn flap(&mut self, fault: u32) {
        let Trouble::Flap { down, up, .. } = &self.scenario.faults[fault as usize].what else { return };
        let Some((places, is_cut)) = self.faults.lines.flaps.get_mut(&fault) else { return };
        *is_cut = !*is_cut;
        let (places, is_cut) = (places.clone(), *is_cut);
        self.cut(&places, is_cut);
        let lasts = if is_cut { *down } else { *up };
        self.befalls(self.now + lasts.as_nanos() as u64, Happening::Flap(fault));
    }

    /// What a fault did to lines is over.
    pub(super) fn mend_lines(&mut self, fault: u32) {
        if let Some(places) = self.faults.lines.partitions.remove(&fault) {
            self.cut(&places, false);
        }
        if let Some((places, true)) = self.faults.lines.flaps.remove(&fault) {
            self.cut(&places, false);
        }
        let Some((places, _)) = self.faults.lines.patches.remove(&fault) else { return };
        for place in places {
            let Some(plain) = self.faults.lines.plain.get(&place).cloned() else { continue };
            let others: Vec<Patch> = self
                .faults
                .lines
                .patches
                .values()
                .filter(|(places, _)| places.contains(&place))
                .map(|(_, patch)| patch.clone())
                .collect();
            if others.is_empty() {
                self.faults.lines.plain.remove(&place);
            }
            self.paths[place].change(|line| {
                line.clone_from(&plain);
                others.iter().for_each(|patch| patch.apply(line));
            });
        }
        self.find_ways();
    }

    /// Every line is as it was at the start.
    pub(super) fn heal(&mut self) {
        let lines = &self.faults.lines;
        let faults = lines.partitions.keys().chain(lines.flaps.keys()).chain(lines.patches.keys());
        for fault in faults.copied().collect::<Vec<_>>() {
            self.mend_lines(fault);
            self.faults.lasting.remove(&fault);
        }
        let count = self.nodes.len();
        for (place, path) in self.paths.iter_mut().enumerate() {
            let line = self.scenario.topology.lines.get(&(place / count, place % count)).cloned().unwrap_or_default();
            path.change(|now| now.clone_from(&line));
        }
        self.find_ways();
    }
}
