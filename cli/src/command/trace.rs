//! `landfall trace`: shows or converts a recorded trace.

use std::{io::Write, path::PathBuf};

use clap::Args;
use trace::{Form, JsonLine, LineError, ReadError, Recorder, read};
use world::Fault;

use crate::{
    json_schema::{CommandOutput, lines},
    output::print_document,
    trace::{create, form_of, unwritten},
};

/// Show or convert a card trace of this or another program
///
/// The content decides the format: JSON lines or pcapng of --trace, the stdio log of lpac, a log of
/// AT commands (+CSIM, +CGLA), one APDU per line with > or < before it, or lines of hex digits,
/// COMMAND > RESPONSE.
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

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[lines::<JsonLine>("trace")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The trace has none of the formats, or a file cannot be read or written.
    pub fn run(self, json: bool) -> Result<(), Fault> {
        let octets = crate::files::read(&self.file)?;
        let shown = if json { Form::JsonLines } else { Form::Text };
        let form = self.to.as_deref().map_or(Ok(shown), form_of)?;
        let mut recorder = Recorder::new(form, self.secrets);
        let exchanges = read(&octets, self.secrets).map_err(|error| self.unread(&error))?;
        let trace: Vec<u8> = exchanges.iter().flat_map(|exchange| recorder.record(exchange)).collect();
        match &self.to {
            Some(path) => create(path, self.secrets)
                .and_then(|mut file| file.write_all(&trace))
                .map_err(|why| unwritten(why, path)),
            None => print_document(&String::from_utf8_lossy(&trace)),
        }
    }

    fn unread(&self, error: &ReadError) -> Fault {
        let unit = if error.is_line { "line" } else { "block" };
        let place = format!("{unit} {} of {}", error.number, self.file.display());
        match &error.why {
            LineError::Malformed(why) => Fault::usage(
                format!("{place} is not a trace record"),
                why,
                "give a .jsonl or .pcapng file of --trace, a log of lpac or of AT commands, or lines such as \
                 00A40004023F00 > 9000",
            ),
            LineError::Hidden => Fault::usage(
                format!("{place} hides codes or keys"),
                "the trace was recorded without --trace-secrets and does not contain them",
                "omit --secrets, or record the trace again",
            ),
        }
    }
}
