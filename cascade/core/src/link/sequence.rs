//! Sequence numbers: 16 bits on the wire, 64 in memory.

/// The number nearest to `reference` whose low bits are `low`. `None` when that would be below 0.
pub(crate) fn extend(reference: u64, low: u16) -> Option<u64> {
    let step = low.wrapping_sub(reference as u16) as i16;
    reference.checked_add_signed(step.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_extended_to_the_nearest() {
        assert_eq!(extend(0, 5), Some(5));
        assert_eq!(extend(65_530, 3), Some(65_539));
        assert_eq!(extend(65_539, 65_530), Some(65_530));
        assert_eq!(extend(3, 65_530), None);
    }
}
