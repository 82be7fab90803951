//! ES7.HandleSMSRChangeNotification, sent to the previous SM-SR of the card: SGP.02 section 5.6.

use rsp::sgp02::es7;
use rsp_server::soap::{Call, Decision};

use crate::{
    context::Context,
    procedures::{self, handover},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    notification: &es7::HandleSmsrChangeNotification,
) -> Decision<()> {
    super::check_caller(context, call).await?;
    let eid = notification.eis.eum_signed_info.eid;
    if handover::changed(context, &call.caller, eid).await? {
        procedures::advance(context, eid).await?;
    }
    Ok(())
}
