//! Default notifications: SGP.02 section 4.1.1.11.

use rsp::ids::Aid;

use crate::card::context::Context;
use crate::card::status_word::StatusWord;

/// The enabled profile has changed.
pub(crate) fn switched(_: &mut Context<'_>, _: Option<&Aid>, _: Option<&Aid>) {}

/// Whether the latest change can still be taken back, because the SM-SR has not confirmed the notification of it.
pub(crate) fn is_unconfirmed(_: &Context<'_>) -> bool {
    false
}

/// ES5.HandleNotificationConfirmation: the ISD-Ps that were deleted for it.
pub(crate) fn confirm(_: &mut Context<'_>, _: u16) -> Result<Vec<Aid>, StatusWord> {
    Err(StatusWord::REFERENCED_DATA_NOT_FOUND)
}
