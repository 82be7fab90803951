//! The options and the output that all tables of cases have in common.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use crypto::Curve;
use sgp23::{Binding, Case, Ended, Report, Row, Selection, Subject};
use world::Fault;

use crate::{
    exit_status::ExitStatus,
    files,
    output::{Table, print, print_json, remark},
};

/// Selection of cases, and output.
#[derive(Debug, Args)]
pub(super) struct CaseOptions {
    /// Text to match in the identifier, clause, function or title of a case
    #[arg(long = "case", value_name = "TEXT", default_value = "")]
    filter: String,
    /// Fail cases in which the peer deviates from the standard in a way that is otherwise reported
    /// as a finding (docs/findings.md)
    #[arg(long)]
    strict: bool,
    /// Output file for the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the cases without running them
    #[arg(long)]
    pub(super) list: bool,
}

/// Variants in which each case of a server is run.
#[derive(Debug, Args)]
pub(super) struct Variants {
    /// Binding of the HTTP interface
    #[arg(long, value_enum, default_value = "both")]
    binding: Bindings,
    /// Curve of the eUICC certificate
    #[arg(long, value_enum, default_value = "both")]
    curve: Curves,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bindings {
    Json,
    Asn1,
    Both,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Curves {
    Nist,
    Brainpool,
    Both,
}

impl Variants {
    /// Returns the selection of all cases in these variants.
    pub(super) fn selection(&self) -> Selection {
        Selection {
            bindings: match self.binding {
                Bindings::Json => vec![Binding::Json],
                Bindings::Asn1 => vec![Binding::Asn1],
                Bindings::Both => vec![Binding::Json, Binding::Asn1],
            },
            curves: match self.curve {
                Curves::Nist => vec![Curve::P256],
                Curves::Brainpool => vec![Curve::BrainpoolP256r1],
                Curves::Both => vec![Curve::P256, Curve::BrainpoolP256r1],
            },
            ..Selection::default()
        }
    }
}

impl CaseOptions {
    /// Runs the selected cases of a table in the variants of `selection`, and prints each result.
    pub(super) async fn run<S: Subject>(
        &self,
        subject: &S,
        table: &[Case<S>],
        selection: Selection,
        json: bool,
    ) -> Report {
        let selection = Selection { filter: self.filter.clone(), strict: self.strict, ..selection };
        let mut done = 0;
        sgp23::run(subject, table, &selection, |entry, all| {
            done += 1;
            if !json || matches!(entry.ended, Ended::Failed(_)) {
                remark(&format!("{done:>3}/{all}  {}", entry.line()));
            }
        })
        .await
    }

    /// Writes a report. `suite` is the name of the table. The exit status is 6 if a case failed or
    /// if none ran.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn conclude(&self, report: &Report, suite: &str, json: bool) -> Result<ExitCode, Fault> {
        if let Some(file) = &self.junit {
            files::write(file, report.junit(suite))?;
        }
        match json {
            true => print_json(report)?,
            false => print(&format!("{}\n", report.summary()))?,
        }
        Ok(ExitStatus::expected(report.is_good()))
    }

    /// Lists the selected cases of a table. `suite` is the test specification of the identifiers.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn print_list<S: Subject>(
        &self,
        table: &[Case<S>],
        suite: &str,
        json: bool,
    ) -> Result<ExitCode, Fault> {
        let chosen = table.iter().filter(|case| self.filter.is_empty() || case.matches(&self.filter));
        if json {
            let rows: Vec<_> = chosen.map(Row::of).collect();
            return print_json(&rows).map(|()| ExitCode::SUCCESS);
        }
        let mut text = Table::new(&["function", "clause", suite, "case"]);
        for case in chosen {
            text.row([case.function, case.clause, case.id.as_deref().unwrap_or_default(), &case.title]);
        }
        print(&text.render()).map(|()| ExitCode::SUCCESS)
    }
}
