//! Tables for people: columns as wide as their widest cell, numbers to the right.

use std::io;

use crate::say;

/// Rows of cells under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row. Each cell is on one line, and an empty one is shown as `-`.
    pub(crate) fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        let one_line = |cell: String| match cell {
            cell if cell.is_empty() => "-".to_owned(),
            cell if cell.contains(char::is_control) => cell.escape_debug().to_string(),
            cell => cell,
        };
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let is_number = |cell: &String| cell == "-" || cell.parse::<i64>().is_ok();
        let is_of_numbers = |column: usize| self.rows[1..].iter().all(|row| is_number(&row[column]));
        let layout: Vec<(usize, bool)> = (0..columns).map(|column| (width(column), is_of_numbers(column))).collect();
        for row in &self.rows {
            let cell = |(cell, (width, to_right)): (&String, &(usize, bool))| {
                if *to_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            };
            let cells: Vec<String> = row.iter().zip(&layout).map(cell).collect();
            say(cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
