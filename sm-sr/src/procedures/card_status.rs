//! What a card's status word means to whoever asked: SGP.02 section 4.1.1, as one table. From open implementations.

use rsp::{
    ota::script::ScriptResponse,
    sgp02::{es5::StatusWord, status::{Refusal, Status}},
};

/// Which command was answered; some words mean something else with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Create,
    Enable,
    Disable,
    Delete,
    MasterDelete,
    SetAttribute,
    Audit,
    EstablishKeySet,
}

/// What a card answered to the commands of one script.
pub(crate) struct Answers {
    /// The data and the status word of each command that it came to.
    pub(crate) commands: Vec<(Vec<u8>, StatusWord)>,
}

impl Answers {
    pub(crate) fn of(response: &ScriptResponse) -> Self {
        Self { commands: response.commands().map(|answer| (answer.data.to_vec(), StatusWord(answer.sw))).collect() }
    }

    /// The data of the only command, if it went well.
    pub(crate) fn only(&self, command: Command) -> Result<&[u8], Refusal> {
        self.nth(0, command)
    }

    /// The data of a command, if it went well.
    pub(crate) fn nth(&self, position: usize, command: Command) -> Result<&[u8], Refusal> {
        match self.commands.get(position) {
            Some((data, word)) if word.is_success() => Ok(data),
            Some((_, word)) => Err(refusal(command, *word)),
            None => Err(Status::EuiccExecutionError.because("the card did not come to the command")),
        }
    }

    /// The status word of the only command.
    pub(crate) fn word(&self) -> Option<StatusWord> {
        self.commands.first().map(|(_, word)| *word)
    }
}

/// There is no such thing on the card.
pub(crate) const NOT_FOUND: StatusWord = StatusWord(0x6A88);

/// Why the card did not do it.
pub(crate) fn refusal(command: Command, word: StatusWord) -> Refusal {
    let status = match (command, word.0) {
        (_, 0x69E1) => Status::Pol1Refused,
        (Command::Create, 0x6A84) => Status::EuiccInsufficientMemory,
        (Command::Enable | Command::Disable | Command::Delete | Command::SetAttribute, 0x6985) => {
            Status::IccidInvalidTransition
        }
        (Command::Enable | Command::Disable | Command::SetAttribute, 0x6A88) => Status::IsdPUnknown,
        (Command::EstablishKeySet, 0x6982 | 0x6A80 | 0x6600 | 0x6640) => Status::SmsrVerificationFailed,
        _ => Status::IsdRExecutionError,
    };
    status.because(format!("the card answered {word}"))
}
