//! Statements over many values, in few shapes, so that each connection keeps them all prepared.
//!
//! A statement that is not kept is closed after use, by a packet that nobody answers; over TCP
//! the next statement then waits some 40 ms for the server's delayed acknowledgement.

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
    fn padding_repeats_the_last_value() {
        assert_eq!(padded(vec![1, 2, 3]), [1, 2, 3, 3]);
        assert_eq!(padded(vec![1]), [1]);
        assert!(padded(Vec::<u8>::new()).is_empty());
    }
}
