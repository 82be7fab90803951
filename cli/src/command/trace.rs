//! `landfall trace`: shows or converts a recorded trace.

use std::{io::Write, path::PathBuf};

use clap::Args;
use trace::{Form, LineError, Recorder, read_line};
use world::Fault;

use crate::{
    output::print,
    trace::{create, form_of, unwritten},
};

/// Show or convert a card trace: JSON lines of --trace, or lines of hex digits, COMMAND > RESPONSE
#[derive(Debug, Args)]
pub struct Command {
    /// Trace file
    file: PathBuf,
    /// Output file; its extension (.txt, .jsonl, .pcapng) selects the format [default: print
    /// the trace]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Include PINs and keys
    #[arg(long)]
    secrets: bool,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A line has neither format, or a file cannot be read or written.
    pub fn run(self, json: bool) -> Result<(), Fault> {
        let octets = crate::files::read(&self.file)?;
        let shown = if json { Form::JsonLines } else { Form::Text };
        let form = self.to.as_deref().map_or(Ok(shown), form_of)?;
        let mut recorder = Recorder::new(form, self.secrets);
        let mut trace = Vec::new();
        for (number, line) in String::from_utf8_lossy(&octets).lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let exchange = read_line(line, self.secrets).map_err(|error| {
                let line = format!("line {} of {}", number.saturating_add(1), self.file.display());
                match error {
                    LineError::Malformed(why) => Fault::usage(
                        format!("{line} is not a trace record"),
                        why,
                        "give a .jsonl file of --trace, or lines such as 00A40004023F00 > 9000",
                    ),
                    LineError::Hidden => Fault::usage(
                        format!("{line} hides codes or keys"),
                        "the trace was recorded without --trace-secrets and does not contain them",
                        "omit --secrets, or record the trace again",
                    ),
                }
            })?;
            trace.extend(recorder.record(&exchange));
        }
        match &self.to {
            Some(path) => create(path, self.secrets)
                .and_then(|mut file| file.write_all(&trace))
                .map_err(|why| unwritten(why, path)),
            None => print(&String::from_utf8_lossy(&trace)),
        }
    }
}
