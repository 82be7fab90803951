//! Meaning of a card's status word for the caller: SGP.02 section 4.1.1, as one table. The meanings
//! are taken from open implementations.

use rsp::{
    StatusWord,
    ota::script::ScriptResponse,
    sgp02::status::{Refusal, Status},
};

/// Kind of command that was answered. Some status words depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Create,
    /// Enables or disables a profile.
    Switch,
    Delete,
    MasterDelete,
    SetAttribute,
    Audit,
    Confirm,
    Personalise,
    EstablishKeySet,
}

/// Responses of a card to the commands of one script.
pub(crate) struct Answers {
    /// Data and status word of each executed command.
    pub(crate) commands: Vec<(Vec<u8>, StatusWord)>,
}

impl Answers {
    pub(crate) fn of(response: &ScriptResponse) -> Self {
        let commands = response.apdus().map(|apdu| (apdu.data.clone(), apdu.status));
        Self { commands: commands.collect() }
    }

    /// Returns the data of the only command, if it succeeded.
    pub(crate) fn only(&self, command: Command) -> Result<&[u8], Refusal> {
        self.nth(0, command)
    }

    /// Returns the data of a command, if it succeeded.
    pub(crate) fn nth(&self, position: usize, command: Command) -> Result<&[u8], Refusal> {
        match self.commands.get(position) {
            Some((data, status)) if status.is_success() => Ok(data),
            Some((_, status)) => Err(refusal(command, *status)),
            None => Err(Status::EuiccExecutionError.because("the card did not execute the command")),
        }
    }

    /// Returns true if the card has more response data for a command.
    pub(crate) fn has_more(&self, position: usize) -> bool {
        self.commands.get(position).is_some_and(|(_, status)| *status == StatusWord::MORE_STATUS_AVAILABLE)
    }

    /// Returns the status word of the only command.
    pub(crate) fn status_word(&self) -> Option<StatusWord> {
        self.commands.first().map(|(_, status)| *status)
    }
}

/// Returns the refusal for a failed command.
pub(crate) fn refusal(command: Command, status_word: StatusWord) -> Refusal {
    let status = match (command, status_word) {
        // req: SGP.02-5.5-Pol1
        (_, StatusWord::POL1_PREVENTS) => Status::Pol1Refused,
        (Command::Create, StatusWord::NOT_ENOUGH_MEMORY) => Status::EuiccInsufficientMemory,
        (Command::Switch | Command::Delete | Command::SetAttribute, StatusWord::CONDITIONS_NOT_SATISFIED) => {
            Status::IccidInvalidTransition
        }
        (Command::Switch | Command::SetAttribute, StatusWord::REFERENCED_DATA_NOT_FOUND) => {
            Status::IsdPUnknown
        }
        (
            Command::EstablishKeySet,
            StatusWord::SECURITY_STATUS_NOT_SATISFIED | StatusWord::INCORRECT_DATA,
        ) => Status::SmsrCertificateRefused,
        _ => Status::IsdRExecutionError,
    };
    status.because(format!("the card answered {status_word}"))
}
