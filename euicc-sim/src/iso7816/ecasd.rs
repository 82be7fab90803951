//! GET DATA to the ECASD: SGP.22 section 4.2.1.

use rsp::der::Asn1;

use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;

/// GET DATA to the ECASD. SGP.22 section 4.2.1 requires it to return the EID, tag 5A. The
/// certificates are X.509 and fit no data object of GlobalPlatform, so only
/// ES10b.AuthenticateServer returns them.
pub(super) fn get_data(context: &Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    match (command.p1, command.p2, command.data) {
        (0x00, 0x5A, []) => Ok(context.description.eid.to_der()),
        (_, _, []) => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
        _ => Err(StatusWord::WRONG_LENGTH),
    }
}
