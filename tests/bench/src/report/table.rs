//! Markdown tables that can be read in a terminal too.

use std::fmt;

use crate::figures::Spread;

/// Rows of cells under a head.
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    pub(super) fn new(head: Vec<String>) -> Self {
        Self(vec![head])
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (number, row) in self.0.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{}", "-".repeat(width + 2)))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A number with three digits that mean something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".to_owned(),
        size if size >= 1_000.0 => thousands(value),
        size if size >= 100.0 || value == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.095 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The median, and how far the runs lie apart.
pub(super) fn spread(spread: &Spread) -> String {
    let median = number(spread.median);
    let (least, most) = (number(spread.least), number(spread.most));
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_mean_something() {
        let shown = [0.0, 0.0123, 1.234, 12.34, 123.4, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.012", "1.23", "12.3", "123", "1,234,567"]);
    }
}
