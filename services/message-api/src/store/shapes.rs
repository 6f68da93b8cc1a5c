//! Statements over many values, in few shapes, so that each connection keeps them all prepared.
//!
//! A statement that is not kept is closed after use, by a packet that nobody answers; over TCP
//! the next statement then waits some 40 ms for the server's delayed acknowledgement.

/// Parts whose lengths are powers of two: at most one of each.
pub(super) fn few<T>(mut values: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = 1 << values.len().checked_ilog2()?;
        let (part, rest) = values.split_at(length);
        values = rest;
        Some(part)
    })
}

/// The values, the last one repeated until their number is a power of two. For sets, where a
/// repetition changes nothing.
pub(super) fn padded<T: Clone>(mut values: Vec<T>) -> Vec<T> {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_powers_of_two_and_together_the_whole() {
        for length in [0, 1, 2, 7, 64, 255, 256] {
            let values: Vec<_> = (0..length).collect();
            let parts: Vec<_> = few(&values).collect();
            assert!(parts.iter().all(|part| part.len().is_power_of_two()), "{length}");
            assert_eq!(parts.concat(), values);
        }
    }

    #[test]
    fn padding_repeats_the_last_value() {
        assert_eq!(padded(vec![1, 2, 3]), [1, 2, 3, 3]);
        assert_eq!(padded(vec![1]), [1]);
        assert!(padded(Vec::<u8>::new()).is_empty());
    }
}
