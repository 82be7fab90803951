//! `--trace`: everything that goes through a card's door, decoded, into a file.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use trace::{Exchange, Form, Recorder, Traced};
use world::{BoxCardDoor, CardDoor, Clock, Fault};

use crate::output::remark;

/// Whether a trace is wanted, and of what form.
#[derive(Clone, Debug, Args)]
pub struct TraceOptions {
    /// Write every exchange with the card to this file, replacing it: decoded text (.txt), JSON lines (.jsonl), or for Wireshark (.pcapng)
    #[arg(long, global = true, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// PINs and keys in the trace as well
    #[arg(long, global = true)]
    trace_secrets: bool,
}

impl TraceOptions {
    /// Begins the trace, if one is wanted. An older file of that name is replaced.
    ///
    /// # Errors
    /// The file cannot be written, or there is none that the secrets could be in.
    pub fn begin(&self) -> Result<Trace, Fault> {
        let Some(path) = self.trace.clone() else {
            // Not left to the parser: it does not see an option that stands on the other side of a subcommand.
            return if self.trace_secrets { Err(no_trace()) } else { Ok(Trace(None)) };
        };
        let recorder = Recorder::new(form_of(&path)?, self.trace_secrets);
        let file = create(&path, self.trace_secrets).map_err(|why| unwritten(why, &path))?;
        Ok(Trace(Some(Arc::new(Mutex::new(Open { path, file: Some(file), recorder })))))
    }
}

/// A trace under way, or none. A clone is the same one: cards may have theirs in common.
#[derive(Clone, Debug)]
pub struct Trace(Option<Arc<Mutex<Open>>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    /// Gone after a failure: a trace has no holes that nobody sees, and the card does not suffer from a full disk.
    file: Option<File>,
    recorder: Recorder,
}

impl Trace {
    /// The door to `card`, with its exchanges in the trace.
    pub fn over(
        &self,
        door: impl CardDoor + 'static,
        card: impl Into<String>,
        clock: &Arc<dyn Clock>,
    ) -> BoxCardDoor {
        let Some(open) = self.0.clone() else { return BoxCardDoor::new(door) };
        let sink = move |exchange: &Exchange| {
            open.lock().unwrap_or_else(PoisonError::into_inner).write(exchange);
        };
        BoxCardDoor::new(Traced::new(door, card, Arc::clone(clock), sink))
    }
}

impl Open {
    fn write(&mut self, exchange: &Exchange) {
        let Some(file) = &mut self.file else { return };
        if let Err(why) = file.write_all(&self.recorder.record(exchange)) {
            self.file = None;
            remark(&format!("{:#}", unwritten(why, &self.path)));
        }
    }
}

/// The file for a trace, empty. One `with_secrets` is for its owner alone.
pub(crate) fn create(path: &Path, with_secrets: bool) -> io::Result<File> {
    const OWNER_ONLY: u32 = 0o600;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if with_secrets {
        options.mode(OWNER_ONLY);
    }
    let file = options.open(path)?;
    // The mode above counts only for a new file. A terminal or a pipe keeps what it has.
    if with_secrets && file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

/// The form that a file's name asks for.
pub(crate) fn form_of(path: &Path) -> Result<Form, Fault> {
    Form::of(path).ok_or_else(|| {
        Fault::new(
            format!("cannot write a trace to {}", path.display()),
            "no form of a trace has this ending",
            "name it .txt, .jsonl or .pcapng",
        )
    })
}

fn no_trace() -> Fault {
    Fault::new(
        "--trace-secrets is given without --trace",
        "there is no trace that the secrets could be in",
        "name a file with --trace, or leave --trace-secrets out",
    )
}

pub(crate) fn unwritten(why: io::Error, path: &Path) -> Fault {
    Fault::caused_by(
        why,
        format!("cannot write the trace to {}", path.display()),
        "make room there, or give another file",
    )
}
