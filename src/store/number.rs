//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first.
//!
//! It must not know what is counted.

/// Appends `number` to `out`.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Takes a number off the beginning of `rest`; `None` when there is none.
pub(crate) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes a number off that counts bytes in memory.
pub(crate) fn take_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(take(rest)?).ok()
}

/// Numbers of either sign near zero as numbers near zero.
pub(crate) const fn folded(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// Takes back what [`folded`] gave.
pub(crate) const fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
