//! What is told in the end: the goals with what was reached, all figures, the plot.

mod goals;
mod machine;
mod plot;
mod table;

pub(crate) use self::goals::has_goal;

use std::{fmt::Write, fs};

use anyhow::{Context, Result};

use self::table::Table;
use crate::{cli::Cli, figures::Results, workloads};

const FIGURES: &str = "## All figures

Median, and least–most. What no goal compares runs in every second round, at eiows and socketioxide
in every third. `front` is what holds the sockets (both gateways, both Node processes …), `stack`
all processes with Redis and MariaDB; µs are CPU for each delivery, send or connection.
";

/// All that is known at the end of a bench.
pub(crate) struct Report<'a> {
    pub(crate) results: &'a Results,
    /// What could not be measured, and why.
    pub(crate) notes: &'a [String],
    pub(crate) cli: &'a Cli,
}

impl Report<'_> {
    /// Prints it, and writes it into the directory that was asked for.
    pub(crate) fn publish(&self) -> Result<()> {
        let text = self.text()?;
        println!("{text}");
        if let Some(directory) = &self.cli.out {
            let write = |name: &str, content: String| {
                let path = directory.join(name);
                fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
            };
            write("RESULTS.md", text)?;
            if let Some(plot) = plot::latency(self.results) {
                write("latency.svg", plot)?;
            }
        }
        Ok(())
    }

    fn text(&self) -> Result<String> {
        let mut text = String::from("# Measured\n\n");
        writeln!(text, "{}\n", machine::describe(self.cli)?)?;
        writeln!(text, "## Goals\n\n{}\n", goals::summary(self.results))?;
        writeln!(text, "{}", goals::table(self.results))?;
        writeln!(text, "{}", goals::sentences(self.results))?;
        if plot::latency(self.results).is_some() {
            writeln!(text, "![Latency against load](latency.svg)\n")?;
        }
        text.push_str(FIGURES);
        for workload in self.results.workloads() {
            let about = workloads::all().iter().find(|w| w.name == workload).map(|w| w.about);
            let about = about.unwrap_or("pages of a long history, by REST");
            writeln!(text, "\n### {workload}: {about}\n\n{}", self.figures(workload))?;
        }
        if !self.notes.is_empty() {
            text.push_str("\n## Not measured\n\n");
            for note in self.notes {
                writeln!(text, "- {}", note.replace('\n', " "))?;
            }
        }
        Ok(text)
    }

    /// One workload: targets down, figures across.
    fn figures(&self, workload: &str) -> String {
        let all = self.results.of(workload);
        let mut names: Vec<_> = all.iter().map(|(_, name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let mut kinds: Vec<_> = all.iter().map(|(kind, ..)| *kind).collect();
        kinds.dedup();
        let head = std::iter::once("").chain(names.iter().copied());
        let mut table = Table::new(head.map(str::to_owned).collect());
        for kind in kinds {
            let cell = |name: &&'static str| {
                let spread = self.results.get(workload, kind, name);
                spread.map_or_else(String::new, |spread| table::spread(&spread))
            };
            let cells = std::iter::once(kind.name().to_owned()).chain(names.iter().map(cell));
            table.row(cells.collect());
        }
        table.to_string()
    }
}
