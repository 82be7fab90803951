//! `--trace`: records all exchanges with a card, decoded, in a file.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use trace::{Exchange, Form, Recorder, TracingCard};
use world::{BoxCardInterface, CardInterface, Clock, Fault};

use crate::output::remark;

/// Options of a trace.
#[derive(Clone, Debug, Args)]
pub struct TraceOptions {
    /// Trace of the exchanges with the card: .txt, .jsonl or .pcapng
    #[arg(long, global = true, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Include PINs and keys in the trace
    #[arg(long, global = true)]
    trace_secrets: bool,
}

impl TraceOptions {
    /// Starts the trace, if there is a trace file. An existing file is overwritten.
    ///
    /// # Errors
    /// The file cannot be written, or `--trace-secrets` was given without `--trace`.
    pub fn begin(&self) -> Result<Trace, Fault> {
        let Some(path) = self.trace.clone() else {
            // Checked here and not by the parser, which does not see an option on the
            // other side of a subcommand.
            return if self.trace_secrets { Err(no_trace()) } else { Ok(Trace(None)) };
        };
        let recorder = Recorder::new(form_of(&path)?, self.trace_secrets);
        let file = create(&path, self.trace_secrets).map_err(|why| unwritten(why, &path))?;
        Ok(Trace(Some(Arc::new(Mutex::new(OpenTrace { path, file: Some(file), recorder })))))
    }
}

/// A trace, or none. Clones write to the same file, so that several cards can share it.
#[derive(Clone, Debug)]
pub struct Trace(Option<Arc<Mutex<OpenTrace>>>);

#[derive(Debug)]
struct OpenTrace {
    path: PathBuf,
    /// `None` after a failed write: the trace ends there instead of having gaps, and a full
    /// disk does not affect the card.
    file: Option<File>,
    recorder: Recorder,
}

impl Trace {
    /// Wraps the connection to `card` so that its exchanges are traced.
    pub fn over(
        &self,
        card_interface: impl CardInterface + 'static,
        card: impl Into<String>,
        clock: &Arc<dyn Clock>,
    ) -> BoxCardInterface {
        let Some(open) = self.0.clone() else { return BoxCardInterface::new(card_interface) };
        let sink = move |exchange: &Exchange| {
            open.lock().unwrap_or_else(PoisonError::into_inner).write(exchange);
        };
        BoxCardInterface::new(TracingCard::new(card_interface, card, Arc::clone(clock), sink))
    }
}

impl OpenTrace {
    fn write(&mut self, exchange: &Exchange) {
        let Some(file) = &mut self.file else { return };
        if let Err(why) = file.write_all(&self.recorder.record(exchange)) {
            self.file = None;
            remark(&format!("{:#}", unwritten(why, &self.path)));
        }
    }
}

/// Creates the trace file. One `with_secrets` is readable by its owner only.
pub(crate) fn create(path: &Path, with_secrets: bool) -> io::Result<File> {
    const OWNER_ONLY: u32 = 0o600;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if with_secrets {
        options.mode(OWNER_ONLY);
    }
    let file = options.open(path)?;
    // The mode above applies to new files only. Terminals and pipes keep their permissions.
    if with_secrets && file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

/// Returns the trace format for a file extension.
pub(crate) fn form_of(path: &Path) -> Result<Form, Fault> {
    Form::of(path).ok_or_else(|| {
        Fault::usage(
            format!("cannot write a trace to {}", path.display()),
            "the extension is not that of a trace format",
            "use .txt, .jsonl or .pcapng",
        )
    })
}

fn no_trace() -> Fault {
    Fault::usage(
        "--trace-secrets is given without --trace",
        "there is no trace that could contain the secrets",
        "add --trace FILE, or omit --trace-secrets",
    )
}

pub(crate) fn unwritten(why: io::Error, path: &Path) -> Fault {
    Fault::caused_by(
        why,
        format!("cannot write the trace to {}", path.display()),
        "free some disk space, or choose another file",
    )
}
