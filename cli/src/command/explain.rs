//! `landfall explain`: explains codes, identifiers and octets.

use clap::Args;
use world::Fault;

use crate::{
    explain::{Explanation, explain},
    json_schema::{CommandOutput, document},
    output::{print, print_json},
};

/// Explain a code, an identifier, an APDU or an element: meaning, sender, advice
///
/// Codes: `8.2.6/3.8` (SGP.22 and SGP.02), `EnableProfile 5` (ES10), `6A88` (status word), `EMM 11`,
/// `5GMM 27`, `RP-cause 22`, `TP-FCS D3`, `SMPP 0x58`, a name such as `catBusy`, or a number, which is
/// looked up in all tables. Content in hexadecimal digits or base64: an APDU, `COMMAND > RESPONSE`, an
/// ES10 element, a notification, a certificate. Identifiers: activation code, ICCID, EID.
#[derive(Debug, Args)]
pub struct Command {
    /// Codes, identifiers or octets
    #[arg(required = true, value_name = "CODE")]
    codes: Vec<String>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[document::<Vec<Explanation>>("explain")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// An input has none of the accepted forms, or its table does not contain it.
    pub fn run(self, json: bool) -> Result<(), Fault> {
        let explanations = explain(&self.codes)?;
        if json {
            return print_json(&explanations);
        }
        let texts: Vec<String> = explanations.iter().map(Explanation::text).collect();
        print(&texts.join("\n"))
    }
}
