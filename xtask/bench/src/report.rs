//! The Markdown that comes out: tables whose columns line up in a terminal as well.

use std::fmt;

/// A table under a heading, with a sentence on what was measured.
#[derive(Debug)]
pub(crate) struct Section {
    heading: &'static str,
    about: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Section {
    /// Starts a table without rows.
    pub(crate) const fn new(heading: &'static str, about: String, columns: &'static [&'static str]) -> Self {
        Self {
            heading,
            about,
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row; a cell that is missing at its end is empty.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells
                .chain([self.columns[column].chars().count(), 3])
                .max()
                .unwrap_or(3)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, cell: &dyn Fn(usize) -> String| {
            for (column, width) in widths.iter().enumerate() {
                // Names to the left, figures to the right.
                if column == 0 {
                    write!(f, "| {:<width$} ", cell(column))?;
                } else {
                    write!(f, "| {:>width$} ", cell(column))?;
                }
            }
            writeln!(f, "|")
        };
        writeln!(f, "### {}\n\n{}\n", self.heading, self.about)?;
        line(f, &|column| self.columns[column].to_owned())?;
        line(f, &|column| match column {
            0 => "-".repeat(widths[0]),
            _ => format!("{}:", "-".repeat(widths[column] - 1)),
        })?;
        for row in &self.rows {
            line(f, &|column| row.get(column).cloned().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// A figure with one digit behind the point, or none where three stand before it.
pub(crate) fn figure(value: f64) -> String {
    if value.is_nan() {
        "n/a".to_owned()
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A latency with its unit.
pub(crate) fn milliseconds(value: f64) -> String {
    format!("{} ms", figure(value))
}

/// A size in megabytes, millions of bytes.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{} MB", (bytes + 500_000) / 1_000_000)
}

/// A count with its thousands set apart.
pub(crate) fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_missing_cells_are_empty() {
        let mut section = Section::new("Speed", "Of things.".to_owned(), &["what", "per second"]);
        section.row(["a longer name".to_owned(), figure(12.34)]);
        section.row(["b".to_owned()]);
        let expected = "### Speed\n\nOf things.\n\n\
            | what          | per second |\n\
            | ------------- | ---------: |\n\
            | a longer name |       12.3 |\n\
            | b             |            |\n";
        assert_eq!(section.to_string(), expected);
    }

    #[test]
    fn figures_have_three_digits_that_count() {
        assert_eq!(figure(1234.5), "1234");
        assert_eq!(figure(9.96), "10.0");
        assert_eq!(figure(f64::NAN), "n/a");
        assert_eq!(megabytes(250_600_000), "251 MB");
        assert_eq!(thousands(100_000), "100,000");
        assert_eq!(thousands(12), "12");
    }
}
