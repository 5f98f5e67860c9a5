//! Randomness: a stream per entity, so that one more entity changes nothing for the others.

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// The dice of one entity, by its name.
pub fn dice(seed: u64, entity: &str) -> SmallRng {
    SmallRng::seed_from_u64(mix(hash(entity.as_bytes()) ^ mix(seed)))
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The finaliser of splitmix64: every bit of the input changes every bit of the output.
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
