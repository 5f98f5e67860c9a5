//! Stacks that `perf script` prints, as a tree of calls.

use std::collections::BTreeMap;

/// A function, with what it called.
#[derive(Debug, Default)]
pub struct Frame {
    /// Looks that found it, or what it called.
    pub looks: u64,
    /// By name.
    pub calls: BTreeMap<String, Frame>,
}

/// All stacks of a thread.
#[derive(Debug, Default)]
pub struct Stacks {
    /// The thread itself.
    pub root: Frame,
    kinds: BTreeMap<&'static str, u64>,
}

/// Whose code a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// As the legend calls it.
    pub name: &'static str,
    /// Its color.
    pub color: &'static str,
}

const KERNEL: Kind = Kind { name: "kernel", color: "#e5a663" };
const CRYPTO: Kind = Kind { name: "cipher", color: "#c98bc9" };
const STR0M: Kind = Kind { name: "str0m", color: "#7fa8d9" };
const OURS: Kind = Kind { name: "origo", color: "#8fbf7f" };
const OTHER: Kind = Kind { name: "other", color: "#c4c4c4" };

impl Kind {
    /// By the name of a function, and whether it is the kernel's.
    pub fn of(name: &str) -> Self {
        let any = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if name.ends_with(KERNEL_MARK) {
            KERNEL
        } else if any(&["aws_lc", "aes_gcm", "gcm_", "aesni", "EVP_", "aead"]) {
            CRYPTO
        } else if any(&["str0m", "dimpl", "sctp_proto"]) {
            STR0M
        } else if name.contains("origo") {
            OURS
        } else {
            OTHER
        }
    }
}

/// Ends the names of the kernel's functions.
const KERNEL_MARK: &str = "_[k]";
/// Addresses from here on are the kernel's.
const KERNEL_FROM: u64 = 1 << 63;

impl Stacks {
    /// Reads what `perf script --fields comm,ip,sym` prints, of one thread. What called `outermost`, where that is found,
    /// is left out: the system's beginnings of threads, which `perf` does not always find.
    pub fn read(text: &str, thread: &str, outermost: &str) -> Self {
        let mut stacks = Self::default();
        for look in text.split("\n\n") {
            let mut lines = look.lines().filter(|line| !line.trim().is_empty());
            if lines.next().is_none_or(|name| name.trim() != thread) {
                continue;
            }
            let names: Vec<String> = lines.filter_map(name).collect();
            let last = names.iter().rposition(|name| name.ends_with(outermost));
            stacks.add(&names[..last.map_or(names.len(), |last| last + 1)]);
        }
        stacks
    }

    /// A stack, innermost first.
    fn add(&mut self, names: &[String]) {
        let Some(innermost) = names.first() else { return };
        *self.kinds.entry(Kind::of(innermost).name).or_default() += 1;
        self.root.looks += 1;
        let mut frame = &mut self.root;
        for name in names.iter().rev() {
            frame = frame.calls.entry(name.clone()).or_default();
            frame.looks += 1;
        }
    }

    /// How many looks there were.
    pub fn looks(&self) -> u64 {
        self.root.looks
    }

    /// In whose code the thread was, as shares, largest first.
    pub fn by_kind(&self) -> Vec<(&'static str, f64)> {
        let share = |(&name, &looks): (&&'static str, &u64)| (name, looks as f64 / self.looks().max(1) as f64);
        let mut shares: Vec<_> = self.kinds.iter().map(share).collect();
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        shares
    }
}

/// The function of a line: an address and a name.
fn name(line: &str) -> Option<String> {
    let (address, name) = line.trim().split_once(' ')?;
    let is_kernel = u64::from_str_radix(address, 16).is_ok_and(|address| address >= KERNEL_FROM);
    let name = name.trim();
    // Rust's names end with a hash.
    let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name);
    Some(format!("{name}{}", if is_kernel { KERNEL_MARK } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "media-0\n\tffffffff81000000 udp_sendmsg\n\t    55d0 origo::run::h0123456789abcdef\n\t 55aa main\n\n\
                        media-0\n\t    55d0 origo::run::h0123456789abcdef\n\t 55aa main\n\nother\n\t 55d0 main\n\n";

    #[test]
    fn stacks_of_one_thread_become_a_tree() {
        let stacks = Stacks::read(TEXT, "media-0", "run");
        assert_eq!(stacks.looks(), 2);
        let run = &stacks.root.calls["origo::run"];
        assert_eq!((run.looks, run.calls["udp_sendmsg_[k]"].looks), (2, 1));
        assert_eq!(stacks.by_kind(), [("kernel", 0.5), ("origo", 0.5)]);
        assert_eq!(Kind::of("aes_gcm_enc_update_vaes_avx512"), CRYPTO);
    }
}
