//! The command that downloads a profile, and the card that it may use.

use std::{io, process::Stdio, sync::Arc, time::Duration};

use device::{EventSource, Lpa, LpaSettings};
use euicc_sim::Card;
use rsp::ids::{Eid, Iccid, SmdpAddress};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::{Instant, error::Elapsed},
};
use world::{Fault, Link, RamMemory};

use super::server::{OrderedServer, Setup};
use crate::parties;

/// Maximum length of the output of a run in the report, from its end.
const MAX_OUTPUT_OCTETS: usize = 2048;

/// The command with its placeholders.
#[derive(Clone, Debug)]
pub(crate) struct DeviceCommand {
    /// Program and arguments.
    pub(crate) words: Vec<String>,
    /// Time after which a run is stopped.
    pub(crate) timeout: Duration,
}

/// The values of the placeholders in one case.
#[derive(Clone, Debug)]
pub(crate) struct Values(Vec<(&'static str, String)>);

/// One run of the command.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Run {
    /// The exit status, if the command ended by itself.
    pub(crate) exit_status: Option<i32>,
    /// True if the command was stopped because it took too long.
    pub(crate) timed_out: bool,
    /// Duration in seconds.
    pub(crate) seconds: f64,
    /// The end of its output, also if it was stopped.
    pub(crate) output: String,
}

impl Run {
    fn of(
        start: Instant,
        ended: Result<Result<Option<i32>, Fault>, Elapsed>,
        output: &[u8],
    ) -> Result<Self, Fault> {
        let seconds = start.elapsed().as_secs_f64();
        let (exit_status, timed_out) = match ended {
            Ok(exit_status) => (exit_status?, false),
            Err(_) => (None, true),
        };
        Ok(Self { exit_status, timed_out, seconds, output: end_of(&String::from_utf8_lossy(output)) })
    }

    /// True if the command reported success.
    pub(crate) fn succeeded(&self) -> bool {
        self.exit_status == Some(0)
    }
}

impl Values {
    /// Returns values with these names.
    pub(crate) fn new(values: Vec<(&'static str, String)>) -> Self {
        Self(values)
    }

    /// Returns the values for the order of this server.
    pub(crate) fn of(server: &OrderedServer, setup: &Setup) -> Self {
        Self(vec![
            ("activation_code", server.activation_code()),
            ("sm_dp", server.address()),
            ("matching_id", server.matching_id.clone()),
            ("iccid", server.iccid.to_string()),
            ("root", setup.root().display().to_string()),
        ])
    }

    fn insert_into(&self, word: &str) -> String {
        self.0.iter().fold(word.to_owned(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
    }
}

impl DeviceCommand {
    fn prepared(&self, values: &Values) -> Command {
        let mut words = self.words.iter().map(|word| values.insert_into(word));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).kill_on_drop(true);
        command.envs(values.0.iter().map(|(name, value)| (name.to_uppercase(), value)));
        command
    }

    /// Runs the command once. With a card, the command uses it over the stdio interface of lpac.
    ///
    /// # Errors
    /// The command cannot be started, or the card cannot be opened.
    pub(crate) async fn run(
        &self,
        values: &Values,
        card: Option<&CaseCard>,
        setup: &Setup,
    ) -> Result<Run, Fault> {
        let Some(card) = card else { return self.run_alone(values).await };
        let (start, mut out) = (Instant::now(), Tail::default());
        let running = run_with_card(self.prepared(values), card.open(setup)?, &mut out);
        let ended = tokio::time::timeout(self.timeout, running).await;
        Run::of(start, ended, &out.0)
    }

    /// Runs the command once. It brings its own card.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(crate) async fn run_alone(&self, values: &Values) -> Result<Run, Fault> {
        let (start, mut out, mut errors) = (Instant::now(), Tail::default(), Tail::default());
        let running = run_alone(self.prepared(values), &mut out, &mut errors);
        let ended = tokio::time::timeout(self.timeout, running).await;
        Run::of(start, ended, &[out.0, errors.0].concat())
    }
}

async fn run_with_card(mut command: Command, card: Card, out: &mut Tail) -> Result<Option<i32>, Fault> {
    command.stderr(Stdio::null());
    let status = net::card_interface::run_lpac(command, card, io::empty(), |line| {
        out.push(line.as_bytes());
        out.push(b"\n");
    })
    .await?;
    Ok(status.code())
}

async fn run_alone(mut command: Command, out: &mut Tail, errors: &mut Tail) -> Result<Option<i32>, Fault> {
    let program = command.as_std().get_program().display().to_string();
    let ended = async {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (status, ..) = tokio::try_join!(child.wait(), out.read(stdout), errors.read(stderr))?;
        Ok(status)
    };
    let status = ended.await.map_err(|e: io::Error| {
        Fault::caused_by(e, format!("cannot run {program}"), "correct the command that follows `--`")
    })?;
    Ok(status.code())
}

/// The end of an output: at least [`MAX_OUTPUT_OCTETS`], at most twice as many.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
        if self.0.len() > 2 * MAX_OUTPUT_OCTETS {
            self.0.drain(..self.0.len() - MAX_OUTPUT_OCTETS);
        }
    }

    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut from) = from else { return Ok(()) };
        let mut octets = [0; MAX_OUTPUT_OCTETS];
        loop {
            match from.read(&mut octets).await? {
                0 => return Ok(()),
                count => self.push(octets.get(..count).unwrap_or_default()),
            }
        }
    }
}

/// Returns the end of a text, without its last line break.
fn end_of(text: &str) -> String {
    let text = text.trim_end();
    let mut from = text.len().saturating_sub(MAX_OUTPUT_OCTETS);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default().to_owned()
}

/// A fresh card in this process, whose memory lasts for one case.
pub(crate) struct CaseCard {
    eid: Eid,
    memory: RamMemory,
}

impl CaseCard {
    /// Creates an empty card.
    pub(crate) fn new(eid: Eid) -> Self {
        Self { eid, memory: RamMemory::default() }
    }

    fn open(&self, setup: &Setup) -> Result<Card, Fault> {
        parties::card_on(&setup.settings, &setup.pki, self.eid, self.memory.clone(), &setup.world, false)
    }

    /// Returns the profiles on the card, and the number of pending notifications.
    ///
    /// # Errors
    /// The card cannot be opened or read.
    pub(crate) async fn content(&self, setup: &Setup) -> Result<(Vec<Iccid>, usize), Fault> {
        let no_server = |address: &SmdpAddress| -> Result<Link, Fault> {
            Err(Fault::new(format!("cannot reach {address}"), "only the card is read", "report this"))
        };
        let clock = Arc::clone(&setup.world.clock);
        let events = EventSource::new("device", clock, Arc::new(world::NullEvents));
        let mut lpa = Lpa::new(self.open(setup)?, no_server, LpaSettings::default(), events);
        let unreadable = |e| Fault::caused_by(e, "cannot read the card of a case", "report this");
        let profiles = lpa.list().await.map_err(unreadable)?;
        let pending = lpa.es10().list_notification().await.map_err(unreadable)?;
        Ok((profiles.into_iter().filter_map(|profile| profile.iccid).collect(), pending.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_in_every_word() {
        let values = Values(vec![("sm_dp", "host:1".to_owned()), ("matching_id", "AB".to_owned())]);
        assert_eq!(values.insert_into("LPA:1${sm_dp}${matching_id}"), "LPA:1$host:1$AB");
        assert_eq!(values.insert_into("{other}"), "{other}");
    }

    #[tokio::test]
    async fn only_the_end_of_an_output_is_kept() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "yes | head -c 100000; echo out; printf '\\377 errors\\n' >&2; exit 3"]);
        let (mut out, mut errors) = (Tail::default(), Tail::default());
        assert_eq!(run_alone(shell, &mut out, &mut errors).await.unwrap(), Some(3));
        assert!(out.0.len() <= 2 * MAX_OUTPUT_OCTETS && out.0.ends_with(b"y\nout\n"));
        assert_eq!(errors.0, b"\xFF errors\n");
    }

    #[test]
    fn a_long_output_is_cut_at_a_character() {
        let text = "é".repeat(MAX_OUTPUT_OCTETS);
        assert_eq!(end_of(&format!("x{text}y\n")).len(), MAX_OUTPUT_OCTETS - 1);
        assert_eq!(end_of("short\n"), "short");
    }
}
